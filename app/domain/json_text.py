"""The one strict reader of JSON, and the limits of what a document may hold (RFC 8259, hardening.md J1)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, NoReturn

from app.domain.errors import MalformedJson, ValueNotStorable
from app.domain.pointer import Path, format_pointer
from app.domain.values import Value, canonical_number


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one document: nesting levels, keys in all, bytes of a key, characters of a string, digits."""

    depth: int = 64
    keys: int = 10_000
    key_bytes: int = 256
    string_length: int = 262_144
    integer_digits: int = 309
    fraction_digits: int = 400


DEFAULT_LIMITS: Final = Limits()


class _Refused(ValueError):
    pass


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    document: dict[str, Value] = {}
    for key, value in pairs:
        if key in document:
            raise _Refused(f"an object has the key {json.dumps(key[:64])} twice")
        document[key] = value
    return document


def _number(text: str) -> int | Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _Refused(f"the number {text[:40]} is out of range") from None
    if not number.is_zero() and number.adjusted() >= DEFAULT_LIMITS.integer_digits:
        raise _Refused(f"the number {text[:40]} is larger than 1e{DEFAULT_LIMITS.integer_digits - 1}")
    return canonical_number(number)


def _constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is no JSON value")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_constant=_constant, strict=True)


def parse_json(raw: bytes | str) -> Value:
    """Return the value of a JSON text. Numbers keep their digits.

    Raises MalformedJson on anything that RFC 8259 does not allow or leaves undefined: another encoding than
    UTF-8, a byte order mark, NaN and Infinity, a key that stands twice in an object, nesting beyond all use.
    """
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
        value: Value = _decoder.decode(text)
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


def check_storable(value: Value, limits: Limits = DEFAULT_LIMITS) -> Value:
    """Return ``value`` if a document may hold it, else raise ValueNotStorable with the path.

    Refused are what PostgreSQL's ``jsonb`` cannot hold (U+0000, lone surrogates) and what passes the limits.
    """
    keys = 0
    for path, item in _walk(value):
        if isinstance(item, str):
            _check_string(item, path, limits)
        elif isinstance(item, dict):
            keys += len(item)
            if keys > limits.keys:
                raise _not_storable(path, f"the document has more than {limits.keys:,} keys")
            for key in item:
                _check_key(key, path, limits)
        elif isinstance(item, int | Decimal) and not isinstance(item, bool):
            _check_number(item, path, limits)
        if len(path) >= limits.depth and isinstance(item, dict | list):
            raise _not_storable(path, f"it is nested deeper than {limits.depth} levels")
    return value


def _walk(value: Value) -> Iterator[tuple[Path, Value]]:
    stack: list[tuple[Path, Value]] = [((), value)]
    while stack:
        path, item = stack.pop()
        yield path, item
        if isinstance(item, dict):
            stack.extend(((*path, key), inner) for key, inner in item.items())
        elif isinstance(item, list):
            stack.extend(((*path, str(index)), inner) for index, inner in enumerate(item))


def _check_string(text: str, path: Path, limits: Limits) -> None:
    if len(text) > limits.string_length:
        raise _not_storable(path, f"a string is longer than {limits.string_length:,} characters")
    if reason := unstorable_text(text):
        raise _not_storable(path, reason)


def _check_key(key: str, path: Path, limits: Limits) -> None:
    if reason := unstorable_text(key):
        raise _not_storable(path, f"in a key, {reason}")
    if len(key.encode()) > limits.key_bytes:
        raise _not_storable(path, f"a key is longer than {limits.key_bytes:,} bytes")


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


def _check_number(number: int | Decimal, path: Path, limits: Limits) -> None:
    if isinstance(number, int):
        if number.bit_length() > limits.integer_digits * 3.33:
            raise _not_storable(path, f"a number has more than {limits.integer_digits} digits")
        return
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > limits.fraction_digits:
        raise _not_storable(path, f"a number has more than {limits.fraction_digits} digits after the point")
    if number.adjusted() >= limits.integer_digits:
        raise _not_storable(path, f"a number has more than {limits.integer_digits} digits before the point")


def _not_storable(path: Path, reason: str) -> ValueNotStorable:
    shown = format_pointer(path).encode("utf-8", "replace").decode()[:200]
    return ValueNotStorable(f"The value at {shown!r} cannot be stored: {reason}.", path=shown)
