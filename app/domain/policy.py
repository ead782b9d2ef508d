"""Who may do what: one table, read by both doors (semantics §8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.domain.errors import (
    DirectProductionWriteForbidden,
    EnvironmentRestricted,
    Forbidden,
    ProjectNotFound,
    TokenKindForbidden,
)
from app.domain.members import Membership
from app.domain.model import Actor, Environment, Role, Scope
from app.domain.project_settings import ProjectSettings


class Operation(StrEnum):
    READ_ITSELF = "read_itself"
    READ_ACCOUNT = "read_account"
    LOG_OUT = "log_out"
    LIST_PROJECTS = "list_projects"
    CREATE_PROJECT = "create_project"
    ACCEPT_INVITATION = "accept_invitation"
    READ = "read"
    READ_ROLE = "read_role"
    WRITE = "write"
    FORK = "fork"
    ARCHIVE = "archive"
    CHECKPOINT = "checkpoint"
    UPDATE_ENVIRONMENT = "update_environment"
    CHOOSE_ENVIRONMENT = "choose_environment"
    BACKUP = "backup"
    RESTORE = "restore"
    VALIDATE = "validate"
    PROMOTE = "promote"
    APPROVE = "approve"
    REPORT_HEALTH = "report_health"
    EVALUATE = "evaluate"
    MANAGE_EXPERIMENTS = "manage_experiments"
    RECORD_RESULTS = "record_results"
    REBASE = "rebase"
    ROLLBACK_RELEASE = "rollback_release"
    READ_MEMBERS = "read_members"
    MANAGE_MEMBERS = "manage_members"
    LEAVE = "leave"
    MANAGE_KEYS = "manage_keys"
    MANAGE_WEBHOOKS = "manage_webhooks"
    READ_AUDIT = "read_audit"
    CHANGE_SETTINGS = "change_settings"
    MANAGE_FREEZES = "manage_freezes"
    PASS_FREEZE = "pass_freeze"  # noqa: S105
    SHORTEN_PROTECTED = "shorten_protected"
    DECRYPT = "decrypt"
    CHECK_PROTECTED = "check_protected"


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may, in a row of the table.

    ``roles``: of a project's members; None: any account, and no project is asked. ``scope``: what an API key needs;
    None: no key may, but with ``any_key`` all may. ``in_environment``: whoever is limited to some environments may in
    those only. ``direct``: in production only the roles that the project's settings name.
    """

    roles: frozenset[Role] | None
    scope: Scope | None
    in_environment: bool = False
    direct: bool = False
    any_key: bool = False


_ALL: Final = frozenset(Role)
_EDITORS: Final = frozenset({Role.OWNER, Role.ADMIN, Role.EDITOR})
_ADMINS: Final = frozenset({Role.OWNER, Role.ADMIN})

