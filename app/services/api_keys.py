"""Project API keys: made, listed, revoked. The secret is shown once and never stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from app.domain.audit import Action, Object, ObjectType
from app.domain.errors import NotFound, ValidationFailed
from app.domain.events import EventType
from app.domain.model import Actor, Scope
from app.domain.names import check_label
from app.domain.policy import Operation
from app.domain.values import MISSING, Value
from app.services import access, identity, recording
from app.services.api_key_text import NewSecret, new_api_key
from app.services.operation import operation
from app.services.publishing import publish
from app.storage import accounts, db, typed
from app.storage.accounts import ApiKey

MAX_LIFE: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key with its secret, which is to be shown now or never: None where the answer is repeated (§11.28)."""

    key: ApiKey
    secret: str | None = field(metadata={typed.WITHHELD: True})


@operation(Action.CREATE_API_KEY)
async def create(
    actor: Actor, project_id: int, name: str, scopes: Sequence[Scope], expires_at: datetime | None = None
) -> CreatedKey:
    """Make an API key of the project. Raises ValidationFailed, Forbidden, TokenKindForbidden, ProjectNotFound."""
    await access.authorize(actor, project_id, Operation.MANAGE_KEYS)
    check_label(name, "name")
    if not scopes:
        raise ValidationFailed("An API key needs at least one scope.", field="scopes")
    _check_expiry(expires_at, datetime.now(UTC))
    secret = new_api_key()
    return CreatedKey(await _add(actor, project_id, name, sorted(set(scopes)), expires_at, secret), secret.text)


@db.atomic()
async def _add(
    actor: Actor, project_id: int, name: str, scopes: Sequence[Scope], expires_at: datetime | None, secret: NewSecret
) -> ApiKey:
    key = await accounts.add_key(project_id, name, secret.prefix, secret.digest, scopes, actor.account_uuid, expires_at)
    await publish(project_id, EventType.API_KEY_CREATED, subject=key.uuid)
    await recording.record(project_id, _object(key), change=(MISSING, _facts(key)))
    return key


def _object(key: ApiKey) -> Object:
    return Object(ObjectType.API_KEY, str(key.uuid), key.name)


def _facts(key: ApiKey) -> dict[str, Value]:
    return {
        "name": key.name,
        "prefix": key.prefix,
        "scopes": [scope.value for scope in key.scopes],
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }


@operation(Action.LIST_API_KEYS, once=False)
async def list_keys(actor: Actor, project_id: int) -> list[ApiKey]:
    """Return the project's keys, newest first, revoked ones included."""
    await access.authorize(actor, project_id, Operation.MANAGE_KEYS)
    return await accounts.list_keys(project_id)


@operation(Action.REVOKE_API_KEY)
async def revoke(actor: Actor, project_id: int, key_uuid: UUID) -> ApiKey:
    """Revoke a key for good; once more does nothing. Raises NotFound."""
    await access.authorize(actor, project_id, Operation.MANAGE_KEYS)
    key = await _revoke(project_id, key_uuid)
    identity.forget_key(key_uuid)
    return key


@db.atomic()
async def _revoke(project_id: int, key_uuid: UUID) -> ApiKey:
    key = await accounts.lock_key(project_id, key_uuid)
    if key is None:
        raise NotFound("There is no such API key in this project.")
    if key.revoked_at is not None:
        return key
    revoked = await accounts.revoke_key(project_id, key_uuid)
    await publish(project_id, EventType.API_KEY_REVOKED, subject=key_uuid)
    await recording.record(project_id, _object(revoked), change=(_facts(key), _facts(revoked)))
    return revoked


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is None:
        return
    if expires_at <= now:
        raise ValidationFailed("The expiry lies in the past.", field="expires_at")
    if expires_at > now + MAX_LIFE:
        raise ValidationFailed("A key that expires does so within a year.", field="expires_at")
