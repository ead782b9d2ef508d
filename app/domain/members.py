"""Members of a project and those invited: what they are, and who may make whom what."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.domain.errors import Conflict, Forbidden, LastOwner, ValidationFailed
from app.domain.model import Role

INVITATION_LIFE: Final = timedelta(days=7)
MAX_MEMBERS: Final = 1_000
"""Of a project, with those invited; as many as are listed at once."""

_LIMITABLE: Final = frozenset({Role.EDITOR, Role.VIEWER})
_GRANTABLE: Final[Mapping[Role, frozenset[Role]]] = {
    Role.OWNER: frozenset(Role),
    Role.ADMIN: frozenset(Role) - {Role.OWNER},
    Role.EDITOR: frozenset(),
    Role.VIEWER: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Membership:
    """What an account is in a project.

    ``environments`` are the anchors it may change, None for all; ``active_env_uuid`` is the environment of its
    requests that name none, None for production.
    """

    role: Role
    environments: frozenset[UUID] | None = None
    active_env_uuid: UUID | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """An account in a project. ``email`` is None for an account that has no address."""

    project_id: int
    account_uuid: UUID
    email: str | None
    membership: Membership
    created_at: datetime

    @property
    def role(self) -> Role:
        return self.membership.role


@dataclass(frozen=True, slots=True)
class Invitation:
    """An e-mail address that is to become a member once somebody shows the token that was made with it."""

    project_id: int
    uuid: UUID
    email: str
    role: Role
    environments: frozenset[UUID] | None
    invited_by: UUID
    created_at: datetime
    expires_at: datetime


def grantable(role: Role) -> frozenset[Role]:
    """Return the roles that a member may give, change and take away."""
    return _GRANTABLE[role]


def check_grant(own: Role, *concerned: Role) -> None:
    """Let a member with the role ``own`` deal with members of the roles ``concerned``. Raises Forbidden."""
    if not grantable(own).issuperset(concerned):
        raise Forbidden("Only an owner may make, change or remove an owner.")


def check_owner_stays(role: Role, after: Role | None, owners: int) -> None:
    """Keep one of ``owners`` when a member's ``role`` becomes ``after``, None for leaving. Raises LastOwner."""
    if role is Role.OWNER and after is not Role.OWNER and owners <= 1:
        raise LastOwner


def check_room(taken: int) -> None:
    """Raise Conflict if a project with so many members and invitations takes no more."""
    if taken >= MAX_MEMBERS:
        raise Conflict(f"A project has at most {MAX_MEMBERS:,} members, invitations included.", max=MAX_MEMBERS)


def check_limit_fits(role: Role, environments: frozenset[UUID] | None) -> None:
    """Raise ValidationFailed unless a member with ``role`` can be limited to ``environments``.

    Owners and admins are never limited: they could lift it themselves.
    """
    if environments is None:
        return
    if role not in _LIMITABLE:
        raise ValidationFailed("Only editors and viewers can be limited to environments.", field="environments")
