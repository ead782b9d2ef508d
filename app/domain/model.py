"""What the words of ``semantics.md`` §1 are in code: ids, closed sets, and the values that rows become."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.domain.values import State, Value

PROJECT_KIND: Final = "project"
PROJECT_KEY: Final = "project"
USER_KIND: Final = "user"
PRODUCTION_NAME: Final = "production"


class EnvType(StrEnum):
    PRODUCTION = "production"
    SANDBOX = "sandbox"
    STAGING = "staging"
    AB_TEST = "ab_test"
    FEATURE = "feature"


class EnvStatus(StrEnum):
    DRAFT = "draft"
    VALIDATING = "validating"
    READY = "ready"
    ROLLING_OUT = "rolling_out"
    LIVE = "live"
    ARCHIVED = "archived"


class Plan(StrEnum):
    FREE = "free"
    STARTER = "starter"
    BASIC = "basic"
    PRO = "pro"
    PREMIUM = "premium"
    ENTERPRISE = "enterprise"


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    EDITOR = "editor"
    VIEWER = "viewer"


class Scope(StrEnum):
    """What a project API key may be used for."""

    READ = "read"
    WRITE = "write"
    PROMOTE = "promote"
    EVALUATE = "evaluate"
    ADMIN = "admin"


class Strategy(StrEnum):
    """How a promotion reaches production: at once, by rising shares of traffic, or by one switch after a look."""

    IMMEDIATE = "immediate"
    CANARY = "canary"
    BLUE_GREEN = "blue_green"


class GenerationKind(StrEnum):
    """``line``: may be written to until sealed. The others hold whole documents and never change."""

    LINE = "line"
    CHECKPOINT = "checkpoint"
    PIN = "pin"
    BACKUP = "backup"


class Origin(StrEnum):
    """Why a change was made."""

    WRITE = "write"
    FORK = "fork"
    PROMOTION = "promotion"
    SHADOW = "shadow"
    REVERT = "revert"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks. Exactly one of a user (JWT) or a project API key; ``key_uuid`` tells which."""

    account_uuid: UUID
    name: str
    key_uuid: UUID | None = None
    project_id: int | None = None
    scopes: frozenset[Scope] = frozenset()

    @property
    def is_key(self) -> bool:
        return self.key_uuid is not None


@dataclass(frozen=True, slots=True)
class Project:
    id: int
    name: str
    plan: Plan
    production_uuid: UUID
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Environment:
    """An anchor. ``head_uuid`` and ``pinned_uuid`` are generations; ``parent_uuid`` is an environment."""

    project_id: int
    uuid: UUID
    name: str
    env_type: EnvType
    status: EnvStatus
    head_uuid: UUID
    pinned_uuid: UUID | None
    parent_uuid: UUID | None
    traffic_weight: int
    rollout_steps: list[Value]
    segments: list[Value]
    ab_seed: str
    shadow_writes: bool
    shadow_overwrite: bool
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def is_production(self) -> bool:
        return self.env_type is EnvType.PRODUCTION


@dataclass(frozen=True, slots=True)
class Generation:
    """A node of the project's tree.

    ``ancestors`` is its full line, root first, itself last; ``path`` the end of that line from the nearest
    whole-document generation down to itself. ``filter_uuid`` is the generation from which on a user is
    visible only if it has a layer (a filtered fork), or None. ``version`` is the project version then;
    ``entity_count`` what production or a snapshot shows, 0 elsewhere. ``replaces_version``, on the line of a
    rollback: the production that a promotion replaces by this state (semantics §11.11).
    """

    project_id: int
    uuid: UUID
    number: int
    kind: GenerationKind
    env_uuid: UUID
    parent_uuid: UUID | None
    ancestors: tuple[UUID, ...]
    path: tuple[UUID, ...]
    filter_uuid: UUID | None
    sealed: bool
    label: str | None
    entity_count: int
    version: int
    created_at: datetime
    created_by: str
    replaces_version: int | None = None

    @property
    def diff_only(self) -> bool:
        """Whether it holds changed fields only. Production's root and snapshots hold whole documents."""
        return len(self.path) > 1

    @property
    def is_checkpoint(self) -> bool:
        return self.kind is GenerationKind.CHECKPOINT


@dataclass(frozen=True, slots=True)
class Entity:
    project_id: int
    uuid: UUID
    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class Document:
    """An entity's effective state in one generation as readers see it, and where it comes from.

    ``version`` is the ETag (semantics §11.5); ``layer_uuid`` the nearest layer; ``overrides`` the flat patch
    of the layer of the generation asked for, where that merges; ``protected`` the pointers of protected values.
    """

    entity: Entity
    generation_uuid: UUID
    state: State
    version: str
    layer_uuid: UUID | None
    overrides: Mapping[str, Value]
    protected: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One append-only record of a write; ``forward`` and ``reverse`` are flat patches of the document, as seen."""

    version: int
    entity: Entity
    entity_version: int
    generation_uuid: UUID
    env_uuid: UUID
    forward: Mapping[str, Value]
    reverse: Mapping[str, Value]
    origin: Origin
    actor: str
    created_at: datetime


class EntityStatus(StrEnum):
    """How an entity differs between two states."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"


@dataclass(frozen=True, slots=True)
class At:
    """A moment to read at: exactly one of a project version, a time, a checkpoint's or a release's UUID."""

    version: int | None = None
    time: datetime | None = None
    checkpoint: UUID | None = None
    release: UUID | None = None
