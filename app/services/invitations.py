"""Invitations by e-mail address. No mail is sent: whoever invites hands over the token that the answer shows once.

The token alone lets nobody in, nor does the address: nobody has shown that an address is theirs by registering it,
and tokens get forwarded. Accepting takes the token and an account with the address.
"""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from uuid import UUID

from app.domain import policy
from app.domain.audit import Action, Object, member_facts
from app.domain.errors import AlreadyMember, InvitationForAnother, InvitationNotFound
from app.domain.events import EventType
from app.domain.members import (
    INVITATION_LIFE,
    MAX_MEMBERS,
    Invitation,
    Member,
    check_grant,
    check_limit_fits,
    check_room,
)
from app.domain.model import Actor, Role
from app.domain.names import email_address
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.policy import Operation
from app.domain.values import MISSING, Value
from app.services import access, calls, identity, publishing, recording, roster
from app.services.operation import operation
from app.storage import db, invitations, members, typed

_MARK: Final = "invitation"
_MAX_TOKEN: Final = 100
_MAX_ID: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Invited:
    """A new invitation with its token, which is to be shown now or never: None in an answer that is repeated."""

    invitation: Invitation
    token: str | None = field(metadata={typed.WITHHELD: True})


@operation(Action.INVITE_MEMBER)
async def invite(
    actor: Actor, project_id: int, email: str, role: Role, environments: Sequence[str] | None = None
) -> Invited:
    """Invite an address, registered or not; an earlier invitation of it is replaced.

    Raises AlreadyMember, Conflict, ValidationFailed, EnvironmentNotFound, EnvironmentArchived, Forbidden,
    ProjectNotFound.
    """
    await access.authorize(actor, project_id, Operation.MANAGE_MEMBERS)
    address = email_address(email)
    limit = await roster.environments_named(project_id, environments)
    check_limit_fits(role, limit)
    token = _new_token(project_id)
    return Invited(await _invite(actor, project_id, address, role, limit, token), token)


@db.atomic()
async def _invite(
    actor: Actor, project_id: int, email: str, role: Role, limit: frozenset[UUID] | None, token: str
) -> Invitation:
    own = await roster.lock_as(actor, project_id, Operation.MANAGE_MEMBERS)
    check_grant(own.role, role)
    if await members.has_email(project_id, email):
        raise AlreadyMember
    earlier = await invitations.of_email(project_id, email)
    if earlier is not None:
        check_grant(own.role, earlier.role)
        await invitations.revoke(project_id, earlier.uuid)
    check_room(await members.count(project_id) + await invitations.count(project_id))
    made = await invitations.add(project_id, email, role, limit, _digest(token), actor.account_uuid, INVITATION_LIFE)
    await _announce(EventType.MEMBER_INVITED, made)
    await recording.record(project_id, Object.of(made), change=(MISSING, _facts(made)))
    return made


@operation(Action.LIST_INVITATIONS, once=False)
async def list_invitations(
    actor: Actor, project_id: int, *, limit: int = 50, cursor: str | None = None
) -> Page[Invitation]:
    """Return the invitations that can still be accepted, newest first. Raises ProjectNotFound, Forbidden."""
    await access.authorize(actor, project_id, Operation.MANAGE_MEMBERS)
    check_limit(limit)
    position = decode_cursor(cursor, int, str) if cursor else None
    before = (int(position[0]), str(position[1])) if position else None
    found = await invitations.list_page(project_id, limit + 1, before)
    more = len(found) > limit
    return Page(found[:limit], encode_cursor(*invitations.sort_key(found[limit - 1])) if more else None)


@operation(Action.LIST_INVITATIONS, once=False)
async def pending(actor: Actor, project_id: int) -> list[Invitation]:
    """Return all invitations that can still be accepted, newest first. Raises ProjectNotFound, Forbidden."""
    await access.authorize(actor, project_id, Operation.MANAGE_MEMBERS)
    return await invitations.list_page(project_id, MAX_MEMBERS, None)


@operation(Action.REVOKE_INVITATION)
async def revoke(actor: Actor, project_id: int, invitation_uuid: UUID) -> Invitation:
    """Make an invitation useless. Raises InvitationNotFound, Forbidden."""
    await access.authorize(actor, project_id, Operation.MANAGE_MEMBERS)
    return await _revoke(actor, project_id, invitation_uuid)


@db.atomic()
async def _revoke(actor: Actor, project_id: int, invitation_uuid: UUID) -> Invitation:
    own = await roster.lock_as(actor, project_id, Operation.MANAGE_MEMBERS)
    found = await invitations.get(project_id, invitation_uuid)
    if found is None:
        raise InvitationNotFound
    check_grant(own.role, found.role)
    await invitations.revoke(project_id, invitation_uuid)
    await _announce(EventType.MEMBER_INVITATION_REVOKED, found)
    await recording.record(project_id, Object.of(found), change=(_facts(found), MISSING))
    return found


@operation(Action.ACCEPT_INVITATION)
async def accept(actor: Actor, token: str) -> Member:
    """Make the actor a member, as it was invited.

    Raises InvitationNotFound, InvitationForAnother, AlreadyMember, TokenKindForbidden.
    """
    policy.check(actor, None, Operation.ACCEPT_INVITATION)
    project_id = _project_of(token)
    if project_id is None:
        raise InvitationNotFound
    address = (await identity.account(actor)).email
    return await _accept(actor, project_id, _digest(token), address)


@db.atomic()
async def _accept(actor: Actor, project_id: int, token_hash: bytes, address: str | None) -> Member:
    await members.lock(project_id)
    invitation = await invitations.by_token(project_id, token_hash)
    if invitation is None:
        raise InvitationNotFound
    calls.let_into(project_id)
    if invitation.email != address:
        raise InvitationForAnother
    if not await members.add(project_id, actor.account_uuid, invitation.role, invitation.environments):
        raise AlreadyMember
    await invitations.accept(project_id, invitation.uuid, actor.account_uuid)
    member = await members.get(project_id, actor.account_uuid)
    if member is None:
        raise LookupError("INSERT left nothing")
    await roster.announce(EventType.MEMBER_ADDED, member)
    await recording.record(project_id, Object.of(member), change=(MISSING, _facts(invitation)))
    return member


async def _announce(type_: EventType, invitation: Invitation) -> None:
    data: dict[str, Value] = {"role": invitation.role.value}
    await publishing.publish(invitation.project_id, type_, subject=invitation.uuid, data=data)


def _facts(invitation: Invitation) -> dict[str, Value]:
    return member_facts(invitation.role, invitation.environments)


def _new_token(project_id: int) -> str:
    secret = urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return f"{_MARK}_{project_id}_{secret}"


def _project_of(token: str) -> int | None:
    parts = token.split("_", 2)
    if len(token) > _MAX_TOKEN or not token.isascii() or len(parts) != 3 or parts[0] != _MARK:
        return None
    return int(parts[1]) if parts[1].isdigit() and int(parts[1]) <= _MAX_ID else None


def _digest(token: str) -> bytes:
    # It is random, so a fast hash gives nothing away.
    return sha256(token.encode()).digest()
