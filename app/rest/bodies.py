"""Request bodies, as the guide and ``rest.md`` name their fields."""

from datetime import datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from app.domain.model import EnvType, Role, Scope
from app.rest.body import Body
from app.rest.parameters import MAX_ID

ProjectNumber: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_ID)]


class Credentials(Body):
    email: str
    password: str


class RefreshRequest(Body):
    refresh_token: str


class NewProject(Body):
    name: str


class NewApiKey(Body):
    name: str
    scopes: list[Scope]
    expires_at: datetime | None = None


class NewInvitation(Body):
    """``environments``, names or UUIDs, are the only ones that the member will be able to change; null: all."""

    email: str
    role: Role
    environments: list[str] | None = None


class InvitationToken(Body):
    token: str


class MemberSettings(Body):
    """What to change of a member; members left out stay as they are."""

    role: Role | UnsetType = UNSET
    environments: list[str] | UnsetType | None = UNSET


class ActiveEnvironmentChoice(Body):
    """``active_env`` is a name, a UUID or null for production; ``env_uuid`` may stand in its place."""

    project_id: ProjectNumber | None = None
    active_env: str | UnsetType | None = UNSET
    env_uuid: UUID | UnsetType = UNSET


class UserFilter(Body):
    """Which users a fork shows: those that match a segment's rules, or those named."""

    rules: list[Any] | None = None
    user_uuids: list[str] | None = None


class ForkRequest(Body):
    env_name: str
    source_project_id: ProjectNumber | None = None
    env_type: EnvType = EnvType.SANDBOX
    parent_env_uuid: UUID | None = None
    user_filter: UserFilter | None = None
    segment_id: UUID | None = None
    rollout_steps: list[Any] | None = None
    shadow_writes: bool = False
    expires_at: datetime | None = None


class EnvironmentSettings(Body):
    """What to change of an environment; members left out stay as they are."""

    env_uuid: UUID
    env_name: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    rollout_steps: list[Any] | UnsetType = UNSET
    shadow_writes: bool | UnsetType = UNSET
    shadow_overwrite: bool | UnsetType = UNSET
    segments: list[Any] | UnsetType = UNSET


class CheckpointRequest(Body):
    env_uuid: UUID
    label: str | None = None


class RollbackRequest(Body):
    checkpoint_uuid: UUID
    env_name: str | None = None


class PinRequest(Body):
    env_uuid: UUID


class RevertRequest(Body):
    """Which overrides to drop: all, those of one document, or those at ``paths`` of it."""

    env_uuid: UUID
    kind: str | None = None
    key: str | None = None
    paths: list[str] | None = None


class BackupRequest(Body):
    project_id: ProjectNumber | None = None
    label: str | None = None


class EntityName(Body):
    kind: str
    key: str


class RestoreRequest(Body):
    """Which backup to restore; ``entities`` limits it to those."""

    backup_uuid: UUID
    project_id: ProjectNumber | None = None
    entities: list[EntityName] | None = None
