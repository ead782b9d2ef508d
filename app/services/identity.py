"""Accounts, and turning an Authorization header into an Actor."""

import hmac
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.domain import policy
from app.domain.audit import Action, Object, ObjectType
from app.domain.errors import Unauthenticated
from app.domain.model import Actor
from app.domain.names import email_address
from app.domain.policy import Operation
from app.services import background, passwords, recording
from app.services.api_key_text import digest, key_prefix
from app.services.jwt_rules import MAX_TOKEN_LENGTH
from app.services.tokens import Claims, Keyring
from app.storage import accounts, db, sessions
from app.storage.accounts import Account, ApiKey

KEY_TRUSTED_SECONDS: Final = 1.0
MAX_REMEMBERED: Final = 10_000

keyring = Keyring()


@dataclass(frozen=True, slots=True)
class _KnownKey:
    actor: Actor
    read_at: float


_known_keys: OrderedDict[str, _KnownKey] = OrderedDict()


async def prepare() -> None:
    """Do before the first request what every process needs. Raises MasterKeyError."""
    await keyring.load()
    await passwords.prepare()


async def register(email: str, password: str) -> Account:
    """Add an account. Raises ValidationFailed, EmailTaken."""
    return await _register(email_address(email), await passwords.hashed(passwords.checked(password)))


@db.atomic()
async def _register(address: str, password_hash: str) -> Account:
    added = await accounts.add_account(address, password_hash)
    actor = Actor(account_uuid=added.uuid, name=added.name)
    await recording.record_as(actor, Action.REGISTER_ACCOUNT, recording.account_object(added))
    return added


async def set_password(account_uuid: UUID, password: str) -> None:
    """Give the account a new password and end its sessions. Raises ValidationFailed."""
    await _set_hash(account_uuid, await passwords.hashed(passwords.checked(password)))


@db.atomic()
async def _set_hash(account_uuid: UUID, password_hash: str) -> None:
    await accounts.replace_hash(account_uuid, password_hash)
    await keyring.revoke_sessions(await sessions.end_all(account_uuid))
    await recording.record_as(None, Action.SET_PASSWORD, Object(ObjectType.ACCOUNT, str(account_uuid)))


async def authenticate(authorization: str | None) -> Actor:
    """Return who an ``Authorization: Bearer …`` header speaks for: a user's JWT or a project API key.

    Raises Unauthenticated. A revoked key or token is refused by every process within a second.
    """
    token = _bearer(authorization)
    known = _known_keys.get(token)
    if known is not None and time.monotonic() - known.read_at < KEY_TRUSTED_SECONDS:
        return known.actor
    prefix = key_prefix(token)
    if prefix is not None:
        return await _key_actor(token, prefix)
    claims = await keyring.verify(token)
    return Actor(account_uuid=claims.account_uuid, name=claims.name)


async def claims_of(authorization: str | None) -> Claims | None:
    """Return what the header's JWT says, or None if it is an API key. Raises Unauthenticated."""
    token = _bearer(authorization)
    return None if key_prefix(token) else await keyring.verify(token)


async def account(actor: Actor) -> Account:
    """Return the actor's account; for an API key, the account that made it. Raises Forbidden, Unauthenticated."""
    policy.check(actor, None, Operation.READ_ACCOUNT)
    found = await accounts.account(actor.account_uuid)
    if found is None:
        raise Unauthenticated("This account no longer exists.")
    return found


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip(" \t")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("This needs a token: send 'Authorization: Bearer …' (POST /api/auth/login gives one).")
    if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        raise Unauthenticated("The token is not valid.")
    return token


async def _key_actor(token: str, prefix: str) -> Actor:
    now = time.monotonic()
    found = await accounts.usable_key(prefix)
    if found is None or not hmac.compare_digest(found.secret_hash, digest(token)):
        _known_keys.pop(token, None)
        raise Unauthenticated("The API key is not valid: unknown, revoked or expired.")
    actor = _actor_of(found.key)
    _known_keys[token] = _KnownKey(actor, now)
    if len(_known_keys) > MAX_REMEMBERED:
        _known_keys.popitem(last=False)
    if not found.noted:
        background.begin(accounts.note_use(found.key.project_id, found.key.uuid))
    return actor


def forget_key(key_uuid: UUID) -> None:
    """Ask the database about the key at its next use; other processes do so within a second."""
    for token, known in list(_known_keys.items()):
        if known.actor.key_uuid == key_uuid:
            del _known_keys[token]


def _actor_of(key: ApiKey) -> Actor:
    return Actor(
        account_uuid=key.created_by,
        name=f"key {key.prefix}",
        key_uuid=key.uuid,
        project_id=key.project_id,
        scopes=frozenset(key.scopes),
    )
