"""A model of ``semantics.md`` §1 and §2 that keeps everything in memory, to compare the services with.

It knows generations, layers and freezing, but no SQL, no versions and no caches.
"""

from dataclasses import dataclass, field

from app.domain.patch import Patch, Replace, apply, diff
from app.domain.values import MISSING, State, Value

Name = tuple[str, str]
Documents = dict[Name, Value]


@dataclass
class Node:
    """A generation. ``frozen`` is what a snapshot holds; ``selected`` are the users of a filtered fork."""

    parent: "Node | None" = None
    frozen: Documents | None = None
    deleted: set[Name] = field(default_factory=set)
    sealed: bool = False
    selected: set[str] | None = None
    layers: dict[Name, Patch] = field(default_factory=dict)

    def shown(self, name: Name) -> State:
        """What this generation shows under ``name``, filters aside."""
        above = self.above(name)
        layer = self.layers.get(name)
        if layer is None:
            return above
        return apply(above, layer) if isinstance(layer, Replace) or above is not MISSING else MISSING

    def above(self, name: Name) -> State:
        """What this generation would show without a layer of its own."""
        if self.frozen is not None:
            return self.frozen.get(name, MISSING)
        return self.parent.shown(name) if self.parent else MISSING

    def in_sight(self, name: Name) -> bool:
        """Whether no filter hides ``name`` here."""
        if name[0] != "user":
            return True
        node: Node | None = self
        while node is not None:
            if name in node.layers or name in node.deleted:
                return True
            if node.frozen is not None:
                return name in node.frozen or not node.filtered()
            if node.selected is not None:
                return name[1] in node.selected
            node = node.parent
        return True

    def filtered(self) -> bool:
        """Whether a filter stands on this line."""
        return self.selected is not None or (self.parent is not None and self.parent.filtered())

    def effective(self, name: Name) -> State:
        return self.shown(name) if self.in_sight(name) else MISSING

    def documents(self, names: set[Name]) -> Documents:
        """All that this generation shows of ``names``."""
        found: Documents = {}
        for name in names:
            state = self.effective(name)
            if state is not MISSING:
                found[name] = state
        return found


class World:
    """A project: production, environments by name, and every name ever used."""

    def __init__(self) -> None:
        self.names: set[Name] = {("project", "project")}
        self.root = Node(layers={("project", "project"): Replace({})})
        self.heads: dict[str | None, Node] = {None: self.root}
        self.parents: dict[str, str | None] = {}

    def state(self, env: str | None, name: Name) -> State:
        return self.heads[env].effective(name)

    def documents(self, env: str | None) -> Documents:
        return self.heads[env].documents(self.names)

    def write(self, env: str | None, name: Name, after: State) -> None:
        self.names.add(name)
        head = self.heads[env]
        if head.effective(name) == after and repr(head.effective(name)) == repr(after):
            return
        if head.sealed:
            head = self.heads[env] = Node(parent=head)
        head.layers[name] = diff(head.above(name), after)

    def fork(self, source: str | None, name: str, selected: set[str] | None = None) -> None:
        parent = self.heads[source]
        if selected is not None:
            users = {("user", key) for key in selected}
            selected = {key for kind, key in users if parent.effective((kind, key)) is not MISSING}
        self.heads[name] = Node(parent=parent, selected=selected)
        self.parents[name] = source

    def snapshot(self, env: str | None) -> Node:
        """Return a snapshot beside the line of what an environment shows."""
        head = self.heads[env]
        frozen = head.documents(self.names)
        gone = {name for name in self.names if head.filtered() and head.in_sight(name) and name not in frozen}
        return Node(parent=head, frozen=frozen, sealed=True, deleted={name for name in gone if name[0] == "user"})

    def checkpoint(self, env: str) -> Node:
        taken = self.snapshot(env)
        self.heads[env].sealed = True
        self.heads[env] = taken
        return taken

    def revert(self, env: str) -> None:
        """Make everything in sight what the parent environment shows now."""
        parent = self.heads[self.parents[env]]
        for name in sorted(self.names):
            if self.heads[env].in_sight(name):
                self.write(env, name, parent.shown(name) if parent.in_sight(name) else MISSING)
