"""Answers about generations: checkpoints, pins and the tree."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.domain.model import EnvStatus, EnvType, Generation
from app.rest.answers import Answer, DocumentAnswer
from app.services.checkpoints import Snapshot
from app.services.tree import TreeNode
from app.storage.codec import encode


class Checkpoint(Answer):
    checkpoint_uuid: UUID
    env_uuid: UUID
    label: str | None
    generation: int
    entities: int
    created_at: datetime

    @classmethod
    def of(cls, generation: Generation) -> "Checkpoint":
        """Return the answer for a checkpoint."""
        return cls(
            checkpoint_uuid=generation.uuid,
            env_uuid=generation.env_uuid,
            label=generation.label,
            generation=generation.number,
            entities=generation.entity_count,
            created_at=generation.created_at,
        )


class Checkpoints(Answer):
    checkpoints: list[Checkpoint]
    next_cursor: str | None


class DeletedCheckpoint(Answer):
    checkpoint_uuid: UUID
    env_uuid: UUID
    status: str

    @classmethod
    def after(cls, generation: Generation) -> "DeletedCheckpoint":
        """Return the answer to a deletion."""
        return cls(checkpoint_uuid=generation.uuid, env_uuid=generation.env_uuid, status="deleted")


class Pin(Answer):
    pinned_uuid: UUID
    env_uuid: UUID
    generation: int
    entities: int
    created_at: datetime

    @classmethod
    def of(cls, generation: Generation) -> "Pin":
        """Return the answer for a pinned snapshot."""
        return cls(
            pinned_uuid=generation.uuid,
            env_uuid=generation.env_uuid,
            generation=generation.number,
            entities=generation.entity_count,
            created_at=generation.created_at,
        )


class SnapshotAnswer(Pin):
    documents: list[DocumentAnswer]
    next_cursor: str | None

    @classmethod
    def of_page(cls, snapshot: Snapshot) -> "SnapshotAnswer":
        """Return a pinned state and a page of its documents."""
        generation, page = snapshot.generation, snapshot.page
        return cls(
            pinned_uuid=generation.uuid,
            env_uuid=generation.env_uuid,
            generation=generation.number,
            entities=generation.entity_count,
            created_at=generation.created_at,
            documents=[DocumentAnswer.of(document) for document in page.items],
            next_cursor=page.next_cursor,
        )


class Node(Answer):
    """A generation of the tree."""

    uuid: UUID
    parent_uuid: UUID | None
    generation: int
    env_uuid: UUID
    env_name: str
    env_type: EnvType
    status: EnvStatus
    label: str | None
    is_checkpoint: bool
    diff_only: bool
    created_at: datetime

    @classmethod
    def of(cls, node: TreeNode) -> "Node":
        """Return the answer for one generation, without its children."""
        generation, environment = node.generation, node.environment
        return cls(
            uuid=generation.uuid,
            parent_uuid=generation.parent_uuid,
            generation=generation.number,
            env_uuid=environment.uuid,
            env_name=environment.name,
            env_type=environment.env_type,
            status=environment.status,
            label=generation.label,
            is_checkpoint=generation.is_checkpoint,
            diff_only=generation.diff_only,
            created_at=generation.created_at,
        )


class NestedNode(Node):
    """A generation with what stands on it."""

    children: "list[NestedNode]"


class FlatTree(Answer):
    nodes: list[Node]


def nested(nodes: Sequence[TreeNode]) -> bytes:
    """Return the JSON of a tree, given parents first; without recursion, so that no depth is too deep."""
    below: defaultdict[UUID | None, list[TreeNode]] = defaultdict(list)
    for node in nodes[1:]:
        below[node.generation.parent_uuid].append(node)
    written: list[bytes] = []
    stack: list[TreeNode | bytes] = [nodes[0]]
    while stack:
        item = stack.pop()
        if isinstance(item, bytes):
            written.append(item)
            continue
        written.append(encode(Node.of(item))[:-1] + b',"children":[')
        stack.append(b"]}")
        for index, child in reversed(list(enumerate(below[item.generation.uuid]))):
            stack += [child, b","] if index else [child]
    return b"".join(written)
