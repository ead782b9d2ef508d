"""The one strict reader of JSON, and the limits of what a document may hold (RFC 8259, hardening.md J1)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Final, NoReturn

from app.domain.errors import MalformedJson, ValueNotStorable
from app.domain.pointer import MAX_KEYS, format_pointer
from app.domain.values import Value, canonical_number

_Container = list[Value] | dict[str, Value]
_CONTAINERS: Final = (dict, list)
_Place = tuple["_Place", str | int] | None


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one document: nesting levels, keys in all, bytes of a key, characters of a string, digits."""

    depth: int = MAX_KEYS
    keys: int = 10_000
    key_bytes: int = 256
    string_length: int = 262_144
    integer_digits: int = 309
    fraction_digits: int = 400


DEFAULT_LIMITS: Final = Limits()
MAX_NESTING: Final = 2 * MAX_KEYS
"""Levels of the deepest text that is read: a document inside a request, and far from Python's recursion limit."""


class _Refused(ValueError):
    pass


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    document: dict[str, Value] = {}
    for key, value in pairs:
        if key in document:
            raise _Refused(f"an object has the key {json.dumps(key[:64])} twice")
        document[key] = value
    return document


def exact_number(text: str) -> int | Decimal:
    """Return the number of a JSON text that has a point or an exponent. Raises ValueError beyond the limits."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _Refused(f"the number {text[:40]} is out of range") from None
    if not number.is_zero() and number.adjusted() >= DEFAULT_LIMITS.integer_digits:
        raise _Refused(f"the number {text[:40]} is larger than 1e{DEFAULT_LIMITS.integer_digits - 1}")
    return canonical_number(number)


def _constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is no JSON value")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=exact_number, parse_constant=_constant, strict=True)


def parse_json(raw: bytes | str) -> Value:
    """Return the value of a JSON text. Numbers keep their digits.

    Raises MalformedJson on anything that RFC 8259 does not allow or leaves undefined: another encoding than
    UTF-8, a byte order mark, NaN and Infinity, a key that stands twice in an object, nesting beyond all use.
    """
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
        value: Value = _decoder.decode(text)
        _check_nesting(text, value)
    except UnicodeDecodeError as error:
        raise MalformedJson(f"The body is not UTF-8: byte {error.start} cannot be read.") from None
    except json.JSONDecodeError as error:
        raise MalformedJson(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            line=error.lineno,
            column=error.colno,
        ) from None
    except _Refused as error:
        raise MalformedJson(f"The JSON cannot be used: {error}.") from None
    except RecursionError:
        raise MalformedJson("The JSON is nested too deeply.") from None
    except ValueError:
        raise MalformedJson("The JSON has an integer with too many digits.") from None
    return value


def _check_nesting(text: str, value: Value) -> None:
    if text.count("[") + text.count("{") <= MAX_NESTING:
        return
    level: list[_Container] = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(MAX_NESTING):
        level = [inner for container in level for inner in _members(container) if isinstance(inner, _CONTAINERS)]
    if level:
        raise _Refused(f"it is nested deeper than {MAX_NESTING} levels")


def _members(container: _Container) -> Iterable[Value]:
    return container.values() if isinstance(container, dict) else container


def check_storable(value: Value, limits: Limits = DEFAULT_LIMITS) -> Value:
    """Return ``value`` if a document may hold it, else raise ValueNotStorable with the path.

    Refused are what PostgreSQL's ``jsonb`` cannot hold (U+0000, lone surrogates) and what passes the limits.
    """
    keys = 0
    # A place is its parent's place and its key: a path is made of it only where one has to be shown.
    pending: list[tuple[_Container, _Place, int]] = [([value], None, 0)]
    while pending:
        container, place, depth = pending.pop()
        if isinstance(container, dict):
            keys += len(container)
            if keys > limits.keys:
                raise _not_storable(place, f"the document has more than {limits.keys:,} keys")
        for key, item in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(key, str) and (fault := _key_fault(key, limits)):
                raise _not_storable(place, fault)
            if fault := _fault(item, depth, limits):
                raise _not_storable((place, key), fault)
            if isinstance(item, _CONTAINERS):
                pending.append((item, (place, key), depth + 1))
    return value


def _fault(item: Value, depth: int, limits: Limits) -> str | None:
    if isinstance(item, str):
        return _string_fault(item, limits)
    if isinstance(item, _CONTAINERS):
        return f"it is nested deeper than {limits.depth} levels" if depth >= limits.depth else None
    return None if item is None else _number_fault(item, limits)


def _string_fault(text: str, limits: Limits) -> str | None:
    if len(text) > limits.string_length:
        return f"a string is longer than {limits.string_length:,} characters"
    return unstorable_text(text)


def _key_fault(key: str, limits: Limits) -> str | None:
    if fault := unstorable_text(key):
        return f"in a key, {fault}"
    if len(key.encode()) > limits.key_bytes:
        return f"a key is longer than {limits.key_bytes:,} bytes"
    return None


def unstorable_text(text: str) -> str | None:
    """Return why PostgreSQL cannot hold ``text``, or None if it can."""
    if "\0" in text:
        return "the character U+0000 cannot be stored"
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return "a lone surrogate (half of a UTF-16 pair) cannot be stored"
    return None


def _number_fault(number: int | Decimal, limits: Limits) -> str | None:
    if isinstance(number, int):
        if abs(number) >= _power_of_ten(limits.integer_digits):
            return f"a number has more than {limits.integer_digits} digits"
        return None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > limits.fraction_digits:
        return f"a number has more than {limits.fraction_digits} digits after the point"
    if number.adjusted() >= limits.integer_digits:
        return f"a number has more than {limits.integer_digits} digits before the point"
    return None


@cache
def _power_of_ten(exponent: int) -> int:
    return int(10**exponent)


def _not_storable(place: _Place, reason: str) -> ValueNotStorable:
    keys: list[str] = []
    while place is not None:
        place, key = place
        keys.append(str(key))
    path = tuple(reversed(keys))[1:]
    shown = format_pointer(path).encode("utf-8", "replace").decode()[:200]
    return ValueNotStorable(f"The value at {shown!r} cannot be stored: {reason}.", path=shown)