POLICY: Final[Mapping[Operation, Rule]] = {
    Operation.READ_ITSELF: Rule(None, None, any_key=True),
    Operation.READ_ACCOUNT: Rule(None, Scope.READ),
    Operation.LOG_OUT: Rule(None, None),
    Operation.LIST_PROJECTS: Rule(None, Scope.READ),
    Operation.CREATE_PROJECT: Rule(None, None),
    Operation.ACCEPT_INVITATION: Rule(None, None),
    Operation.READ: Rule(_ALL, Scope.READ),
    Operation.READ_ROLE: Rule(_ALL, None, any_key=True),
    Operation.WRITE: Rule(_EDITORS, Scope.WRITE, in_environment=True, direct=True),
    Operation.FORK: Rule(_EDITORS, None, in_environment=True),
    Operation.ARCHIVE: Rule(_EDITORS, None, in_environment=True),
    Operation.CHECKPOINT: Rule(_EDITORS, Scope.WRITE, in_environment=True),
    Operation.UPDATE_ENVIRONMENT: Rule(_EDITORS, Scope.WRITE, in_environment=True),
    Operation.CHOOSE_ENVIRONMENT: Rule(_ALL, None),
    Operation.BACKUP: Rule(_EDITORS, Scope.WRITE, in_environment=True),
    Operation.RESTORE: Rule(_ADMINS, Scope.PROMOTE),
    Operation.VALIDATE: Rule(_EDITORS, Scope.WRITE, in_environment=True),
    Operation.PROMOTE: Rule(_EDITORS, Scope.PROMOTE, in_environment=True),
    Operation.APPROVE: Rule(_ADMINS, Scope.PROMOTE),
    Operation.EVALUATE: Rule(_ALL, Scope.EVALUATE),
    Operation.REPORT_HEALTH: Rule(_EDITORS, Scope.WRITE, in_environment=True),
    Operation.MANAGE_EXPERIMENTS: Rule(_EDITORS, Scope.WRITE, in_environment=True),
    Operation.RECORD_RESULTS: Rule(_EDITORS, Scope.EVALUATE, in_environment=True),
    Operation.REBASE: Rule(_EDITORS, Scope.WRITE, in_environment=True),
    Operation.ROLLBACK_RELEASE: Rule(_EDITORS, Scope.PROMOTE, in_environment=True),
    Operation.READ_MEMBERS: Rule(_ALL, Scope.ADMIN),
    Operation.MANAGE_MEMBERS: Rule(_ADMINS, None),
    Operation.LEAVE: Rule(_ALL, None),
    Operation.MANAGE_KEYS: Rule(_ADMINS, None),
    Operation.MANAGE_WEBHOOKS: Rule(_ADMINS, Scope.ADMIN),
    Operation.READ_AUDIT: Rule(_ADMINS, Scope.ADMIN),
    Operation.CHANGE_SETTINGS: Rule(_ADMINS, Scope.ADMIN),
    Operation.MANAGE_FREEZES: Rule(_ADMINS, Scope.ADMIN),
    Operation.PASS_FREEZE: Rule(_ADMINS, Scope.ADMIN),
    Operation.SHORTEN_PROTECTED: Rule(frozenset({Role.OWNER}), None),
    Operation.DECRYPT: Rule(_ADMINS, None),
    Operation.CHECK_PROTECTED: Rule(_EDITORS, Scope.WRITE, in_environment=True),
}


def check(actor: Actor, membership: Membership | None, operation: Operation, env_uuid: UUID | None = None) -> None:
    """Let ``actor`` pass or say why not.

    ``membership`` is what a user is in the project, None for an API key of it; ``env_uuid`` is the environment that
    the operation changes or forks. Raises TokenKindForbidden, Forbidden, EnvironmentRestricted, ProjectNotFound.
    """
    rule = POLICY[operation]
    if actor.is_key:
        _check_key(actor, rule)
        return
    if rule.roles is None:
        return
    if membership is None:
        raise ProjectNotFound
    if membership.role not in rule.roles:
        raise Forbidden(
            f"The role {membership.role.value!r} may not do this; it takes one of {', '.join(sorted(rule.roles))}.",
            operation=operation.value,
        )
    if rule.in_environment and env_uuid is not None and membership.environments is not None:
        _check_limit(membership.environments, env_uuid)


def _check_key(actor: Actor, rule: Rule) -> None:
    if rule.any_key:
        return
    if rule.scope is None:
        raise TokenKindForbidden
    if rule.scope not in actor.scopes:
        raise Forbidden(
            f"This API key lacks the scope {rule.scope.value!r}.",
            required_scope=rule.scope.value,
            scopes=sorted(actor.scopes),
        )


def _check_limit(environments: frozenset[UUID], env_uuid: UUID) -> None:
    if env_uuid not in environments:
        raise EnvironmentRestricted(env_uuid, sorted(map(str, environments)))


def check_direct_write(
    membership: Membership | None, operation: Operation, environment: Environment, settings: ProjectSettings
) -> None:
    """Raise DirectProductionWriteForbidden where the project lets the caller write to production by promotion only.

    An API key, whose ``membership`` is None, may what an editor may: its scope ``write`` says no more.
    """
    role = membership.role if membership else Role.EDITOR
    if POLICY[operation].direct and environment.is_production and role not in settings.direct_prod_roles:
        raise DirectProductionWriteForbidden([role for role in Role if role in settings.direct_prod_roles])
