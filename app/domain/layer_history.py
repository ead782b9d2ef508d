"""Protected values in what undoes changes of layers: flat patches of ``{"form", "data"}``.

The data are a document, or, where the layer merges, a flat patch themselves; the change does not always say which.
A layer that merges is told by its pointers.
"""

from collections.abc import Callable, Mapping
from typing import Final

from app.domain.pointer import Path, format_pointer, parse_pointer
from app.domain.protected import Places, visit_state
from app.domain.sealing import Seal, sealing
from app.domain.values import MISSING, State, Value

_DATA: Final = "data"
_Back = Callable[[Path], str]


def seal_layer_patch(places: Places, flat: Mapping[str, Value], keep: Seal) -> Mapping[str, Value]:
    """Return the patch with references in the place of protected values, as ``sealing.seal_flat`` does."""
    set_, unset = flat.get("set"), flat.get("unset")
    if not places.patterns or not isinstance(set_, dict) or not isinstance(unset, list):
        return flat
    visit = sealing(keep)
    seen: dict[str, State] = {}
    pieces: dict[str, tuple[Path, dict[str, Value]]] = {}
    for pointer, value in set_.items():
        inner, back = _in_document(parse_pointer(pointer))
        place = places.covering(inner) if inner else None
        if place is None:
            seen[pointer] = (
                places.visit_at(inner, value, visit) if inner else _seal_around(places, pointer, value, keep)
            )
        elif place == inner:
            seen[back(place)] = visit(place, value, True)
        else:
            piece = pieces.setdefault(back(place), (place, {}))[1]
            piece[format_pointer(inner[len(place) :])] = value
    left: list[Value] = []
    for pointer in map(str, unset):
        inner, back = _in_document(parse_pointer(pointer))
        place = places.covering(inner) if inner else None
        if place is None or place == inner:
            left.append(pointer)
        else:
            pieces.setdefault(back(place), (place, {}))
    seen |= {pointer: visit(place, piece, True) for pointer, (place, piece) in pieces.items()}
    return {**flat, "set": {pointer: value for pointer, value in seen.items() if value is not MISSING}, "unset": left}


def _in_document(path: Path) -> tuple[Path, _Back]:
    """Return which place of the document a place of the layer is, ``()`` if none, and the way back."""
    if len(path) > 2 and path[:2] == (_DATA, "set") and path[2].startswith("/"):
        pointer = path[2]
        first = parse_pointer(pointer)

        def into_set(place: Path) -> str:
            if len(place) <= len(first):
                return format_pointer((_DATA, "set", format_pointer(place)))
            return format_pointer((_DATA, "set", pointer, *place[len(first) :]))

        return (*first, *path[3:]), into_set
    if len(path) > 1 and path[0] == _DATA and path[1:] not in (("set",), ("unset",)):
        return path[1:], lambda place: format_pointer((_DATA, *place))
    return (), format_pointer


def _seal_around(places: Places, pointer: str, value: Value, keep: Seal) -> Value:
    """Return a value that holds the document, or all that a merging layer sets or removes."""
    if pointer == "" and isinstance(value, dict) and _DATA in value:
        return {**value, _DATA: _seal_data(places, value[_DATA], keep)}
    if pointer == "/data":
        return _seal_data(places, value, keep)
    if pointer == "/data/set" and isinstance(value, dict) and all(key.startswith("/") for key in value):
        return _seal_data(places, {"set": value, "unset": []}, keep, "set")
    if pointer == "/data/unset" and isinstance(value, list):
        return list(dict.fromkeys(_outer(places, item) for item in value))
    return value


def _outer(places: Places, pointer: Value) -> Value:
    if not isinstance(pointer, str) or not pointer.startswith("/"):
        return pointer
    place = places.covering(parse_pointer(pointer))
    return format_pointer(place) if place else pointer


def _seal_data(places: Places, data: Value, keep: Seal, member: str | None = None) -> Value:
    if isinstance(data, dict) and data.keys() == {"set", "unset"} and _is_flat(data):
        flat = places.visit_flat(data, sealing(keep))
        return flat[member] if member else dict(flat)
    sealed = visit_state(data, places.patterns, (), sealing(keep))
    return None if sealed is MISSING else sealed


def _is_flat(data: Mapping[str, Value]) -> bool:
    set_, unset = data["set"], data["unset"]
    if not isinstance(set_, dict) or not isinstance(unset, list):
        return False
    pointers = [*set_, *unset]
    return all(isinstance(pointer, str) and pointer[:1] in ("", "/") for pointer in pointers)
