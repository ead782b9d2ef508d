"""JSON between PostgreSQL, HTTP and values, with exact numbers both ways."""

from decimal import Decimal

import msgspec

from app.domain.values import Value

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(value: object) -> bytes:
    """Return the JSON text of ``value`` as UTF-8; decimals are numbers with their digits."""
    return _encoder.encode(value)


def dumps(value: object) -> str:
    """Return the JSON text of ``value``, as asyncpg takes it for a ``jsonb`` parameter."""
    return _encoder.encode(value).decode()


def loads(text: str | bytes) -> Value:
    """Return the value of a JSON text that PostgreSQL wrote. Input from outside goes to ``parse_json``."""
    value: Value = _decoder.decode(text)
    return value
