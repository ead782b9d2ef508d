"""Answers about accounts, projects, documents and changes, and what all answers are."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from app.domain.model import Change, Document, Origin, Plan, Project, Scope
from app.services.login import Tokens
from app.storage.accounts import Account, ApiKey

_SCHEME: Final = "bearer"
_NOT_REPEATED: Final = (
    "The key was shown in the first answer and is not kept. If that answer was lost, revoke this key and make another."
)


class Answer(Struct, kw_only=True):
    """Base of all answers."""


class AccountAnswer(Answer):
    """``email`` is null where an external issuer vouches for none."""

    uuid: UUID
    email: str | None
    created_at: datetime

    @classmethod
    def of(cls, account: Account) -> "AccountAnswer":
        """Return the answer for an account."""
        return cls(uuid=account.uuid, email=account.email, created_at=account.created_at)


class Token(Answer):
    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str

    @classmethod
    def of(cls, tokens: Tokens) -> "Token":
        """Return the answer to a login."""
        return cls(
            access_token=tokens.access_token,
            token_type=_SCHEME,
            expires_in=tokens.expires_in,
            refresh_token=tokens.refresh_token,
        )


class ProjectAnswer(Answer):
    id: int
    name: str
    plan: Plan
    production_uuid: UUID
    created_at: datetime

    @classmethod
    def of(cls, project: Project) -> "ProjectAnswer":
        """Return the answer for a project."""
        return cls(
            id=project.id,
            name=project.name,
            plan=project.plan,
            production_uuid=project.production_uuid,
            created_at=project.created_at,
        )


class Projects(Answer):
    projects: list[ProjectAnswer]
    next_cursor: str | None


class ApiKeyAnswer(Answer):
    uuid: UUID
    project_id: int
    name: str
    prefix: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> "ApiKeyAnswer":
        """Return the answer for an API key, without its secret."""
        return cls(**_key_fields(key))


class CreatedApiKey(ApiKeyAnswer):
    """``key`` is the secret, shown once: null in an answer that is repeated, and ``notice`` says so."""

    key: str | None
    notice: str | None

    @classmethod
    def showing(cls, key: ApiKey, secret: str | None) -> "CreatedApiKey":
        """Return the answer for a new API key, with its secret where it is not a repeated one."""
        return cls(key=secret, notice=_NOT_REPEATED if secret is None else None, **_key_fields(key))


def _key_fields(key: ApiKey) -> dict[str, Any]:
    return {
        "uuid": key.uuid,
        "project_id": key.project_id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": list(key.scopes),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }


class ApiKeys(Answer):
    api_keys: list[ApiKeyAnswer]


class DocumentAnswer(Answer):
    uuid: UUID
    kind: str
    key: str
    version: str
    data: Any

    @classmethod
    def of(cls, document: Document) -> "DocumentAnswer":
        """Return a document of a list; ``version`` is what its ETag says."""
        entity = document.entity
        return cls(uuid=entity.uuid, kind=entity.kind, key=entity.key, version=document.version, data=document.state)


class Documents(Answer):
    entities: list[DocumentAnswer]
    next_cursor: str | None


class ChangeAnswer(Answer):
    """One write: ``forward`` and ``reverse`` as ``{"set": {pointer: value}, "unset": [pointer]}``."""

    version: int
    uuid: UUID
    kind: str
    key: str
    entity_version: int
    generation_uuid: UUID
    env_uuid: UUID
    origin: Origin
    actor: str
    forward: dict[str, Any]
    reverse: dict[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, change: Change) -> "ChangeAnswer":
        """Return the answer for a change."""
        return cls(
            version=change.version,
            uuid=change.entity.uuid,
            kind=change.entity.kind,
            key=change.entity.key,
            entity_version=change.entity_version,
            generation_uuid=change.generation_uuid,
            env_uuid=change.env_uuid,
            origin=change.origin,
            actor=change.actor,
            forward=dict(change.forward),
            reverse=dict(change.reverse),
            created_at=change.created_at,
        )
