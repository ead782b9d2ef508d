"""A project's generation tree in memory, for walking it to any depth."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain.model import Environment, Generation
from app.services.tree import TreeNode


@dataclass(frozen=True, slots=True)
class Tree:
    """The root, the children of each generation, and the environments of the project by their parents."""

    root: Generation
    children: Mapping[UUID, Sequence[Generation]]
    forks: Mapping[UUID, Sequence[Environment]]

    @classmethod
    def of(cls, nodes: Sequence[TreeNode]) -> "Tree":
        """Return the tree of nodes that come parents first, root foremost."""
        children: defaultdict[UUID, list[Generation]] = defaultdict(list)
        forks: defaultdict[UUID, dict[UUID, Environment]] = defaultdict(dict)
        for node in nodes:
            if node.generation.parent_uuid is not None:
                children[node.generation.parent_uuid].append(node.generation)
            if node.environment.parent_uuid is not None:
                forks[node.environment.parent_uuid][node.environment.uuid] = node.environment
        return cls(nodes[0].generation, children, {uuid: list(found.values()) for uuid, found in forks.items()})
