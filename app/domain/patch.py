"""Patches: what one layer or one change says about a document (semantics §2).

A patch either replaces what is there (``Replace``, with MISSING: removes it) or merges key by key (a mapping
of key to patch). The empty mapping changes nothing. Laws, for all values and patches:

- ``apply(a, diff(a, b)) == b``, and ``diff(a, a)`` is empty
- ``apply(apply(a, p), q) == apply(a, compose(p, q))``
- ``apply(apply(a, p), reverse(a, p)) == a``

Stored and shown, a patch is flat: ``{"set": {pointer: value}, "unset": [pointer]}``. A value that is set
replaces whatever stood there, objects included; merging is what the length of the pointers says.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from app.domain.pointer import Path, format_pointer, parse_pointer
from app.domain.references import referred
from app.domain.values import MISSING, State, Value, same


@dataclass(frozen=True, slots=True)
class Replace:
    """Put ``state`` here, whatever was here before; MISSING removes."""

    state: State


Patch = Replace | Mapping[str, "Patch"]

NOTHING: Final[Patch] = {}
REMOVE: Final = Replace(MISSING)


def apply(state: State, patch: Patch) -> State:
    """Return ``state`` with ``patch`` applied. Total: merging into what is no object starts from ``{}``."""
    if isinstance(patch, Replace):
        return patch.state
    if not patch:
        return state
    merged = dict(state) if isinstance(state, dict) and referred(state) is None else {}
    for key, inner in patch.items():
        item = apply(merged.get(key, MISSING), inner)
        if item is MISSING:
            merged.pop(key, None)
        else:
            merged[key] = item
    return merged


def diff(old: State, new: State) -> Patch:
    """Return the smallest patch that turns ``old`` into ``new``; arrays differ as whole values."""
    if old is new:
        return NOTHING
    if not (isinstance(old, dict) and isinstance(new, dict)) or referred(old) or referred(new):
        return NOTHING if same(old, new) else Replace(new)
    patch: dict[str, Patch] = {key: REMOVE for key in old if key not in new}
    for key, item in new.items():
        if inner := diff(old.get(key, MISSING), item):
            patch[key] = inner
    return patch


def compose(first: Patch, second: Patch) -> Patch:
    """Return the one patch that does what ``first`` and then ``second`` do."""
    if isinstance(second, Replace) or not first:
        return second
    if isinstance(first, Replace):
        return Replace(apply(first.state, second)) if second else first
    composed = dict(first)
    for key, inner in second.items():
        composed[key] = compose(composed[key], inner) if key in composed else inner
    return composed


def reverse(state: State, patch: Patch) -> Patch:
    """Return the patch that undoes ``patch`` after it was applied to ``state``."""
    return diff(apply(state, patch), state)


def is_empty(patch: Patch) -> bool:
    """Return whether ``patch`` changes nothing whatever it is applied to."""
    return not isinstance(patch, Replace) and not patch


def leaves(patch: Patch, path: Path = ()) -> Iterator[tuple[Path, State]]:
    """Yield each path that ``patch`` replaces with its new state; MISSING where it removes."""
    if isinstance(patch, Replace):
        yield path, patch.state
        return
    for key, inner in patch.items():
        yield from leaves(inner, (*path, key))


def at(path: Path, patch: Patch) -> Patch:
    """Return ``patch`` moved below ``path``."""
    for key in reversed(path):
        patch = {key: patch}
    return patch


def restrict(patch: Patch, paths: Collection[Path]) -> Patch:
    """Return the part of ``patch`` at or below one of ``paths``."""
    if any(not path for path in paths):
        return patch
    if isinstance(patch, Replace):
        return NOTHING
    chosen: dict[str, Patch] = {}
    for key, inner in patch.items():
        if below := restrict(inner, [path[1:] for path in paths if path[0] == key]):
            chosen[key] = below
    return chosen


def to_json(patch: Patch) -> dict[str, Value]:
    """Return the flat form of ``patch``, as it is stored and shown."""
    set_: dict[str, Value] = {}
    unset: list[Value] = []
    for path, state in leaves(patch):
        if state is MISSING:
            unset.append(format_pointer(path))
        else:
            set_[format_pointer(path)] = state
    return {"set": set_, "unset": unset}


def from_json(flat: Mapping[str, Value]) -> Patch:
    """Return the patch of a flat form that ``to_json`` made."""
    set_, unset = flat["set"], flat["unset"]
    if not isinstance(set_, dict) or not isinstance(unset, list):
        raise ValueError("not the flat form of a patch")
    root: dict[str, Patch] = {}
    for pointer, value in set_.items():
        if not pointer:
            return Replace(value)
        _put(root, pointer, Replace(value))
    for removed in map(str, unset):
        if not removed:
            return REMOVE
        _put(root, removed, REMOVE)
    return root


def _put(root: dict[str, Patch], pointer: str, leaf: Replace) -> None:
    *parents, last = parse_pointer(pointer)
    node = root
    for key in parents:
        inner = node.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ValueError("a patch replaces at and below one pointer")
        node = inner
    node[last] = leaf
