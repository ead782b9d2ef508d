"""The text of an API key: a prefix that may be shown, 256 random bits, and a checksum for secret scanners."""

import secrets
import zlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

from app.services.digests import keyed

_MARK: Final = "strata"
_MAX_LENGTH: Final = 128


@dataclass(frozen=True, slots=True)
class NewSecret:
    """An API key's text, to be shown once, with what is stored of it."""

    text: str
    prefix: str
    digest: bytes


def new_api_key() -> NewSecret:
    """Return a new API key: ``strata_<8 hex>_<256 random bits><checksum>``."""
    prefix = f"{_MARK}_{secrets.token_hex(4)}"
    secret = urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    text = f"{prefix}_{secret}{_checksum(secret)}"
    return NewSecret(text, prefix, digest(text))


def key_prefix(text: str) -> str | None:
    """Return the prefix of an API key, or None if ``text`` cannot be one."""
    parts = text.split("_", 2)
    if len(parts) != 3 or parts[0] != _MARK or len(text) > _MAX_LENGTH:
        return None
    secret, checksum = parts[2][:-8], parts[2][-8:]
    return f"{parts[0]}_{parts[1]}" if _checksum(secret) == checksum else None


def digest(text: str) -> bytes:
    """Return what is stored of an API key."""
    return keyed("API keys", text.encode())


def _checksum(secret: str) -> str:
    return f"{zlib.crc32(secret.encode()):08x}"
