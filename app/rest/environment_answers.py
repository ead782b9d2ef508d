"""Answers about environments, with the fields that the guide and ``rest.md`` name."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain.mirroring import Lag
from app.domain.model import Environment, EnvStatus, EnvType, Generation
from app.rest.answers import Answer
from app.services import shadow
from app.services.branching import Fork
from app.storage import generations


class Config(Answer):
    env_type: EnvType
    env_name: str
    is_checkpoint: bool
    diff_only: bool
    status: EnvStatus
    head_uuid: UUID
    pinned_uuid: UUID | None
    traffic_weight: int
    rollout_steps: list[Any]
    ab_seed: str
    segments: list[Any]
    shadow_writes: bool
    shadow_overwrite: bool
    expires_at: datetime | None

    @classmethod
    def of(cls, environment: Environment, head: Generation) -> "Config":
        """Return the guide's ``data.config`` of an anchor."""
        return cls(
            env_type=environment.env_type,
            env_name=environment.name,
            is_checkpoint=head.is_checkpoint,
            diff_only=head.diff_only,
            status=environment.status,
            head_uuid=environment.head_uuid,
            pinned_uuid=environment.pinned_uuid,
            traffic_weight=environment.traffic_weight,
            rollout_steps=environment.rollout_steps,
            ab_seed=environment.ab_seed,
            segments=environment.segments,
            shadow_writes=environment.shadow_writes,
            shadow_overwrite=environment.shadow_overwrite,
            expires_at=environment.expires_at,
        )


class ShadowLag(Answer):
    versions: int
    seconds: float


class EnvironmentAnswer(Answer):
    anchor_uuid: UUID
    project_id: int
    env_name: str
    env_type: EnvType
    status: EnvStatus
    generation: int
    head_uuid: UUID
    pinned_uuid: UUID | None
    parent_env_uuid: UUID | None
    traffic_weight: int
    config: Config
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    shadow_lag: ShadowLag | None

    @classmethod
    def of(cls, environment: Environment, head: Generation, lag: Lag | None) -> "EnvironmentAnswer":
        """Return the answer for an environment with its head, and how far it is behind if it mirrors production."""
        return cls(
            anchor_uuid=environment.uuid,
            project_id=environment.project_id,
            env_name=environment.name,
            env_type=environment.env_type,
            status=environment.status,
            generation=head.number,
            head_uuid=environment.head_uuid,
            pinned_uuid=environment.pinned_uuid,
            parent_env_uuid=environment.parent_uuid,
            traffic_weight=environment.traffic_weight,
            config=Config.of(environment, head),
            created_at=environment.created_at,
            updated_at=environment.updated_at,
            expires_at=environment.expires_at,
            shadow_lag=ShadowLag(versions=lag.versions, seconds=lag.seconds) if lag else None,
        )


async def with_heads(project_id: int, environments: Sequence[Environment]) -> list[EnvironmentAnswer]:
    """Return the answers for environments; their heads are read in one statement, and their lags in another."""
    heads = await generations.get_many(project_id, [environment.head_uuid for environment in environments])
    lags = await shadow.lags(project_id, environments)
    return [EnvironmentAnswer.of(item, heads[item.head_uuid], lags.get(item.uuid)) for item in environments]


class Environments(Answer):
    environments: list[EnvironmentAnswer]
    next_cursor: str | None


class Forked(Answer):
    anchor_uuid: UUID
    fork_project_uuid: UUID
    env_name: str
    env_type: EnvType
    generation: int
    forked_count: int
    manifest_uuid: UUID
    status: EnvStatus
    project_id: int
    parent_env_uuid: UUID | None
    head_uuid: UUID
    expires_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, fork: Fork) -> "Forked":
        """Return the guide's answer to a fork."""
        return cls(**_fork_fields(fork))


class RolledBack(Forked):
    rollback_uuid: UUID
    source_checkpoint_uuid: UUID

    @classmethod
    def to(cls, checkpoint_uuid: UUID, fork: Fork) -> "RolledBack":
        """Return the answer to a rollback: a fork's, and where it comes from."""
        anchor_uuid = fork.environment.uuid
        return cls(rollback_uuid=anchor_uuid, source_checkpoint_uuid=checkpoint_uuid, **_fork_fields(fork))


def _fork_fields(fork: Fork) -> dict[str, Any]:
    environment = fork.environment
    return {
        "anchor_uuid": environment.uuid,
        "fork_project_uuid": fork.fork_project_uuid,
        "env_name": environment.name,
        "env_type": environment.env_type,
        "generation": fork.generation.number,
        "forked_count": fork.forked_count,
        "manifest_uuid": fork.manifest_uuid,
        "status": environment.status,
        "project_id": environment.project_id,
        "parent_env_uuid": environment.parent_uuid,
        "head_uuid": environment.head_uuid,
        "expires_at": environment.expires_at,
        "created_at": environment.created_at,
    }


class ArchivedAnswer(Answer):
    anchor_uuid: UUID
    status: EnvStatus
    removed_diffs: int
