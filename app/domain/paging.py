"""Pages of things that can be many, and the opaque cursors between them."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from app.domain.errors import BadRequest, ValidationFailed
from app.domain.json_text import unstorable_text

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
MAX_CURSOR: Final = 8_000
MAX_INTEGER: Final = 2**63

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page; ``next_cursor`` is None on the last."""

    items: Sequence[T]
    next_cursor: str | None


def encode_cursor(*position: str | int) -> str:
    """Return a cursor that stands behind the item at ``position`` (its sort key)."""
    return urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *types: type[str] | type[int]) -> tuple[str | int, ...]:
    """Return the sort key in ``cursor``. Raises BadRequest if it was not made by ``encode_cursor``."""
    position: object = None
    if len(cursor) <= MAX_CURSOR:
        try:
            position = json.loads(urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)))
        except (ValueError, RecursionError):
            position = None
    if not isinstance(position, list) or tuple(map(type, position)) != types or not all(map(_is_key, position)):
        raise BadRequest("The cursor is none of ours; start again without one.")
    return tuple(position)


def _is_key(part: str | int) -> bool:
    return unstorable_text(part) is None if isinstance(part, str) else 0 <= part < MAX_INTEGER


def check_limit(limit: int) -> int:
    """Return ``limit`` if a page may be that long. Raises ValidationFailed otherwise."""
    if not 1 <= limit <= MAX_LIMIT:
        raise ValidationFailed(f"A page has 1 to {MAX_LIMIT} items.", limit=limit)
    return limit
