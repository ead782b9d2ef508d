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
