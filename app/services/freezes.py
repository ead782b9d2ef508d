"""Freezes: declared and lifted by owners and admins, and looked at by whatever reaches production."""

from datetime import UTC, datetime
from uuid import UUID

from app.domain import policy
from app.domain.audit import Action, Object, ObjectType
from app.domain.errors import Conflict, FreezeNotFound
from app.domain.events import EventType
from app.domain.freezes import (
    MAX_LIVING,
    Freeze,
    ProductionFrozen,
    check_owner,
    check_reason,
    check_window,
    freeze_in_force,
)
from app.domain.model import Actor
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.policy import Operation
from app.domain.values import MISSING
from app.services import access, recording
from app.services.operation import operation
from app.services.publishing import publish
from app.storage import db, freezes


async def living(actor: Actor, project_id: int) -> list[Freeze]:
    """Return the freezes in force and those still to come, the first to start first."""
    await access.authorize(actor, project_id, Operation.READ)
    return (await freezes.living([project_id], datetime.now(UTC)))[project_id]


async def list_freezes(actor: Actor, project_id: int, *, limit: int = 50, cursor: str | None = None) -> Page[Freeze]:
    """Return all freezes there ever were, the newest first."""
    await access.authorize(actor, project_id, Operation.READ)
    check_limit(limit)
    position = decode_cursor(cursor, int, str) if cursor else None
    before = (int(position[0]), str(position[1])) if position else None
    found = await freezes.list_page(project_id, limit + 1, before)
    more = len(found) > limit
    return Page(found[:limit], encode_cursor(*freezes.sort_key(found[limit - 1])) if more else None)


@operation(Action.FREEZE)
async def freeze(
    actor: Actor,
    project_id: int,
    reason: str,
    *,
    owner: str | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> Freeze:
    """Declare a freeze: from now or ``starts_at``, until ``ends_at`` or until it is lifted; its owner is the actor
    unless another is named.

    Raises ValidationFailed, Conflict, ProjectNotFound, Forbidden.
    """
    await access.authorize(actor, project_id, Operation.MANAGE_FREEZES)
    now = datetime.now(UTC)
    start, end = check_window(starts_at, ends_at, now)
    return await _freeze(actor, project_id, check_reason(reason), check_owner(owner or actor.name), start, end)


@db.atomic()
async def _freeze(
    actor: Actor, project_id: int, reason: str, owner: str, starts_at: datetime, ends_at: datetime | None
) -> Freeze:
    await freezes.lock_exclusively(project_id)
    if len((await freezes.living([project_id], datetime.now(UTC)))[project_id]) >= MAX_LIVING:
        raise Conflict(f"There are {MAX_LIVING} freezes in force or to come already; lift one first.")
    made = await freezes.add(project_id, reason, owner, starts_at, ends_at, actor.name)
    await publish(project_id, EventType.FREEZE_STARTED, subject=made.uuid, data=made.facts())
    await recording.record(project_id, _object(made), change=(MISSING, made.facts()))
    return made


@operation(Action.LIFT_FREEZE)
async def lift(actor: Actor, freeze_uuid: UUID, project_id: int | None = None) -> Freeze:
    """Lift a freeze, or call off one that is still to come; one that is over stays as it is.

    Raises FreezeNotFound, Forbidden.
    """
    found = await access.seek(actor, project_id, lambda ids: freezes.project_of(ids, freeze_uuid))
    if found is None:
        raise FreezeNotFound
    await access.authorize(actor, found, Operation.MANAGE_FREEZES)
    return await _lift(actor, found, freeze_uuid)


@db.atomic()
async def _lift(actor: Actor, project_id: int, freeze_uuid: UUID) -> Freeze:
    before = await freezes.lock(project_id, freeze_uuid)
    if before is None:
        raise FreezeNotFound
    if before.is_over(datetime.now(UTC)):
        return before
    after = await freezes.lift(project_id, freeze_uuid, actor.name)
    await publish(project_id, EventType.FREEZE_LIFTED, subject=freeze_uuid, data=after.facts())
    await recording.record(project_id, _object(after), change=(before.facts(), after.facts()))
    return after


async def check(project_id: int, actor: Actor | None, now: datetime, *, override: bool) -> Freeze | None:
    """Let a change reach production, in whose transaction this is called before anything is locked.

    Returns the freeze that is passed by ``override``, which ``record_passing`` has to be told of, or None if there
    is none. No freeze begins until the transaction has ended. ``actor`` is None where the server acts by itself.
    Raises ProductionFrozen, or Forbidden where the actor may not pass a freeze.
    """
    await freezes.lock_shared(project_id)
    found = freeze_in_force((await freezes.living([project_id], now))[project_id], now)
    if found is None:
        return None
    if not override or actor is None:
        raise ProductionFrozen(found)
    policy.check(actor, await access.membership_in(actor, project_id), Operation.PASS_FREEZE)
    return found


async def record_passing(actor: Actor, passed: Freeze) -> None:
    """Add a row to the trail for a freeze that was passed; just before the row of what was done."""
    await recording.record_as(
        actor, Action.PASS_FREEZE, _object(passed), passed.project_id, after={"reason": passed.reason}
    )


def _object(of: Freeze) -> Object:
    return Object(ObjectType.FREEZE, str(of.uuid), of.reason)
