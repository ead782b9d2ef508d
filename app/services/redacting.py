"""Protected values in answers that are kept for repeated requests, as ``app.storage.typed`` stores them."""

from app.domain.pointer import parse_pointer
from app.domain.protected import Places, Protection
from app.domain.values import Value

_PATCHES = ("overrides", "forward", "reverse")
_SIDES = ("base", "ours", "theirs", "result", "state")


def answer(value: Value, protected: Protection) -> Value:
    """Return a kept answer with markers in documents, changes, conflicts and resolutions."""
    if isinstance(value, list):
        return [answer(item, protected) for item in value]
    if not isinstance(value, dict):
        return value
    entity, path, kind = value.get("entity"), value.get("path"), value.get("kind")
    if isinstance(entity, dict) and isinstance(entity.get("kind"), str):
        return _of_document(value, protected.of(str(entity["kind"])))
    if isinstance(path, str) and isinstance(kind, str) and any(side in value for side in _SIDES):
        return _of_place(value, protected.of(kind), path)
    return {name: answer(item, protected) for name, item in value.items()}


def _of_document(value: dict[str, Value], places: Places) -> dict[str, Value]:
    masked = dict(value)
    for name in _PATCHES:
        patch = value.get(name)
        if isinstance(patch, dict):
            masked[name] = dict(places.mask_flat(patch))
    # A state stands in a list, which is empty for none.
    if isinstance(state := value.get("state"), list):
        masked["state"] = [places.mask_below((), item) for item in state]
    return masked


def _of_place(value: dict[str, Value], places: Places, path: str) -> dict[str, Value]:
    masked = dict(value)
    for name in _SIDES:
        if isinstance(side := value.get(name), list):
            masked[name] = [places.mask_plain(parse_pointer(path), item) for item in side]
    return masked
