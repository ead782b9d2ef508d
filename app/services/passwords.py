"""Passwords: what they may be, and argon2id (RFC 9106) by a library with its present parameters."""

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.domain.errors import ValidationFailed
from app.domain.json_text import unstorable_text

MIN_PASSWORD: Final = 8
MAX_PASSWORD: Final = 256

_hasher = PasswordHasher()
# argon2 takes 64 MiB and a core for each call; more at once than this would only starve everything else.
_hashing = asyncio.Semaphore(2)
_hash_of_nobody: str | None = None


def checked(password: str) -> str:
    """Return ``password`` if it may be one. Raises ValidationFailed."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise ValidationFailed(f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters.", field="password")
    if unstorable_text(password):
        raise ValidationFailed("A password is made of Unicode characters.", field="password")
    return password


def can_be_one(password: str) -> bool:
    """Return whether ``password`` may be somebody's; no hash is worth computing for what may not."""
    return len(password) <= MAX_PASSWORD and not unstorable_text(password)


async def hashed(password: str) -> str:
    """Return the hash to store."""
    async with _hashing:
        return await asyncio.to_thread(_hasher.hash, password)


async def matches(password_hash: str | None, password: str) -> bool:
    """Return whether the hash is the password's; without a hash the answer No takes as long."""
    known = password_hash or await _nobodys_hash()

    def check() -> bool:
        try:
            return _hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            return False

    async with _hashing:
        return await asyncio.to_thread(check) and password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Return whether the hash was made with parameters that are no longer the library's."""
    return _hasher.check_needs_rehash(password_hash)


async def prepare() -> None:
    """Do beforehand what would make the first answer about an unknown account slower than others."""
    await _nobodys_hash()


async def _nobodys_hash() -> str:
    global _hash_of_nobody
    if _hash_of_nobody is None:
        _hash_of_nobody = await hashed("nobody has this password")
    return _hash_of_nobody
