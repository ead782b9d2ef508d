"""What laws compare by: states in other objects, spellings and lengths; patches part by part."""

from decimal import Decimal
from typing import Final

import msgspec

from app.domain.patch import Patch, Replace, from_json, leaves, to_json
from app.domain.pointer import Path, format_pointer
from app.domain.values import MISSING, State, same

_encoder: Final = msgspec.json.Encoder(decimal_format="number", order="sorted")
_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)


def text_of(state: State) -> bytes:
    return b"" if state is MISSING else _encoder.encode(state)


def copy_of(state: State) -> State:
    """Return the state in other objects, its numbers too."""
    return MISSING if state is MISSING else _decoder.decode(_encoder.encode(state))


def respelled(state: State) -> State:
    """Return the state with the numbers equal in size but not in digits, and with true and false as numbers."""
    match state:
        case dict():
            return {key: item for key, old in state.items() if (item := respelled(old)) is not MISSING}
        case list():
            return [item for old in state if (item := respelled(old)) is not MISSING]
        case bool():
            return int(state)
        case int() | Decimal():
            return Decimal(f"{state:f}0" if isinstance(state, Decimal) else f"{state}.0")
    return state


def lengthened(state: State) -> State:
    """Return the state with one more item in each array."""
    match state:
        case dict():
            return {key: item for key, old in state.items() if (item := lengthened(old)) is not MISSING}
        case list():
            return [*state, None]
    return state


def alike(p: Patch, q: Patch) -> bool:
    """Return whether two patches are the same in every part, not only in what they do."""
    if isinstance(p, Replace) or isinstance(q, Replace):
        return isinstance(p, Replace) and isinstance(q, Replace) and same(p.state, q.state)
    return p.keys() == q.keys() and all(alike(inner, q[key]) for key, inner in p.items())


def paths_of(patch: Patch) -> set[Path]:
    return {path for path, _ in leaves(patch)}


def without(patch: Patch, path: Path) -> Patch:
    flat = to_json(patch)
    set_, unset = flat["set"], flat["unset"]
    assert isinstance(set_, dict)
    assert isinstance(unset, list)
    pointer = format_pointer(path)
    return from_json(
        {
            "set": {name: value for name, value in set_.items() if name != pointer},
            "unset": [name for name in unset if name != pointer],
        }
    )
