"""Project API keys: made, listed, revoked. The secret is shown once and never stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from app.domain.errors import NotFound, ValidationFailed
from app.domain.model import Actor, Scope
from app.domain.names import check_label
from app.domain.policy import Operation
from app.services import access, identity
from app.services.tokens import new_api_key
from app.storage import accounts
from app.storage.accounts import ApiKey


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key with its secret, which is to be shown now or never."""

    key: ApiKey
    secret: str


async def create(
    actor: Actor, project_id: int, name: str, scopes: Sequence[Scope], expires_at: datetime | None = None
) -> CreatedKey:
    """Make an API key of the project. Raises ValidationFailed, Forbidden, TokenKindForbidden, ProjectNotFound."""
    await access.authorize(actor, project_id, Operation.MANAGE_KEYS)
    check_label(name, "name")
    if not scopes:
        raise ValidationFailed("An API key needs at least one scope.", field="scopes")
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise ValidationFailed("The expiry lies in the past.", field="expires_at")
    secret = new_api_key()
    unique = sorted(set(scopes))
    key = await accounts.add_key(project_id, name, secret.prefix, secret.digest, unique, actor.account_uuid, expires_at)
    return CreatedKey(key, secret.text)


async def list_keys(actor: Actor, project_id: int) -> list[ApiKey]:
    """Return the project's keys, newest first, revoked ones included."""
    await access.authorize(actor, project_id, Operation.MANAGE_KEYS)
    return await accounts.list_keys(project_id)


async def revoke(actor: Actor, project_id: int, key_uuid: UUID) -> ApiKey:
    """Revoke a key for good; once more does nothing. Raises NotFound."""
    await access.authorize(actor, project_id, Operation.MANAGE_KEYS)
    key = await accounts.revoke_key(project_id, key_uuid)
    if key is None:
        raise NotFound("There is no such API key in this project.")
    identity.forget_key(key_uuid)
    return key
