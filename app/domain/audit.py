"""What the audit trail says: who did what, when, from where, to what, before and after.

The list of actions is closed: an operation without a member here cannot be recorded, and a state-changing one that
is not recorded fails the tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.domain.members import Invitation, Member
from app.domain.model import Actor, Entity, Environment, Generation, Project, Role
from app.domain.patch import diff, to_json
from app.domain.values import State, Value

INSTALLATION: Final = 0
"""The project number of what belongs to no project: accounts and logins."""

MAX_CHARACTERS: Final = 500
MAX_ITEMS: Final = 100


class Action(StrEnum):
    """Every operation that is recorded, when it is done or when it is refused. None is ever taken off the list."""

    REGISTER_ACCOUNT = "register_account"
    LOGIN = "login"
    REFRESH_TOKENS = "refresh_tokens"
    LOGOUT = "logout"
    ROTATE_SIGNING_KEY = "rotate_signing_key"
    SET_PASSWORD = "set_password"  # noqa: S105
    CREATE_PROJECT = "create_project"
    SET_PLAN = "set_plan"
    UPDATE_SETTINGS = "update_settings"
    FREEZE = "freeze"
    LIFT_FREEZE = "lift_freeze"
    PASS_FREEZE = "pass_freeze"  # noqa: S105
    CREATE_API_KEY = "create_api_key"
    REVOKE_API_KEY = "revoke_api_key"
    LIST_API_KEYS = "list_api_keys"
    READ_AUDIT = "read_audit"
    LIST_MEMBERS = "list_members"
    CHANGE_MEMBER = "change_member"
    REMOVE_MEMBER = "remove_member"
    LIST_INVITATIONS = "list_invitations"
    INVITE_MEMBER = "invite_member"
    REVOKE_INVITATION = "revoke_invitation"
    ACCEPT_INVITATION = "accept_invitation"
    SET_ACTIVE_ENVIRONMENT = "set_active_environment"
    CHECK_PROTECTED_FIELD = "check_protected_field"
    READ_PROTECTED = "read_protected"
    SWEEP_PROTECTED = "sweep_protected"
    ROTATE_DATA_KEYS = "rotate_data_keys"
    WRITE_DOCUMENT = "write_document"
    DELETE_DOCUMENT = "delete_document"
    IMPORT_DOCUMENTS = "import_documents"
    REVERT_CHANGES = "revert_changes"
    FORK_ENVIRONMENT = "fork_environment"
    UPDATE_ENVIRONMENT = "update_environment"
    ARCHIVE_ENVIRONMENT = "archive_environment"
    CHECKPOINT = "checkpoint"
    DELETE_CHECKPOINT = "delete_checkpoint"
    ROLLBACK_TO_CHECKPOINT = "rollback_to_checkpoint"
    PIN_ENVIRONMENT = "pin_environment"
    BACKUP_PRODUCTION = "backup_production"
    RESTORE_PRODUCTION = "restore_production"
    VALIDATE_ENVIRONMENT = "validate_environment"
    PROMOTE = "promote"
    ADVANCE_CANARY = "advance_canary"
    ABORT_CANARY = "abort_canary"
    REPORT_CANARY_HEALTH = "report_canary_health"
    APPROVE_PROMOTION = "approve_promotion"
    REJECT_PROMOTION = "reject_promotion"
    ROLLBACK_RELEASE = "rollback_release"
    REBASE_ENVIRONMENT = "rebase_environment"
    CREATE_EXPERIMENT = "create_experiment"
    RECORD_EXPOSURES = "record_exposures"
    RECORD_RESULTS = "record_results"
    STOP_EXPERIMENT = "stop_experiment"
    DECLARE_WINNER = "declare_winner"
    CREATE_SEGMENT = "create_segment"
    UPDATE_SEGMENT = "update_segment"
    DELETE_SEGMENT = "delete_segment"
    NOTIFY = "notify"
    LIST_WEBHOOKS = "list_webhooks"
    CREATE_WEBHOOK = "create_webhook"
    UPDATE_WEBHOOK = "update_webhook"
    DELETE_WEBHOOK = "delete_webhook"
    ROTATE_WEBHOOK_SECRET = "rotate_webhook_secret"  # noqa: S105
    TEST_WEBHOOK = "test_webhook"
    REDELIVER_WEBHOOK = "redeliver_webhook"
    MIRROR_PRODUCTION = "mirror_production"


class Door(StrEnum):
    """The way by which a call came in."""

    REST = "rest"
    GRAPHQL = "graphql"
    DASHBOARD = "dashboard"
    COMMAND_LINE = "command_line"
    WORKER = "worker"


class ObjectType(StrEnum):
    ACCOUNT = "account"
    API_KEY = "api_key"
    DOCUMENT = "document"
    ENVIRONMENT = "environment"
    EXPERIMENT = "experiment"
    FREEZE = "freeze"
    GENERATION = "generation"
    INVITATION = "invitation"
    MEMBER = "member"
    PROJECT = "project"
    SEGMENT = "segment"
    SIGNING_KEY = "signing_key"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Object:
    """What something was done to. ``id`` is a UUID, or the number of a project; ``name`` is for people."""

    type: ObjectType
    id: str
    name: str | None = None

    @classmethod
    def of(cls, thing: Entity | Environment | Generation | Invitation | Member | Project) -> "Object":
        """Return the object that a value of the domain is."""
        if isinstance(thing, Entity):
            return cls(ObjectType.DOCUMENT, str(thing.uuid), f"{thing.kind}/{thing.key}")
        if isinstance(thing, Environment):
            return cls(ObjectType.ENVIRONMENT, str(thing.uuid), thing.name)
        if isinstance(thing, Generation):
            return cls(ObjectType.GENERATION, str(thing.uuid), thing.label)
        if isinstance(thing, Invitation):
            return cls(ObjectType.INVITATION, str(thing.uuid), thing.email)
        if isinstance(thing, Member):
            return cls(ObjectType.MEMBER, str(thing.account_uuid), thing.email)
        return cls(ObjectType.PROJECT, str(thing.id), thing.name)


@dataclass(frozen=True, slots=True)
class Via:
    """The way a call came: the door, the client's address, and the id under which the request is logged."""

    door: Door
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A row to be written. ``before`` and ``after`` are flat patches: what would undo it, and what it did.

    Both are None where ``change`` has them, by version: the first and last of the changes made. ``refusal`` is the
    code of the refusal, None for what was done. ``actor`` is None where nobody could be told.
    """

    project_id: int
    action: Action
    actor: Actor | None
    via: Via
    object: Object | None = None
    env_uuid: UUID | None = None
    before: Mapping[str, Value] | None = None
    after: Mapping[str, Value] | None = None
    versions: tuple[int, int] | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row as it stands: numbered without gaps in the order of commits, and chained to the row before."""

    project_id: int
    number: int
    created_at: datetime
    operation: Action
    refusal: str | None
    account_uuid: UUID | None
    key_uuid: UUID | None
    actor: str | None
    door: Door
    address: str | None
    request_id: str | None
    object_type: str | None
    object_id: str | None
    object_name: str | None
    env_uuid: UUID | None
    first_version: int | None
    last_version: int | None
    before: Mapping[str, Value] | None
    after: Mapping[str, Value] | None
    hash: bytes


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows are wanted: all that meet every condition given. ``until`` is the first moment left out."""

    principal_uuid: UUID | None = None
    actions: tuple[Action, ...] = ()
    object_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    refused: bool | None = None


def environment_facts(environment: Environment) -> dict[str, Value]:
    """Return what an environment's owners decide about it."""
    return {
        "name": environment.name,
        "env_type": environment.env_type.value,
        "status": environment.status.value,
        "parent_env_uuid": str(environment.parent_uuid) if environment.parent_uuid else None,
        "expires_at": environment.expires_at.isoformat() if environment.expires_at else None,
        "rollout_steps": environment.rollout_steps,
        "segments": environment.segments,
        "shadow_writes": environment.shadow_writes,
        "shadow_overwrite": environment.shadow_overwrite,
    }


