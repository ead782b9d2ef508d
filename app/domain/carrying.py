"""What a line of generations carries to production, and what it had seen there (semantics §3, §11.1, §11.12).

Each layer of a line has a *base*: for every path that it overrides and that is carried, the state that the parent
showed when the environment overrode it. A path of a layer without a base still resolves and is never carried:
it was promoted already, mirrored from production, or reverted below a checkpoint.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from app.domain.patch import NOTHING, Patch, Replace, apply, compose, diff
from app.domain.values import MISSING, State


@dataclass(frozen=True, slots=True)
class LineLayer:
    """A layer of a line: what it overrides, and the base of what it carries."""

    patch: Patch
    base: Patch


NO_LAYER = LineLayer(NOTHING, NOTHING)


@dataclass(frozen=True, slots=True)
class Carried:
    """All that a line carries for one entity: the changes as one patch, and the base below each of them."""

    changes: Patch
    base: Patch


def base_of(layer: Patch, seen: State) -> Patch:
    """Return the base of a layer that carries all it overrides, overridden when the parent showed ``seen``."""
    if isinstance(layer, Replace):
        return Replace(seen)
    return {key: base_of(inner, _member(seen, key)) for key, inner in layer.items()}


def next_base(parent: State, old: LineLayer, new: Patch, change: Patch, *, carried: bool = True) -> Patch:
    """Return the base of the layer ``new`` that a write puts in the place of ``old``.

    ``change`` is what the write does to the effective document. Only the paths that it touches count: overriding a
    path for the first time takes what ``parent`` shows as its base, and nothing later moves that (§11.1). What is
    overridden without being carried stays so until it is written to; ``carried`` is False for a write that never is.
    Such a write into something that is overridden as a whole has been seen there since: it moves the base along.
    """
    uncarried = _not_carried(old.patch, old.base)
    seen = apply(apply(parent, uncarried), old.base)
    if carried:
        return _next(new, seen, change, uncarried)
    return _next_beside(new, seen, change, uncarried, old.base)


def _next(new: Patch, seen: State, change: Patch, uncarried: Patch) -> Patch:
    if isinstance(new, Replace):
        return Replace(seen) if change or not uncarried else NOTHING
    found = {
        key: _next(inner, _member(seen, key), _inside(change, key), _inside(uncarried, key))
        for key, inner in new.items()
    }
    return {key: below for key, below in found.items() if below}


def _next_beside(new: Patch, seen: State, change: Patch, uncarried: Patch, base: Patch) -> Patch:
    if not isinstance(new, Replace):
        found = {
            key: _next_beside(
                inner, _member(seen, key), _inside(change, key), _inside(uncarried, key), _inside(base, key)
            )
            for key, inner in new.items()
        }
        return {key: below for key, below in found.items() if below}
    if uncarried or isinstance(change, Replace) or (change and not base):
        return NOTHING
    return Replace(apply(seen, change))


def carried_by(line: Iterable[LineLayer]) -> Carried:
    """Return what the layers of a line, uppermost first, carry together.

    A path that a lower layer overrides without carrying it, is no longer carried from above either.
    """
    changes: Patch = NOTHING
    base: Patch = NOTHING
    for layer in line:
        others = _not_carried(layer.patch, layer.base)
        mine = without(layer.patch, others)
        changes, base = without(changes, others), without(base, others)
        changes, base = compose(changes, mine), compose(layer.base, base)
    return Carried(changes, base)


def narrowed(changes: Patch, base: Patch) -> Patch:
    """Return of ``changes`` what differs from their ``base``: a document replaced as a whole may differ in little."""
    if isinstance(changes, Replace):
        return diff(base.state, changes.state) if isinstance(base, Replace) else changes
    if isinstance(base, Replace):
        return changes
    found = {key: narrowed(inner, base[key]) if key in base else inner for key, inner in changes.items()}
    return {key: inner for key, inner in found.items() if inner}


def uncarried_by(line: Iterable[LineLayer]) -> Patch:
    """Return what the layers of a line, uppermost first, override together without carrying it."""
    uncarried: Patch = NOTHING
    for layer in line:
        uncarried = compose(without(uncarried, layer.base), _not_carried(layer.patch, layer.base))
    return uncarried


def without(patch: Patch, other: Patch) -> Patch:
    """Return ``patch`` without what it does at or below the paths that ``other`` replaces."""
    if isinstance(other, Replace):
        return NOTHING
    if isinstance(patch, Replace) or not other:
        return patch
    rest: dict[str, Patch] = {}
    for key, inner in patch.items():
        if kept := without(inner, other.get(key, NOTHING)):
            rest[key] = kept
    return rest


def _not_carried(patch: Patch, base: Patch) -> Patch:
    if isinstance(patch, Replace):
        return NOTHING if isinstance(base, Replace) else patch
    rest: dict[str, Patch] = {}
    for key, inner in patch.items():
        if kept := _not_carried(inner, _inside(base, key)):
            rest[key] = kept
    return rest


def _inside(patch: Patch, key: str) -> Patch:
    return patch if isinstance(patch, Replace) else patch.get(key, NOTHING)


def _member(state: State, key: str) -> State:
    return state.get(key, MISSING) if isinstance(state, dict) else MISSING
