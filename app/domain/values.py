"""JSON values as Strata holds them: exact numbers, and a mark for "there is nothing here".

A value is ``None``, ``bool``, ``int``, ``Decimal``, ``str``, ``list`` or ``dict``; never ``float``. Values
are treated as immutable: whoever changes one makes a new one.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Final

Value = None | bool | int | Decimal | str | list["Value"] | dict[str, "Value"]


class Missing(Enum):
    """The absence of a value, which JSON's ``null`` is not."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
State = Value | Missing
"""The effective state of an entity: its document, or MISSING where the entity is not visible."""


def canonical_number(number: Decimal) -> int | Decimal:
    """Return the one spelling of a number: no exponent above zero, no negative zero, digits kept.

    ``1e2`` becomes ``100``, ``-0.0`` becomes ``0.0``; ``1.10`` stays ``1.10``. This is how PostgreSQL's
    ``jsonb`` spells numbers, so a document compares equal before and after it was stored.
    """
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError("not a finite number")
    if exponent >= 0:
        return int(number)
    return number.copy_abs() if number.is_zero() else number


def same(a: State, b: State) -> bool:
    """Return whether two states are equal, digits included: ``1``, ``1.0`` and ``true`` all differ."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, dict) and isinstance(b, dict):
        return len(a) == len(b) and all(key in b and same(item, b[key]) for key, item in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Decimal) and isinstance(b, Decimal):
        return not a.compare_total(b)
    return a == b


def lookup(state: State, path: tuple[str, ...]) -> State:
    """Return what stands at ``path`` (object keys, or array positions in decimal), or MISSING."""
    for key in path:
        if isinstance(state, Mapping):
            state = state.get(key, MISSING)
        elif isinstance(state, list) and is_index(key) and int(key) < len(state):
            state = state[int(key)]
        else:
            return MISSING
    return state


def is_index(key: str) -> bool:
    """Return whether a key is a position of an array, as paths write it."""
    return key.isascii() and key.isdigit() and len(key) < 10 and (key == "0" or key[0] != "0")


def put(state: State, path: tuple[str, ...], value: Value) -> Value:
    """Return ``state`` with ``value`` at ``path``; objects on the way are made where nothing stands.

    Raises LookupError where the path leads into a scalar or past the end of an array.
    """
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(state, list):
        if not is_index(key) or int(key) >= len(state):
            raise LookupError(key)
        return [put(item, rest, value) if index == int(key) else item for index, item in enumerate(state)]
    if state is not MISSING and not isinstance(state, dict):
        raise LookupError(key)
    members = {} if state is MISSING else state
    return {**members, key: put(members.get(key, MISSING), rest, value)}