def member_facts(role: Role, environments: frozenset[UUID] | None) -> dict[str, Value]:
    """Return what a member may do, or will when an invitation is accepted."""
    limit: Value = None if environments is None else list(map(str, sorted(environments)))
    return {"role": role.value, "environments": limit}


def generation_facts(generation: Generation) -> dict[str, Value]:
    """Return what is to be known of a snapshot."""
    return {
        "kind": generation.kind.value,
        "number": generation.number,
        "label": generation.label,
        "entity_count": generation.entity_count,
    }


def before_and_after(old: State, new: State) -> tuple[dict[str, Value], dict[str, Value]]:
    """Return a change of ``old`` into ``new`` as flat patches: what undoes it and what it did, fit to be read."""
    return shown(to_json(diff(new, old))), shown(to_json(diff(old, new)))


def shown(patch: Mapping[str, Value]) -> dict[str, Value]:
    """Return a flat patch as the trail shows it: long values by their length.

    All values pass here, those that are written and those that are read from changes: this is the place for
    whatever must not be shown.
    """
    changed = patch.get("set")
    if not isinstance(changed, dict):
        return dict(patch)
    return {**patch, "set": {pointer: _shortened(value) for pointer, value in changed.items()}}


def _shortened(value: Value) -> Value:
    if isinstance(value, dict):
        if len(value) > MAX_ITEMS:
            return {"$members": len(value)}
        return {name: _shortened(item) for name, item in value.items()}
    if isinstance(value, list):
        return {"$items": len(value)} if len(value) > MAX_ITEMS else [_shortened(item) for item in value]
    if isinstance(value, str) and len(value) > MAX_CHARACTERS:
        return {"$characters": len(value)}
    return value
