"""Accounts: registering, logging in, and turning an Authorization header into an Actor."""

import asyncio
import hmac
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from typing import Final
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from app.domain.audit import Action, Object, ObjectType
from app.domain.errors import InvalidCredentials, Unauthenticated, ValidationFailed
from app.domain.json_text import unstorable_text
from app.domain.model import Actor
from app.services import recording
from app.services.tokens import MAX_TOKEN_LENGTH, Keyring, digest, key_prefix
from app.storage import accounts, db
from app.storage.accounts import Account, ApiKey

MIN_PASSWORD: Final = 8
MAX_PASSWORD: Final = 256
KEY_TRUSTED_SECONDS: Final = 1.0
MAX_REMEMBERED: Final = 10_000
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)*", re.ASCII)

_hasher = PasswordHasher()
# argon2 takes 64 MiB and a core for each call; more at once than this would only starve everything else.
_hashing = asyncio.Semaphore(2)

keyring = Keyring()


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token and the seconds it is good for."""

    token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class _KnownKey:
    actor: Actor
    read_at: float


_known_keys: OrderedDict[bytes, _KnownKey] = OrderedDict()


async def register(email: str, password: str) -> Account:
    """Add an account. Raises ValidationFailed, EmailTaken."""
    address = _address(email)
    return await _register(address, await _hash(_password(password)))


@db.atomic()
async def _register(address: str, password_hash: str) -> Account:
    added = await accounts.add_account(address, password_hash)
    actor = Actor(account_uuid=added.uuid, name=added.email)
    await recording.record_as(actor, Action.REGISTER_ACCOUNT, _object(added))
    return added


def _object(known: Account) -> Object:
    return Object(ObjectType.ACCOUNT, str(known.uuid), known.email)


async def login(email: str, password: str, seconds: int) -> AccessToken:
    """Return a token good for ``seconds``. Raises InvalidCredentials, whichever of the two is wrong."""
    if len(password) > MAX_PASSWORD or unstorable_text(password) or unstorable_text(email):
        raise InvalidCredentials
    found = await accounts.account_with_hash(email.strip().lower())
    # Without an account the answer takes as long as for a wrong password.
    right = await _verify(found[1] if found else _hash_of_nobody(), password)
    if found is None or not right:
        await recording.refused_login(_object(found[0]) if found else None)
        raise InvalidCredentials
    account, password_hash = found
    if _hasher.check_needs_rehash(password_hash):
        await accounts.replace_hash(account.uuid, await _hash(password))
    return AccessToken(await keyring.sign(account.uuid, account.email, seconds), seconds)


async def set_password(account_uuid: UUID, password: str) -> None:
    """Give the account a new password. Raises ValidationFailed."""
    await _set_hash(account_uuid, await _hash(_password(password)))


@db.atomic()
async def _set_hash(account_uuid: UUID, password_hash: str) -> None:
    await accounts.replace_hash(account_uuid, password_hash)
    await recording.record_as(None, Action.SET_PASSWORD, Object(ObjectType.ACCOUNT, str(account_uuid)))


async def authenticate(authorization: str | None) -> Actor:
    """Return who an ``Authorization: Bearer …`` header speaks for: a user's JWT or a project API key.

    Raises Unauthenticated. A revoked key is refused by every process within a second.
    """
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("This needs a token: send 'Authorization: Bearer …' (POST /api/auth/login gives one).")
    if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        raise Unauthenticated("The token is not valid.")
    prefix = key_prefix(token)
    if prefix is not None:
        return await _key_actor(token, prefix)
    claims = await keyring.verify(token)
    return Actor(account_uuid=claims.account_uuid, name=claims.email)


async def account(actor: Actor) -> Account:
    """Return the actor's account; for an API key, the account that made it."""
    found = await accounts.account(actor.account_uuid)
    if found is None:
        raise Unauthenticated("This account no longer exists.")
    return found


async def _key_actor(token: str, prefix: str) -> Actor:
    token_digest = digest(token)
    known = _known_keys.get(token_digest)
    if known is not None and time.monotonic() - known.read_at < KEY_TRUSTED_SECONDS:
        return known.actor
    now = time.monotonic()
    found = await accounts.usable_key(prefix)
    if found is None or not hmac.compare_digest(found[1], token_digest):
        _known_keys.pop(token_digest, None)
        raise Unauthenticated("The API key is not valid: unknown, revoked or expired.")
    actor = _actor_of(found[0])
    _known_keys[token_digest] = _KnownKey(actor, now)
    if len(_known_keys) > MAX_REMEMBERED:
        _known_keys.popitem(last=False)
    return actor


def forget_key(key_uuid: UUID) -> None:
    """Ask the database about the key at its next use; other processes do so within a second."""
    for token_digest, known in list(_known_keys.items()):
        if known.actor.key_uuid == key_uuid:
            del _known_keys[token_digest]


@cache
def _hash_of_nobody() -> str:
    return _hasher.hash("nobody has this password")


def _actor_of(key: ApiKey) -> Actor:
    return Actor(
        account_uuid=key.created_by,
        name=f"key {key.prefix}",
        key_uuid=key.uuid,
        project_id=key.project_id,
        scopes=frozenset(key.scopes),
    )


def _address(email: str) -> str:
    address = email.strip().lower()
    if len(address) > 254 or not _EMAIL.fullmatch(address):
        raise ValidationFailed("That is no e-mail address.", field="email")
    return address


def _password(password: str) -> str:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise ValidationFailed(f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters.", field="password")
    if unstorable_text(password):
        raise ValidationFailed("A password is made of Unicode characters.", field="password")
    return password


async def _hash(password: str) -> str:
    async with _hashing:
        return await asyncio.to_thread(_hasher.hash, password)


async def _verify(password_hash: str, password: str) -> bool:
    def check() -> bool:
        try:
            return _hasher.verify(password_hash, password)
        except VerificationError:
            return False

    async with _hashing:
        return await asyncio.to_thread(check)
