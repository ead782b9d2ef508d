"""A model of ``semantics.md`` §1, §2 and §11.1-9 that keeps everything in memory, to compare the services with.

It knows generations, overrides and freezing, but no SQL, no versions and no caches; and it merges, compares and
patches documents in its own way: by the paths of their leaves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from app.domain.values import MISSING, State, Value

Name = tuple[str, str]
Documents = dict[Name, Value]
Leaves = dict[tuple[str, ...], State]
"""What a generation says of a document: the values it sets, MISSING where it removes; () is the whole document."""

PROJECT: Name = ("project", "project")


def exact(state: State) -> object:
    """Return something that is equal for two states only if they are equal to the digit."""
    if isinstance(state, dict):
        return {key: exact(item) for key, item in state.items()}
    if isinstance(state, list):
        return [exact(item) for item in state]
    return (type(state).__name__, str(state) if isinstance(state, Decimal) else state)


def exactly(documents: Mapping[Name, State]) -> dict[Name, object]:
    return {name: exact(state) for name, state in documents.items()}


def overrides(parent: State, own: State) -> Leaves:
    """Return the fewest leaves that make ``own`` of ``parent``."""
    if exact(parent) == exact(own):
        return {}
    if not isinstance(parent, dict) or not isinstance(own, dict):
        return {(): own}
    leaves: Leaves = {}
    for key in parent.keys() | own.keys():
        for path, value in overrides(parent.get(key, MISSING), own.get(key, MISSING)).items():
            leaves[key, *path] = value
    return leaves


def overlaid(parent: State, leaves: Leaves) -> State:
    """Return ``parent`` with ``leaves`` laid over it; without the whole document, nothing is laid over nothing."""
    if () in leaves:
        return leaves[()]
    if parent is MISSING or not leaves:
        return parent
    result: Value = _copy(parent) if isinstance(parent, dict) else {}
    for path, value in leaves.items():
        place = result
        for key in path[:-1]:
            assert isinstance(place, dict)
            if not isinstance(place.get(key), dict):
                place[key] = {}
            place = place[key]
        assert isinstance(place, dict)
        if value is MISSING:
            place.pop(path[-1], None)
        else:
            place[path[-1]] = value
    return result


def _copy(value: Value) -> Value:
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, dict) else value


@dataclass(eq=False)
class Node:
    """A generation of the environment ``env``; ``frozen`` is what a snapshot holds, MISSING for who was deleted."""

    env: str | None
    parent: "Node | None" = None
    frozen: dict[Name, State] | None = None
    is_filter: bool = False
    sealed: bool = False
    counts_as_depth: bool = True
    rows: dict[Name, Leaves] = field(default_factory=dict)
    bases: dict[Name, Leaves] = field(default_factory=dict)
    """What is remembered of the leaves of ``rows`` that a promotion carries."""
    former: list["Node"] = field(default_factory=list)
    """What it stood on before it was moved."""
    replaces: Documents | None = None
    """What production was when a rollback to a checkpoint was made, on which this stands."""

    @property
    def number(self) -> int:
        return 0 if self.parent is None else self.parent.number + self.counts_as_depth

    @property
    def filtered(self) -> bool:
        return self.is_filter or (self.parent is not None and self.parent.filtered)

    def line(self) -> Iterator["Node"]:
        """Yield the generation and its ancestors."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def above(self, name: Name) -> State:
        """What would be here without a row of this generation, filters aside."""
        if self.frozen is not None:
            return self.frozen.get(name, MISSING)
        return self.parent.unfiltered(name) if self.parent else MISSING

    def unfiltered(self, name: Name) -> State:
        above = self.above(name)
        return overlaid(above, self.rows[name]) if name in self.rows else above

    def in_sight(self, name: Name) -> bool:
        """Whether no filter hides ``name`` here: users need a row at the filter or below it."""
        if name[0] != "user" or not self.filtered:
            return True
        for node in self.line():
            if name in node.rows:
                return True
            if node.frozen is not None:
                return name in node.frozen
            if node.is_filter:
                return False
        return True

    def state(self, name: Name) -> State:
        return self.unfiltered(name) if self.in_sight(name) else MISSING


@dataclass
class Write:
    """What one write did: a change must say so."""

    env: str | None
    name: Name
    before: State
    after: State


class World:
    """A project: the heads of its living environments, production's under None, and every name ever used."""

    def __init__(self) -> None:
        root = Node(None, rows={PROJECT: {(): {}}})
        self.names: set[Name] = {PROJECT}
        self.heads: dict[str | None, Node] = {None: root}
        self.parents: dict[str, str | None] = {}
        self.nodes = [root]
        self.written: list[Write] = []

    def documents(self, env: str | None) -> Documents:
        return self.shown(self.heads[env])

    def shown(self, node: Node) -> Documents:
        """Return all that a generation shows."""
        found: Documents = {}
        for name in self.names:
            state = node.state(name)
            if state is not MISSING:
                found[name] = state
        return found

    def write(self, env: str | None, name: Name, after: State) -> None:
        self.names.add(name)
        head = self.heads[env]
        before = head.state(name)
        if exact(before) == exact(after):
            return
        self.written.append(Write(env, name, before, after))
        if head.sealed:
            head = self.heads[env] = self._node(Node(env, head))
        head.rows[name] = overrides(head.above(name), after)

    def fork(self, parent: Node, name: str, selected: set[str] | None = None) -> None:
        node = self._node(Node(name, parent, is_filter=selected is not None, rows={PROJECT: {}}))
        for key in selected or ():
            if parent.state(("user", key)) is not MISSING:
                node.rows["user", key] = {}
        self.heads[name] = node
        self.parents[name] = parent.env

    def snapshot(self, env: str | None, *, counts_as_depth: bool = False) -> Node:
        """Return a snapshot of what an environment shows, beside its line."""
        head = self.heads[env]
        frozen: dict[Name, State] = dict(self.shown(head))
        if head.filtered:
            for name in self.names:
                if name[0] == "user" and head.in_sight(name):
                    frozen.setdefault(name, MISSING)
        return self._node(Node(env, head, frozen=frozen, sealed=True, counts_as_depth=counts_as_depth))

    def checkpoint(self, env: str | None) -> Node:
        taken = self.snapshot(env, counts_as_depth=True)
        if env is not None:
            self.heads[env].sealed = True
            self.heads[env] = taken
        return taken

    def archive(self, env: str) -> int:
        """Return how many rows of the environment's own line nothing stands on any longer."""
        del self.heads[env]
        standing = [node for node in self.nodes if node.env in self.heads or node.frozen is not None]
        kept = {id(below) for node in standing for below in (*node.line(), *node.former)}
        return sum(len(node.rows) for node in self.nodes if node.env == env and id(node) not in kept)

    def _node(self, node: Node) -> Node:
        self.nodes.append(node)
        return node
