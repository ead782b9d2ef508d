"""Answers about members, invitations and where a member works."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from app.domain.members import Invitation, Member
from app.domain.model import Environment, EnvStatus, EnvType, Role
from app.rest.answers import Answer
from app.services.invitations import Invited

_NOT_REPEATED: Final = (
    "The token was shown in the first answer and is not kept. If that answer was lost, invite the address again."
)


class MemberAnswer(Answer):
    """``environments`` are the only ones that the member may change; null: all."""

    project_id: int
    account_uuid: UUID
    email: str | None
    role: Role
    environments: list[UUID] | None
    created_at: datetime

    @classmethod
    def of(cls, member: Member) -> "MemberAnswer":
        """Return the answer for a member."""
        return cls(
            project_id=member.project_id,
            account_uuid=member.account_uuid,
            email=member.email,
            role=member.role,
            environments=_sorted(member.membership.environments),
            created_at=member.created_at,
        )


class Members(Answer):
    members: list[MemberAnswer]
    next_cursor: str | None


class InvitationAnswer(Answer):
    uuid: UUID
    project_id: int
    email: str
    role: Role
    environments: list[UUID] | None
    created_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, invitation: Invitation) -> "InvitationAnswer":
        """Return the answer for an invitation, without its token."""
        return cls(**_fields(invitation))


class InvitedAnswer(InvitationAnswer):
    """``token`` is for the person invited; shown once: null in a repeated answer, and ``notice`` says so."""

    token: str | None
    notice: str | None

    @classmethod
    def showing(cls, invited: Invited) -> "InvitedAnswer":
        """Return the answer for a new invitation, with its token where it is not a repeated one."""
        notice = _NOT_REPEATED if invited.token is None else None
        return cls(token=invited.token, notice=notice, **_fields(invited.invitation))


def _fields(invitation: Invitation) -> dict[str, Any]:
    return {
        "uuid": invitation.uuid,
        "project_id": invitation.project_id,
        "email": invitation.email,
        "role": invitation.role,
        "environments": _sorted(invitation.environments),
        "created_at": invitation.created_at,
        "expires_at": invitation.expires_at,
    }


def _sorted(uuids: frozenset[UUID] | None) -> list[UUID] | None:
    return None if uuids is None else sorted(uuids)


class Invitations(Answer):
    invitations: list[InvitationAnswer]
    next_cursor: str | None


class ActiveEnvironment(Answer):
    """Where the user's requests in the project go that name no environment; ``active_env`` is its name."""

    project_id: int
    active_env: str
    env_uuid: UUID
    env_type: EnvType
    status: EnvStatus

    @classmethod
    def of(cls, environment: Environment) -> "ActiveEnvironment":
        """Return the answer for an active environment."""
        return cls(
            project_id=environment.project_id,
            active_env=environment.name,
            env_uuid=environment.uuid,
            env_type=environment.env_type,
            status=environment.status,
        )
