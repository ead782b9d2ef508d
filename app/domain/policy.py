"""Who may do what: one table, read by both doors (semantics §8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.domain.errors import Forbidden, TokenKindForbidden
from app.domain.model import Actor, Role, Scope


class Operation(StrEnum):
    READ = "read"
    WRITE = "write"
    FORK = "fork"
    ARCHIVE = "archive"
    CHECKPOINT = "checkpoint"
    UPDATE_ENVIRONMENT = "update_environment"
    BACKUP = "backup"
    RESTORE = "restore"
    MANAGE_KEYS = "manage_keys"
    READ_AUDIT = "read_audit"


@dataclass(frozen=True, slots=True)
class Rule:
    """The roles that may, the scope an API key needs, and whether keys are let in at all."""

    roles: frozenset[Role]
    scope: Scope
    keys: bool = True


_ALL: Final = frozenset(Role)
_EDITORS: Final = frozenset({Role.OWNER, Role.ADMIN, Role.EDITOR})
_ADMINS: Final = frozenset({Role.OWNER, Role.ADMIN})

POLICY: Final[Mapping[Operation, Rule]] = {
    Operation.READ: Rule(_ALL, Scope.READ),
    Operation.WRITE: Rule(_EDITORS, Scope.WRITE),
    Operation.FORK: Rule(_EDITORS, Scope.WRITE, keys=False),
    Operation.ARCHIVE: Rule(_EDITORS, Scope.WRITE, keys=False),
    Operation.CHECKPOINT: Rule(_EDITORS, Scope.WRITE),
    Operation.UPDATE_ENVIRONMENT: Rule(_EDITORS, Scope.WRITE),
    Operation.BACKUP: Rule(_EDITORS, Scope.WRITE),
    Operation.RESTORE: Rule(_ADMINS, Scope.PROMOTE),
    Operation.MANAGE_KEYS: Rule(_ADMINS, Scope.ADMIN, keys=False),
    Operation.READ_AUDIT: Rule(_ADMINS, Scope.ADMIN),
}


def check(actor: Actor, role: Role | None, operation: Operation) -> None:
    """Let ``actor`` pass or say why not; ``role`` is its role in the project, None for an API key.

    Raises TokenKindForbidden or Forbidden.
    """
    rule = POLICY[operation]
    if actor.is_key:
        if not rule.keys:
            raise TokenKindForbidden
        if rule.scope not in actor.scopes:
            raise Forbidden(
                f"This API key lacks the scope {rule.scope.value!r}.",
                required_scope=rule.scope.value,
                scopes=sorted(actor.scopes),
            )
        return
    if role not in rule.roles:
        raise Forbidden(
            f"The role {role.value if role else 'none'!r} may not do this; it takes one of "
            f"{', '.join(sorted(rule.roles))}.",
            operation=operation.value,
        )
