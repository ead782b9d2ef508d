"""Three-way merge: a set of changes brought to a document that went on without them (semantics §3).

Ours is where the changes go (production), theirs is what they make of it (the environment). Final states are merged,
history is never replayed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.carrying import Carried
from app.domain.digest import digest
from app.domain.patch import Patch, Replace, apply, diff
from app.domain.pointer import Path
from app.domain.values import MISSING, State, Value, same


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path that both sides changed, each in its way; MISSING is what is not there."""

    path: Path
    base: State
    ours: State
    theirs: State

    @property
    def triple(self) -> str:
        """What tells this conflict from another one at the same path."""
        return digest([self.base, self.ours, self.theirs])


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged state. Where a conflict is open, it shows ours; ``resolved`` are those that a resolution settled."""

    state: State
    conflicts: list[Conflict] = field(default_factory=list)
    resolved: list[Conflict] = field(default_factory=list)


class Side(StrEnum):
    OURS = "ours"
    THEIRS = "theirs"
    BASE = "base"


@dataclass(frozen=True, slots=True)
class Resolution:
    """How one conflict is settled: by one of its three sides, or by ``state`` (MISSING deletes).

    ``triple`` is that of the conflict it was given for; it settles no other (semantics §11.18). None: any.
    """

    take: Side | None = None
    state: State = MISSING
    triple: str | None = None

    def settles(self, conflict: Conflict) -> bool:
        """Return whether it was given for this conflict."""
        return self.triple in (None, conflict.triple)

    def settled(self, conflict: Conflict) -> State:
        """Return the state that stands where the conflict was."""
        sides = {Side.BASE: conflict.base, Side.OURS: conflict.ours, Side.THEIRS: conflict.theirs}
        return sides[self.take] if self.take else self.state


Resolve = Mapping[Path, Resolution]


@dataclass(frozen=True, slots=True)
class _Sides:
    base: State
    ours: State
    theirs: State

    def inside(self, key: str) -> "_Sides":
        return _Sides(_member(self.base, key), _member(self.ours, key), _member(self.theirs, key))


def merge_carried(ours: State, carried: Carried, resolve: Resolve | None = None, *, last: State = MISSING) -> Merged:
    """Apply carried changes to ``ours``.

    A path is a conflict if ours is neither its base nor what the changes make it. ``last`` is what ours showed
    last, for an entity that it no longer shows: changes inside it are modify against delete.
    """
    ground = last if ours is MISSING and not isinstance(carried.changes, Replace) else ours
    sides = _Sides(apply(ground, carried.base), ours, apply(ground, carried.changes))
    return _merge(sides, carried.changes, resolve)


def merge_states(base: State, ours: State, theirs: State, resolve: Resolve | None = None) -> Merged:
    """Apply what turns ``base`` into ``theirs`` to ``ours``."""
    return _merge(_Sides(base, ours, theirs), diff(base, theirs), resolve)


def _merge(sides: _Sides, changes: Patch, resolve: Resolve | None) -> Merged:
    merging = _Merging(resolve or {})
    return Merged(merging.changed((), sides, changes), merging.conflicts, merging.resolved)


class _Merging:
    def __init__(self, resolve: Resolve) -> None:
        self.resolve = resolve
        self.conflicts: list[Conflict] = []
        self.resolved: list[Conflict] = []

    def changed(self, path: Path, sides: _Sides, changes: Patch) -> State:
        """Merge below ``path``, where ``changes`` are what theirs does."""
        if not changes or same(sides.ours, sides.theirs):
            return sides.ours
        if isinstance(changes, Replace):
            return self.replaced(path, sides)
        if isinstance(sides.base, dict) and isinstance(sides.ours, dict):
            return self.inside(path, sides, sides.ours, changes)
        return self.conflict(path, sides)

    def replaced(self, path: Path, sides: _Sides) -> State:
        """Merge a value that theirs replaced whole. Objects that both sides made are merged key by key."""
        if same(sides.base, sides.ours):
            return sides.theirs
        base = {} if sides.base is MISSING else sides.base
        if isinstance(base, dict) and isinstance(sides.ours, dict) and isinstance(sides.theirs, dict):
            changes = diff(base, sides.theirs)
            if not isinstance(changes, Replace):
                return self.inside(path, _Sides(base, sides.ours, sides.theirs), sides.ours, changes)
        return self.conflict(path, sides)

    def inside(self, path: Path, sides: _Sides, ours: dict[str, Value], changes: Mapping[str, Patch]) -> State:
        merged = dict(ours)
        for key, inner in changes.items():
            state = self.changed((*path, key), sides.inside(key), inner)
            if state is MISSING:
                merged.pop(key, None)
            else:
                merged[key] = state
        return merged

    def conflict(self, path: Path, sides: _Sides) -> State:
        found = Conflict(path, sides.base, sides.ours, sides.theirs)
        resolution = self.resolve.get(path)
        if resolution is None or not resolution.settles(found):
            self.conflicts.append(found)
            return sides.ours
        self.resolved.append(found)
        return resolution.settled(found)


def _member(state: State, key: str) -> State:
    return state.get(key, MISSING) if isinstance(state, dict) else MISSING
