"""The model of promotions: what environments carry, what becomes of it in production, and who moves where (§3, §11)."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.values import MISSING, State
from tests.services.merging import (
    Conflicts,
    Path,
    Resolve,
    added,
    all_laid,
    bases_added,
    found,
    kept,
    next_bases,
    restrict,
    same,
    three_way,
)
from tests.services.model import PROJECT, Leaves, Name, Node, World, Write, overrides

Resolutions = dict[Name, Resolve]


@dataclass
class Change:
    """What an environment carries of one document, and what comes of it."""

    leaves: Leaves
    bases: Leaves
    rest: Leaves
    rest_bases: Leaves
    merged: Conflicts


@dataclass
class Release:
    env: str
    documents: dict[Name, tuple[State, State]]


class PromotedWorld(World):
    """A world whose environments have statuses, and go to production."""

    def __init__(self) -> None:
        super().__init__()
        self.status: dict[str, str] = {}
        self.last: dict[Name, State] = {}
        self.releases: list[Release] = []

    @property
    def root(self) -> Node:
        return self.nodes[0]

    def fork(self, parent: Node, name: str, selected: set[str] | None = None) -> None:
        super().fork(parent, name, selected)
        node = self.heads[name]
        node.bases[PROJECT] = {}
        node.replaces = parent.replaces
        self.status[name] = "draft"

    def rolled_back(self, taken: Node, name: str) -> None:
        """Fork a checkpoint, so that production becomes what it holds."""
        self.fork(taken, name)
        self.heads[name].replaces = dict(self.documents(None))

    def snapshot(self, env: str | None, *, counts_as_depth: bool = False) -> Node:
        taken = super().snapshot(env, counts_as_depth=counts_as_depth)
        taken.replaces = self.heads[env].replaces
        return taken

    def archive(self, env: str) -> int:
        self.status.pop(env)
        return super().archive(env)

    def write(self, env: str | None, name: Name, after: State, *, carried: bool = True) -> None:
        head = self.heads[env]
        before = head.state(name)
        row, bases = head.rows.get(name, {}), head.bases.get(name, {})
        if same(before, after):
            self.names.add(name)
            return
        if env is None and after is MISSING:
            self.last[name] = before
        super().write(env, name, after)
        if env is None:
            return
        self.status[env] = "draft"
        now = self.heads[env]
        if now is not head:
            now.replaces, row, bases = head.replaces, {}, {}
        touched = overrides(before, after)
        now.bases[name] = next_bases(now.above(name), row, bases, now.rows[name], touched, carried=carried)

    def line(self, env: str) -> list[Node]:
        """Return what an environment stands on above production, itself first; snapshots left out."""
        return [node for node in self.heads[env].line() if node.frozen is None and node is not self.root]

    def carried(self, env: str, paths: dict[Name, list[Path]] | None, resolve: Resolutions) -> dict[Name, Change]:
        """Return what promoting an environment would do, by document."""
        head = self.heads[env]
        changes: dict[Name, Change] = {}
        for name in self.names:
            if not head.in_sight(name):
                continue
            ours = self.root.state(name)
            if head.replaces is not None:
                then, theirs = head.replaces.get(name, MISSING), head.state(name)
                off = self._uncarried(env, name)
                leaves = {
                    path: state
                    for path, state in overrides(then, theirs).items()
                    if not any(path[: len(other)] == other for other in off)
                }
                bases = {path: found(then, path) for path in leaves}
                last = then
            else:
                leaves, bases = self._of_line(self.line(env), name)
                last = self.last.get(name, MISSING)
            if leaves:
                changes[name] = _change(leaves, bases, (ours, last), name, paths, resolve.get(name, {}))
        return changes

    def _uncarried(self, env: str, name: Name) -> list[Path]:
        """Return what a rollback environment reverted: it shows, and is not carried."""
        off: list[Path] = []
        for node in self.line(env):
            if node.replaces is not None:
                bases = node.bases.get(name, {})
                off = [path for path in off if not any(path[: len(base)] == base for base in bases)]
                off += [path for path in node.rows.get(name) or () if path not in bases]
        return off

    def _of_line(self, line: Sequence[Node], name: Name) -> tuple[Leaves, Leaves]:
        leaves: Leaves = {}
        bases: Leaves = {}
        for node in reversed(line):
            row, own = node.rows.get(name, {}), node.bases.get(name, {})
            others = {path: value for path, value in row.items() if path not in own}
            mine = {path: value for path, value in row.items() if path in own}
            leaves, bases = added(kept(leaves, others), mine), bases_added(kept(bases, others), own)
        return leaves, bases

    def blocked(self, env: str) -> None:
        self.status[env] = "draft"

    def promote(self, env: str, changes: dict[Name, Change]) -> None:
        """Bring to production what is carried, and let everything around follow."""
        head, line = self.heads[env], self.line(env)
        partial = any(change.rest for change in changes.values())
        shown = {name: head.unfiltered(name) for name in self.names}
        done: dict[Name, tuple[State, State]] = {}
        for name in sorted(changes):
            before = self.root.state(name)
            self.write(None, name, changes[name].merged.state)
            if not same(before, self.root.state(name)):
                done[name] = before, self.root.state(name)
        self.releases.append(Release(env, done))
        self._mark(head, line, changes, partial)
        head.sealed = True
        if partial:
            self._keep_the_rest(env, head, changes)
            return
        movable = self._movable(head, line, shown)
        self.heads[env] = self._node(Node(env, self.root))
        former = next((name for name, status in self.status.items() if status == "live" and name != env), None)
        self.status[env] = "live"
        if movable:
            self._move(env, line)
        if former is not None:
            self._retire(former)

    def _mark(self, head: Node, line: Sequence[Node], changes: dict[Name, Change], partial: bool) -> None:
        for node in line:
            if head.replaces is not None and node.replaces is None:
                continue
            for name in node.bases:
                if not partial and (head.replaces is not None or head.in_sight(name)):
                    node.bases[name] = {}
                elif partial and name in changes:
                    node.bases[name] = kept(node.bases[name], changes[name].leaves)

    def _movable(self, head: Node, line: Sequence[Node], shown: dict[Name, State]) -> bool:
        if head.filtered or any(node.frozen is not None for node in head.line()):
            return False
        touched = {name for node in line for name, row in node.rows.items() if row}
        return all(same(shown[name], self.root.state(name)) for name in touched)

    def _move(self, env: str, line: Sequence[Node]) -> None:
        own = [node for node in line if node.env == env]
        for node in self.nodes:
            if node.env != env and any(below in own for below in node.line()):
                node.former += line
        for node in self.nodes:
            if node.env != env and node.parent in own:
                node.parent = self.root
                if node.env is not None:
                    self.parents[node.env] = None

    def _retire(self, former: str) -> None:
        if any(bases for node in self.line(former) for bases in node.bases.values()):
            self.status[former] = "draft"
        else:
            self.archive(former)

    def _keep_the_rest(self, env: str, head: Node, changes: dict[Name, Change]) -> None:
        node = self._node(Node(env, self.root, is_filter=head.filtered))
        self._keep_filter(head, node)
        for name in sorted(changes):
            change = changes[name]
            if change.rest:
                self._override(env, node, name, change)
        self.heads[env], self.status[env] = node, "draft"

    def _keep_filter(self, head: Node, node: Node) -> None:
        if head.filtered:
            for name in self.names:
                if name[0] == "user" and head.in_sight(name):
                    node.rows.setdefault(name, {})
                    node.bases.setdefault(name, {})

    def _override(self, env: str, node: Node, name: Name, change: Change) -> None:
        parent = self.root.state(name)
        if parent is MISSING and () not in change.rest:
            node.rows[name], node.bases[name] = change.rest, change.rest_bases
            self.written.append(Write(env, name, MISSING, MISSING))
            return
        after, seen = all_laid(parent, change.rest), all_laid(parent, change.rest_bases)
        node.rows[name] = overrides(parent, after)
        node.bases[name] = {path: found(seen, path) for path in node.rows[name]}
        self.written.append(Write(env, name, parent, after))

    def onto(self, env: str) -> Node:
        """Return what an environment is rebased onto."""
        parent = self.parents[env]
        gone = parent is not None and parent not in self.heads
        return self.root if gone or self.heads[env].replaces is not None else self.heads[parent]

    def rebased(self, env: str, resolve: Resolutions) -> dict[Name, Conflicts]:
        """Return what becomes of each document that an environment itself overrides."""
        if self.heads[env].replaces is not None:
            return {name: change.merged for name, change in self.carried(env, None, resolve).items()}
        onto, merged = self.onto(env), {}
        for name in self.names:
            own = [node for node in self.line(env) if node.env == env]
            if not any(node.rows.get(name) for node in own):
                continue
            leaves, bases = self._of_line(own, name)
            merged[name] = _merged(leaves, bases, (onto.unfiltered(name), MISSING), resolve.get(name, {}))
        return merged

    def rebase(self, env: str, merged: dict[Name, Conflicts]) -> None:
        head, onto = self.heads[env], self.onto(env)
        node = self._node(Node(env, onto, is_filter=head.filtered and not onto.filtered))
        for name, change in merged.items():
            parent, shown = onto.unfiltered(name), head.state(name)
            row = overrides(parent, change.state)
            if row:
                node.rows[name] = row
                node.bases[name] = {path: found(parent, path) for path in row}
                self.written.append(Write(env, name, shown, change.state))
        self._keep_filter(head, node)
        head.sealed = True
        self.heads[env], self.status[env] = node, "draft"

    def undone(self, release: Release, resolve: Resolutions) -> dict[Name, Conflicts]:
        """Return what becomes of production's documents if a release is undone."""
        return {
            name: three_way(after, self.root.state(name), before, overrides(after, before), resolve.get(name, {}))
            for name, (before, after) in release.documents.items()
        }

    def undo(self, release: Release, merged: dict[Name, Conflicts]) -> None:
        env = release.env
        live = self.status.get(env) == "live"
        shown = {name: self.heads[env].state(name) for name in merged} if live else {}
        done: dict[Name, tuple[State, State]] = {}
        for name in merged:
            before = self.root.state(name)
            self.write(None, name, merged[name].state)
            if not same(before, self.root.state(name)):
                done[name] = before, self.root.state(name)
        self.releases.append(Release(env, done))
        if not shown:
            return
        head = self.heads[env]
        for name, state in shown.items():
            before = head.state(name)
            if not same(before, state):
                parent = head.above(name)
                head.rows[name] = overrides(parent, state)
                head.bases[name] = {path: found(parent, path) for path in head.rows[name]}
                self.written.append(Write(env, name, before, state))
        self.status[env] = "draft"


def _change(
    leaves: Leaves,
    bases: Leaves,
    sides: tuple[State, State],
    name: Name,
    paths: dict[Name, list[Path]] | None,
    resolve: Resolve,
) -> Change:
    chosen = leaves if paths is None else restrict(leaves, paths.get(name, []))
    base = bases if paths is None else restrict(bases, list(chosen))
    rest = {path: value for path, value in leaves.items() if path not in chosen}
    return Change(chosen, base, rest, kept(bases, chosen), _merged(chosen, base, sides, resolve))


def _merged(leaves: Leaves, bases: Leaves, sides: tuple[State, State], resolve: Resolve) -> Conflicts:
    ours, last = sides
    ground = last if ours is MISSING and () not in leaves else ours
    return three_way(all_laid(ground, bases), ours, all_laid(ground, leaves), leaves, resolve)
