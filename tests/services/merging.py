"""The model's own three-way merge, by the leaves that an environment overrides and what it remembers of each (§3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.values import MISSING, State, Value
from tests.services.model import Leaves, exact, overrides

Path = tuple[str, ...]


def same(one: State, other: State) -> bool:
    return bool(exact(one) == exact(other))


def found(state: State, path: Path) -> State:
    for key in path:
        if not isinstance(state, dict) or key not in state:
            return MISSING
        state = state[key]
    return state


def laid(state: State, path: Path, value: State) -> State:
    """Return ``state`` with ``value`` at ``path``, with objects wherever none stands on the way."""
    if not path:
        return value
    members = dict(state) if isinstance(state, dict) else {}
    inner = laid(members.get(path[0], MISSING), path[1:], value)
    if inner is MISSING:
        members.pop(path[0], None)
    else:
        members[path[0]] = inner
    return members


def all_laid(state: State, leaves: Leaves) -> State:
    for path, value in leaves.items():
        state = laid(state, path, value)
    return state


def starts(path: Path, top: Path) -> bool:
    return path[: len(top)] == top


def added(upper: Leaves, lower: Leaves) -> Leaves:
    """Return the leaves of two layers as one's: a lower one stands over what is at and below it, or goes into it."""
    result = dict(upper)
    for path, value in lower.items():
        above = next((top for top in result if starts(path, top) and top != path), None)
        if above is not None:
            result[above] = laid(result[above], path[len(above) :], value)
            continue
        result = {place: state for place, state in result.items() if not starts(place, path)}
        result[path] = value
    return result


def bases_added(upper: Leaves, lower: Leaves) -> Leaves:
    """Return the bases of two layers as one's: what the upper one remembers is older, and goes before."""
    return added(lower, upper)


@dataclass
class Conflicts:
    """What a merge came to: the state, and the sides of what both changed by path."""

    state: State
    open: dict[Path, tuple[State, State, State]] = field(default_factory=dict)


Resolve = Mapping[Path, State]
"""What is to stand at each conflict's path; MISSING deletes."""


def three_way(base: State, ours: State, theirs: State, changed: Leaves, resolve: Resolve | None = None) -> Conflicts:
    """Bring the leaves ``changed`` of ``theirs`` to ``ours``, one after the other."""
    result = Conflicts(ours)
    for path in changed:
        _bring(result, path, (base, ours, theirs), resolve or {})
    return result


def _bring(result: Conflicts, path: Path, states: tuple[State, State, State], resolve: Resolve) -> None:
    for length in range(len(path)):
        sides = _at(states, path[:length])
        if same(sides[1], sides[2]):
            return
        if not isinstance(sides[0], dict) or not isinstance(sides[1], dict):
            _conflict(result, path[:length], sides, resolve)
            return
    base, ours, theirs = sides = _at(states, path)
    if same(ours, theirs):
        return
    if same(base, ours):
        result.state = laid(result.state, path, theirs)
        return
    before: State = {} if base is MISSING else base
    if isinstance(before, dict) and isinstance(ours, dict) and isinstance(theirs, dict):
        inner = {(*path, *place): value for place, value in overrides(before, theirs).items()}
        based = (laid(states[0], path, before), states[1], states[2])
        for place in inner:
            _bring(result, place, based, resolve)
        return
    _conflict(result, path, sides, resolve)


def _at(states: tuple[State, State, State], path: Path) -> tuple[State, State, State]:
    base, ours, theirs = (found(state, path) for state in states)
    return base, ours, theirs


def _conflict(result: Conflicts, path: Path, sides: tuple[State, State, State], resolve: Resolve) -> None:
    if path in resolve:
        result.state = laid(result.state, path, resolve[path])
    else:
        result.open[path] = sides


def restrict(leaves: Leaves, paths: list[Path]) -> Leaves:
    return {path: value for path, value in leaves.items() if any(starts(path, top) for top in paths)}


def kept(leaves: Leaves, gone: Leaves) -> Leaves:
    """Return the leaves that do not stand at or below one that is gone."""
    return {path: value for path, value in leaves.items() if not any(starts(path, top) for top in gone)}


def next_bases(parent: State, row: Leaves, bases: Leaves, wanted: Leaves, touched: Leaves, *, carried: bool) -> Leaves:
    """Return what is remembered of the leaves ``wanted`` that a write puts in the place of ``row``.

    A leaf that was there keeps what was remembered, or that it is not carried unless it is touched. A new one
    remembers what was to be seen there: the parent's, with what is older laid over it.
    """
    others = {path: value for path, value in row.items() if path not in bases}
    seen = all_laid(all_laid(parent, others), bases)
    result: Leaves = {}
    for path in wanted:
        is_touched = any(starts(place, path) or starts(path, place) for place in touched)
        was_free = any(starts(path, place) for place in others)
        if carried if is_touched else not was_free:
            result[path] = found(seen, path)
    return result


def copy(value: Value) -> Value:
    return {key: copy(item) for key, item in value.items()} if isinstance(value, dict) else value
