"""The scalars that are not GraphQL's own. ``JSON`` carries documents exactly (semantics §2).

A JSON value given in variables was read by ``parse_json``; one written as a literal is built here from the
digits of the source. Shown values are encoded at once: a ``null`` inside ``JSON!`` is a value, not an absence.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, NewType, cast
from uuid import UUID

import msgspec
import strawberry
from graphql import (
    BooleanValueNode,
    FloatValueNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    VariableNode,
)
from graphql.pyutils import Undefined, UndefinedType
from strawberry.types.scalar import ScalarDefinition

from app.domain.errors import DomainError
from app.domain.json_text import parse_json
from app.domain.pointer import Path, format_pointer, parse_pointer
from app.domain.values import Value, canonical_number
from app.storage import codec

JSON = NewType("JSON", object)
JSONPointer = NewType("JSONPointer", tuple[str, ...])
BigInt = NewType("BigInt", int)

_SAFE_INTEGER: Final = 2**53 - 1


class UnreadableValue(ValueError):
    """What a client wrote is no value of the scalar; GraphQL puts the message behind the place and the value."""


def shown(value: Value) -> JSON:
    """Return ``value`` as a field of type JSON gives it out."""
    return JSON(msgspec.Raw(codec.encode(value)))


def given(value: JSON) -> Value:
    """Return the value of an argument of type JSON."""
    return cast(Value, value)


def _json_literal(node: ValueNode, variables: Mapping[str, object] | None = None) -> object:
    value = _literal(node, variables or {})
    return None if isinstance(value, UndefinedType) else value


def _literal(node: ValueNode, variables: Mapping[str, object]) -> Value | UndefinedType:
    match node:
        case NullValueNode():
            return None
        case StringValueNode() | BooleanValueNode():
            return node.value
        case IntValueNode() | FloatValueNode():
            return _number(node.value)
        case VariableNode():
            return _variable(variables.get(node.name.value, Undefined))
        case ListValueNode():
            items = (_literal(item, variables) for item in node.values)
            return [None if isinstance(item, UndefinedType) else item for item in items]
        case ObjectValueNode():
            members = ((member.name.value, _literal(member.value, variables)) for member in node.fields)
            return {name: item for name, item in members if not isinstance(item, UndefinedType)}
    raise UnreadableValue("JSON has no enum values; write a string.")


def _number(text: str) -> Value:
    try:
        return parse_json(text)
    except DomainError as error:
        raise UnreadableValue(error.message) from None


def _variable(value: object) -> Value | UndefinedType:
    # A variable declared as Float has lost its digits in GraphQL's own scalar; what is left is kept exactly.
    if isinstance(value, float):
        return canonical_number(Decimal(repr(value)))
    return cast("Value | UndefinedType", value)


def _pointer(text: object) -> Path:
    try:
        return parse_pointer(_text(text))
    except DomainError as error:
        raise UnreadableValue(error.message) from None


def _uuid(text: object) -> UUID:
    try:
        return UUID(_text(text))
    except ValueError:
        raise UnreadableValue("A UUID has 32 hexadecimal digits.") from None


def _moment(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(text))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise UnreadableValue("A DateTime is an ISO 8601 time with its offset, as 2026-03-25T12:00:00Z.")


def moment_text(moment: datetime) -> str:
    """Return a moment as it is given out everywhere: ISO 8601, UTC, with a Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _big_int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _SAFE_INTEGER:
        raise UnreadableValue("A BigInt is a whole number between -(2^53 - 1) and 2^53 - 1.")
    return value


def _big_int_literal(node: ValueNode, variables: Mapping[str, object] | None = None) -> int:
    return _big_int(_number(node.value) if isinstance(node, IntValueNode) else None)


def _decimal(value: object) -> int | Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | float):
        raise UnreadableValue("A number is needed here.")
    # A variable declared as Float has lost its digits in GraphQL's own scalar; what is left is kept exactly.
    return canonical_number(Decimal(repr(value))) if isinstance(value, float) else value


def _decimal_literal(node: ValueNode, variables: Mapping[str, object] | None = None) -> int | Decimal:
    return _decimal(_number(node.value) if isinstance(node, IntValueNode | FloatValueNode) else None)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise UnreadableValue("A string is needed here.")
    return value


SCALARS: Final[Mapping[object, ScalarDefinition]] = {
    JSON: strawberry.scalar(
        name="JSON",
        description=(
            "Any JSON value (RFC 8259). Numbers keep all their digits, in both directions and in literals as "
            "well as in variables. What cannot be stored (U+0000, lone surrogates) is refused."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=lambda value: value,
        parse_value=lambda value: value,
        parse_literal=_json_literal,
    ),
    JSONPointer: strawberry.scalar(
        name="JSONPointer",
        description=(
            'Where a value stands in a document (RFC 6901): "/config/flags/0". The whole document is "". In keys, '
            '"~" is written "~0" and "/" is written "~1".'
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc6901",
        serialize=format_pointer,
        parse_value=_pointer,
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A whole number from -(2^53 - 1) to 2^53 - 1, sent as a JSON number.",
        serialize=lambda value: value,
        parse_value=_big_int,
        parse_literal=_big_int_literal,
    ),
    Decimal: strawberry.scalar(
        name="Decimal",
        description="A number with all its digits, sent as a JSON number.",
        serialize=lambda value: value,
        parse_value=_decimal,
        parse_literal=_decimal_literal,
    ),
    UUID: strawberry.scalar(
        name="UUID",
        description="A UUID (RFC 9562) in its text form, lower case: 8-4-4-4-12 hexadecimal digits.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc9562",
        serialize=str,
        parse_value=_uuid,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description=(
            "A moment in ISO 8601, as 2026-03-25T12:00:00Z. Always given out in UTC; taken with any offset, but "
            "never without one."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=moment_text,
        parse_value=_moment,
    ),
}
