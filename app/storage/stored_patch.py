"""The form in which a layer's patch is stored: ``whole`` document, ``patch``, or ``tombstone``."""

from app.domain.patch import REMOVE, Patch, Replace, from_json, to_json
from app.domain.values import MISSING, State
from app.storage.codec import dumps, loads


def patch_of(form: str, data: str | None) -> Patch:
    """Return what a stored layer says."""
    return patch_from(form, MISSING if data is None else loads(data))


def patch_from(form: str, data: State) -> Patch:
    """Return what a layer says whose data is read already; a tombstone has none."""
    if data is MISSING:
        return REMOVE
    if form == "whole":
        return Replace(data)
    if not isinstance(data, dict):
        raise ValueError("a stored patch is no object")
    return from_json(data)


def stored_form(patch: Patch) -> tuple[str, str | None]:
    """Return form and data under which a layer is stored."""
    if not isinstance(patch, Replace):
        return "patch", dumps(to_json(patch))
    if patch.state is MISSING:
        return "tombstone", None
    return "whole", dumps(patch.state)
