"""How requests end that nobody decided on: their time is over, or their environment is gone (semantics §3, §9)."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from app.domain.audit import Action, Object
from app.domain.events import EventType
from app.domain.jobs import JobKind
from app.domain.model import Environment
from app.domain.promotion import Promotion, PromotionStatus
from app.domain.values import MISSING, State
from app.services import calls, jobs, recording
from app.services.publishing import publish
from app.storage import db, environments, promotions

ARCHIVED = "The environment was archived."
OVERDUE = "Nobody decided in time."


async def promise_expiry(request: Promotion) -> None:
    """Promise that a request which waits does not wait for ever."""
    if request.expires_at is not None:
        await jobs.enqueue(
            JobKind.EXPIRE_PROMOTION,
            project_id=request.project_id,
            promotion_uuid=request.uuid,
            at=request.expires_at,
        )


async def find_overdue() -> None:
    """Promise the end of every request whose time is over, should its own job have been lost."""
    for project_id, promotion_uuid in await promotions.overdue():
        async with db.transaction():
            await jobs.enqueue(JobKind.EXPIRE_PROMOTION, project_id=project_id, promotion_uuid=promotion_uuid)


async def expire_promotion(project_id: int, promotion_uuid: UUID) -> None:
    """End a request by itself, if its time is over and nobody has decided."""
    request = await promotions.get([project_id], promotion_uuid)
    if request is None or request.status is not PromotionStatus.PENDING_APPROVAL:
        return
    with calls.begun(calls.Call(Action.REJECT_PROMOTION, None, project_id)):
        await _expire(request)


@db.atomic()
async def _expire(seen: Promotion) -> None:
    environment = await environments.lock(seen.project_id, seen.env_uuid, "NO KEY UPDATE")
    request = await promotions.lock(seen.project_id, seen.uuid)
    if environment is None or request is None or not is_overdue(request):
        return
    ended = await end(request, OVERDUE)
    facts: State = {"promotion_id": str(ended.uuid), "status": ended.status.value}
    await recording.record(seen.project_id, Object.of(environment), env_uuid=environment.uuid, change=(MISSING, facts))


def is_overdue(request: Promotion) -> bool:
    """Return whether a request waits longer than it may."""
    pending = request.status is PromotionStatus.PENDING_APPROVAL
    return pending and request.expires_at is not None and request.expires_at <= datetime.now(UTC)


async def end(request: Promotion, reason: str) -> Promotion:
    """End a request that is locked and nobody decided on: one that waits expires, one that rolls out is aborted."""
    rolling = request.status is PromotionStatus.ROLLING_OUT
    status = PromotionStatus.ABORTED if rolling else PromotionStatus.EXPIRED
    ended = await promotions.save(replace(request, status=status, reason=reason))
    await publish(
        ended.project_id,
        EventType.ROLLOUT_ABORTED if rolling else EventType.PROMOTION_EXPIRED,
        env_uuid=ended.env_uuid,
        subject=ended.uuid,
        data={"reason": reason},
    )
    return ended


async def end_requests_of(environment: Environment) -> None:
    """End what is open of an environment that is archived; its anchor is locked."""
    request = await promotions.open_of(environment.project_id, environment.uuid)
    if request is not None:
        await end(request, ARCHIVED)
