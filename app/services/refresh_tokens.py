"""The text of a refresh token: opaque to clients, 256 random bits.

It also says which session it belongs to and which one in the row it is, under a tag that only this server can
make. So one that was exchanged before is recognised as long as the session lasts, though only the latest token's
hash is stored; and a forger who knows a session's UUID cannot end it.
"""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.services.digests import keyed

_MARK: Final = "srt_"
_SECRET_BYTES: Final = 32
_TAG_BYTES: Final = 16
_BODY_BYTES: Final = 16 + 4 + _SECRET_BYTES
_LENGTH: Final = len(_MARK) + (_BODY_BYTES + _TAG_BYTES) * 4 // 3 + 1


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """``text`` is for the client, ``secret_hash`` for the database."""

    session_uuid: UUID
    number: int
    text: str
    secret_hash: bytes


def new(session_uuid: UUID, number: int) -> RefreshToken:
    """Return the session's refresh token with this number."""
    body = session_uuid.bytes + number.to_bytes(4) + secrets.token_bytes(_SECRET_BYTES)
    return _token(body)


def read(text: str) -> RefreshToken | None:
    """Return the refresh token that ``text`` is, or None if this server never gave it out."""
    if len(text) != _LENGTH or not text.isascii() or not text.startswith(_MARK):
        return None
    token = _token(urlsafe_b64decode(text.removeprefix(_MARK) + "=")[:_BODY_BYTES])
    return token if hmac.compare_digest(token.text, text) else None


def _token(body: bytes) -> RefreshToken:
    text = _MARK + urlsafe_b64encode(body + _tag(body)).decode().rstrip("=")
    stored = keyed("refresh tokens: stored", body)
    return RefreshToken(UUID(bytes=body[:16]), int.from_bytes(body[16:20]), text, stored)


def _tag(body: bytes) -> bytes:
    return keyed("refresh tokens: origin", body)[:_TAG_BYTES]
