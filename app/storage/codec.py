"""JSON between PostgreSQL, HTTP and values, with exact numbers both ways."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from app.domain.values import Value

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")
# One version of a document is one sequence of bytes, whichever way it was put together.
_ordered_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic")


def encode(value: object) -> bytes:
    """Return the JSON text of ``value`` as UTF-8; decimals are numbers with their digits."""
    return _encoder.encode(value)


def encode_document(state: object) -> bytes:
    """Return the JSON text of a document as UTF-8, keys in order; decimals are numbers with their digits."""
    return _ordered_encoder.encode(state)


def encode_echo(value: object) -> bytes:
    """Return ``encode(value)`` for a value that may echo input: lone surrogates, which UTF-8 cannot say, become ?."""
    try:
        return encode(value)
    except UnicodeEncodeError:
        return encode(_printable(value))


def _printable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    return value


def dumps(value: object) -> str:
    """Return the JSON text of ``value``, as asyncpg takes it for a ``jsonb`` parameter."""
    return _encoder.encode(value).decode()


def loads(text: str | bytes) -> Value:
    """Return the value of a JSON text that PostgreSQL wrote. Input from outside goes to ``parse_json``."""
    value: Value = _decoder.decode(text)
    return value
