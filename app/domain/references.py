"""References to sealed values, as they stand in stored documents: ``{"$protected": number}``.

The number is too long for any document that a user may write, so a reference is never taken for data, nor data for
one. To patches it is one value, and no object with a member.
"""

from typing import Final
from uuid import UUID

from app.domain.json_text import DEFAULT_LIMITS
from app.domain.values import State, Value

MARK: Final = "$protected"
_FIRST: Final = 10**DEFAULT_LIMITS.integer_digits


def reference(uuid: UUID) -> Value:
    """Return the reference to a sealed value."""
    return {MARK: _FIRST + uuid.int}


def referred(value: State) -> UUID | None:
    """Return which sealed value ``value`` refers to, or None if it is no reference."""
    if isinstance(value, dict) and len(value) == 1:
        number = value.get(MARK)
        if type(number) is int and number >= _FIRST:
            return UUID(int=number - _FIRST)
    return None


def references_in(value: Value, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], UUID]]:
    """Return the references in a value, with where they stand."""
    if not isinstance(value, dict):
        return []
    found = referred(value)
    if found is not None:
        return [(path, found)]
    return [item for key, inner in value.items() for item in references_in(inner, (*path, key))]
