"""Members of a project: listed, changed, removed, leaving. A project is never without an owner."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from app.domain.audit import Action, Object, member_facts
from app.domain.errors import MemberNotFound
from app.domain.events import EventType
from app.domain.members import (
    MAX_MEMBERS,
    Member,
    Membership,
    check_grant,
    check_limit_fits,
    check_owner_stays,
    grantable,
)
from app.domain.model import Actor, Role
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.policy import Operation
from app.domain.values import MISSING, Missing, Value
from app.services import access, recording, roster
from app.services.operation import operation
from app.storage import db, invitations, members


@dataclass(frozen=True, slots=True)
class MemberChange:
    """What to change; MISSING leaves it as it is. ``environments`` are names or UUIDs, None lifts the limit."""

    role: Role | Missing = MISSING
    environments: Sequence[str] | Missing | None = MISSING


@operation(Action.LIST_MEMBERS, once=False)
async def list_members(actor: Actor, project_id: int, *, limit: int = 50, cursor: str | None = None) -> Page[Member]:
    """Return the members of a project, who joined first comes first. Raises ProjectNotFound, Forbidden."""
    await access.authorize(actor, project_id, Operation.READ_MEMBERS)
    check_limit(limit)
    position = decode_cursor(cursor, int, str) if cursor else None
    after = (int(position[0]), str(position[1])) if position else None
    found = await members.list_page(project_id, limit + 1, after)
    more = len(found) > limit
    return Page(found[:limit], encode_cursor(*members.sort_key(found[limit - 1])) if more else None)


@operation(Action.LIST_MEMBERS, once=False)
async def everyone(actor: Actor, project_id: int) -> list[Member]:
    """Return all members of a project, who joined first comes first. Raises ProjectNotFound, Forbidden."""
    await access.authorize(actor, project_id, Operation.READ_MEMBERS)
    return await members.list_page(project_id, MAX_MEMBERS, None)


@operation(Action.CHANGE_MEMBER)
async def change(actor: Actor, project_id: int, account_uuid: UUID, wanted: MemberChange) -> Member:
    """Change what a member may do. Who becomes an owner or admin is limited no longer.

    Raises MemberNotFound, LastOwner, ValidationFailed, EnvironmentNotFound, EnvironmentArchived, Forbidden.
    """
    await access.authorize(actor, project_id, Operation.MANAGE_MEMBERS)
    environments = wanted.environments
    limit = environments if environments is MISSING else await roster.environments_named(project_id, environments)
    return await _change(actor, project_id, account_uuid, wanted.role, limit)


@db.atomic()
async def _change(
    actor: Actor, project_id: int, account_uuid: UUID, role: Role | Missing, limit: frozenset[UUID] | Missing | None
) -> Member:
    own, member = await _locked(actor, project_id, account_uuid, Operation.MANAGE_MEMBERS)
    changed = replace(member, membership=_changed(member.membership, role, limit))
    check_grant(own.role, member.role, changed.role)
    check_limit_fits(changed.role, changed.membership.environments)
    check_owner_stays(member.role, changed.role, await members.count_owners(project_id))
    await members.save(changed)
    await invitations.revoke_made_by(project_id, account_uuid, grantable(changed.role))
    if changed != member:
        await roster.announce(EventType.MEMBER_CHANGED, changed)
        await recording.record(project_id, Object.of(member), change=(_facts(member), _facts(changed)))
    return changed


def _changed(membership: Membership, role: Role | Missing, limit: frozenset[UUID] | Missing | None) -> Membership:
    if role is not MISSING:
        kept = membership.environments if role in (Role.EDITOR, Role.VIEWER) else None
        membership = replace(membership, role=role, environments=kept)
    return membership if limit is MISSING else replace(membership, environments=limit)


@operation(Action.REMOVE_MEMBER)
async def remove(actor: Actor, project_id: int, account_uuid: UUID) -> Member:
    """Remove a member, or leave; every process knows within a second.

    The invitations that they made are revoked, the API keys stay: those belong to the project. Raises
    MemberNotFound, LastOwner, Forbidden, ProjectNotFound.
    """
    asked = Operation.LEAVE if account_uuid == actor.account_uuid else Operation.MANAGE_MEMBERS
    await access.authorize(actor, project_id, asked)
    return await _remove(actor, project_id, account_uuid, asked)


@db.atomic()
async def _remove(actor: Actor, project_id: int, account_uuid: UUID, asked: Operation) -> Member:
    own, member = await _locked(actor, project_id, account_uuid, asked)
    if asked is Operation.MANAGE_MEMBERS:
        check_grant(own.role, member.role)
    check_owner_stays(member.role, None, await members.count_owners(project_id))
    await members.remove(project_id, account_uuid)
    await invitations.revoke_made_by(project_id, account_uuid, ())
    await roster.announce(EventType.MEMBER_REMOVED, member)
    await recording.record(project_id, Object.of(member), change=(_facts(member), MISSING))
    return member


def _facts(member: Member) -> dict[str, Value]:
    return member_facts(member.role, member.membership.environments)


async def _locked(actor: Actor, project_id: int, account_uuid: UUID, asked: Operation) -> tuple[Membership, Member]:
    """Return what the actor is now, and a member, with the project's members locked."""
    own = await roster.lock_as(actor, project_id, asked)
    member = await members.get(project_id, account_uuid)
    if member is None:
        raise MemberNotFound
    return own, member
