"""The merge rules a second time, written as differently as possible: over flat facts, not nested patches.

A document is a table of facts: for each path the scalar or array there, or OBJECT. Laws compare the two.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

from app.domain.values import MISSING, State, Value


class Fact(Enum):
    OBJECT = "object"


OBJECT: Final = Fact.OBJECT
Keys = tuple[str, ...]
Facts = dict[Keys, Value | Fact]


def facts(state: State) -> Facts:
    if state is MISSING:
        return {}
    if not isinstance(state, dict):
        return {(): state}
    below = {(key, *path): fact for key, item in state.items() for path, fact in facts(item).items()}
    return {(): OBJECT, **below}


def rebuilt(known: Facts) -> State:
    if () not in known:
        return MISSING
    if (fact := known[()]) is not OBJECT:
        return fact
    parts: dict[str, Facts] = {}
    for path in known:
        if path:
            parts.setdefault(path[0], {})[path[1:]] = known[path]
    return {key: item for key, part in parts.items() if (item := rebuilt(part)) is not MISSING}


def write(known: Facts, path: Keys, state: State) -> Facts:
    kept = {at: fact for at, fact in known.items() if at[: len(path)] != path}
    above: Facts = {path[:length]: OBJECT for length in range(len(path))}
    return kept | above | {path + at: fact for at, fact in facts(state).items()}


def split(pointer: str) -> Keys:
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:])


def merged(state: State, patch: Mapping[str, Value]) -> State:
    """Return ``state`` under a patch in its flat form."""
    unset, set_ = patch["unset"], patch["set"]
    assert isinstance(unset, list)
    assert isinstance(set_, dict)
    known = facts(state)
    for pointer in unset:
        known = write(known, split(str(pointer)), MISSING)
    for pointer, value in set_.items():
        known = write(known, split(pointer), value)
    return rebuilt(known)


def resolved(stack: Sequence[Mapping[str, Value]]) -> State:
    """Return what a stack of layers in flat form shows: one that merges over nothing is hidden."""
    shown: State = MISSING
    for layer in stack:
        set_ = layer["set"]
        stands_alone = isinstance(set_, dict) and "" in set_
        if shown is not MISSING or stands_alone:
            shown = merged(shown, layer)
    return shown


def merge_patched(state: State, patch: Value) -> State:
    """Return ``state`` under an RFC 7396 merge patch."""
    known = facts(state)
    for path, fact in facts(patch).items():
        if fact is None and path:
            known = write(known, path, MISSING)
        elif fact is not OBJECT:
            known = write(known, path, fact)
        elif known.get(path) is not OBJECT:
            known = write(known, path, {})
    return rebuilt(known)
