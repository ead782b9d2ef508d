"""Putting references in the place of protected values, in documents, layers and patches."""

from collections.abc import Callable, Mapping, Sequence

from app.domain.errors import ValidationFailed
from app.domain.globs import Patterns, advance
from app.domain.layers import resolve
from app.domain.patch import Patch, Replace
from app.domain.pointer import Path, format_pointer
from app.domain.protected import Places, Visit, is_marker, visit_state
from app.domain.references import MARK, referred
from app.domain.values import MISSING, State, Value, lookup

Seal = Callable[[Path, Value], Value]
"""Given a protected place and the value there, returns the reference under which it is kept."""


def seal(places: Places, state: State, keep: Seal) -> State:
    """Return the document with references in the place of protected values."""
    return visit_state(state, places.patterns, (), sealing(keep)) if places.patterns else state


def seal_flat(places: Places, flat: Mapping[str, Value], keep: Seal) -> Mapping[str, Value]:
    """Return the flat form of a patch with references in the place of protected values."""
    return places.visit_flat(flat, sealing(keep)) if places.patterns else flat


def seal_patches(places: Places, patches: Sequence[Patch], keep: Seal) -> list[Patch]:
    """Return the layers of one document's path, uppermost first, with references for protected values.

    What a layer says below a protected place becomes all that its generation shows there.
    """
    sealed: list[Patch] = []
    for position, patch in enumerate(patches):
        sealed.append(_seal_patch(patch, places.patterns, (), keep, _Merged(patches[: position + 1])))
    return sealed


def sealing(keep: Seal) -> Visit:
    """Return what puts references in the place of protected values that are not sealed yet."""

    def visit(path: Path, value: Value, is_protected: bool) -> State:
        return keep(path, value) if is_protected and referred(value) is None else value

    return visit


class _Merged:
    """What the layers of a path show together, merged when it is asked for first."""

    def __init__(self, patches: Sequence[Patch]) -> None:
        self._patches = patches
        self._state: State | None = None

    def at(self, path: Path) -> Value:
        if self._state is None:
            self._state = resolve(self._patches)
        found = lookup(self._state, path)
        if not isinstance(found, dict):
            return {}
        return {key: item for key, item in found.items() if key != MARK or referred({key: item}) is None}


def _seal_patch(patch: Patch, patterns: Patterns, path: Path, keep: Seal, merged: _Merged) -> Patch:
    if isinstance(patch, Replace):
        new = visit_state(patch.state, patterns, path, sealing(keep))
        return patch if new is patch.state else Replace(new)
    sealed: dict[str, Patch] = {}
    for key, inner in patch.items():
        here = (*path, key)
        following, hit = advance(patterns, key)
        if not hit:
            sealed[key] = _seal_patch(inner, following, here, keep, merged) if following else inner
        elif not isinstance(inner, Replace):
            sealed[key] = Replace(keep(here, merged.at(here)))
        elif inner.state is MISSING or referred(inner.state):
            sealed[key] = inner
        else:
            sealed[key] = Replace(keep(here, inner.state))
    return sealed


def seal_base(places: Places, base: Patch, keep: Seal) -> Patch:
    """Return the base of a layer with references: what it has below a protected place, at it."""
    return seal_patches(places, [base], keep)[0] if places.patterns else base


def travelling(places: Places, patch: Patch, ours: State) -> Patch:
    """Return the part of a patch that a promotion carries: nothing that it does at protected places.

    Where it replaces an object around some, that object has the sealed values of ``ours``, where it goes.
    """
    return _travelling(places, patch, places.patterns, (), ours) if places.active else patch


def _travelling(places: Places, patch: Patch, patterns: Patterns, path: Path, ours: State) -> Patch:
    if isinstance(patch, Replace):
        if patch.state is MISSING:
            return patch
        kept = visit_state(patch.state, patterns, path, lambda place, _, __: lookup(ours, place))
        for place in places.found(ours):
            if place[: len(path)] == path:
                kept = _put_back(kept, place[len(path) :], lookup(ours, place))
        return patch if kept is patch.state else Replace(kept)
    rest: dict[str, Patch] = {}
    for key, inner in patch.items():
        following, hit = advance(patterns, key)
        if hit or (isinstance(inner, Replace) and referred(inner.state)):
            continue
        if below := _travelling(places, inner, following, (*path, key), ours):
            rest[key] = below
    return rest


def take_out(places: Places, wanted: Value, keep: Seal) -> State:
    """Return a document that a writer sends, with references in the place of values and its markers as they are."""

    def visit(path: Path, value: Value, is_protected: bool) -> State:
        return value if is_marker(value) or not is_protected else keep(path, _whole(path, value))

    return visit_state(wanted, places.patterns, (), visit)


def _whole(path: Path, value: Value) -> Value:
    if isinstance(value, dict) and value.get(MARK) is True:
        pointer = format_pointer(path)
        raise ValidationFailed(
            f"The protected value at {pointer[:200]!r} is written as a whole, not member by member.",
            path=pointer[:200],
        )
    return value


def absorb(places: Places, wanted: State, before: State, fresh: Seal) -> State:
    """Return the document to be stored where a writer who saw ``before`` masked wants ``wanted``.

    A marker leaves what is there, and nothing where there is nothing; any other value at a protected place is sealed
    as a new one, even if it is the same: whoever may write must not learn what is there. Raises ValidationFailed.
    """

    def visit(path: Path, value: Value, is_protected: bool) -> State:
        if is_marker(value):
            return lookup(before, path)
        if referred(value):
            return value
        return fresh(path, _whole(path, value)) if is_protected else value

    kept = visit_state(wanted, places.patterns, (), visit) if places.patterns else wanted
    return with_references(kept, before)


def with_references(wanted: State, before: State) -> State:
    """Return what is wanted with the references of ``before`` in the place of markers that are written back."""
    if not isinstance(wanted, dict) or not isinstance(before, dict):
        return wanted
    changed: dict[str, Value] | None = None
    for key, item in wanted.items():
        old = before.get(key)
        new = old if is_marker(item) and referred(old) else with_references(item, old if old is not None else MISSING)
        if new is not item and new is not MISSING:
            changed = dict(wanted) if changed is None else changed
            changed[key] = new
    return wanted if changed is None else changed


def kept_apart(places: Places, theirs: State, ours: State) -> State:
    """Return ``theirs`` with the sealed values of ``ours``: they travel into no other environment, nor out of one.

    A sealed value that ``ours`` does not have is left out; one that ``theirs`` lacks stays, where the objects
    around it do.
    """
    if not places.active or theirs is MISSING:
        return theirs

    def visit(path: Path, value: Value, _: bool) -> State:
        return lookup(ours, path)

    kept = visit_state(theirs, places.patterns, (), visit)
    for path in places.found(ours):
        kept = _put_back(kept, path, lookup(ours, path))
    return kept


def _put_back(state: State, path: Path, value: State) -> State:
    if not path:
        return value if state is MISSING else state
    if not isinstance(state, dict):
        return state
    inner = _put_back(state.get(path[0], MISSING), path[1:], value) if len(path) > 1 else state.get(path[0], value)
    return state if inner is MISSING or inner is state.get(path[0], MISSING) else {**state, path[0]: inner}
