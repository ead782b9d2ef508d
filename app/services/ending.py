"""How requests end that nobody decided on: their time is over, or their environment is gone (semantics §3, §9)."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from app.domain.audit import Action, Object
from app.domain.events import EventType
from app.domain.jobs import JobKind
from app.domain.model import Environment, EnvStatus
from app.domain.promotion import Promotion, PromotionStatus
from app.domain.values import MISSING, State, Value
from app.services import calls, jobs, recording
from app.services.experiment_ends import stop_tests_of
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
    """End a request that is locked, and that nobody decided on."""
    ended = await promotions.save(replace(request, status=PromotionStatus.EXPIRED, reason=reason))
    await _publish(ended, EventType.PROMOTION_EXPIRED, {"reason": reason})
    return ended


async def _publish(ended: Promotion, type_: EventType, data: dict[str, Value]) -> None:
    await publish(ended.project_id, type_, env_uuid=ended.env_uuid, subject=ended.uuid, data=data)


async def end_requests_of(environment: Environment) -> None:
    """End what is open of an environment, as it was until it was archived, its tests too; its anchor is locked."""
    await stop_tests_of(environment)
    request = await promotions.open_of(environment.project_id, environment.uuid)
    if request is None:
        return
    if request.status is PromotionStatus.PENDING_APPROVAL:
        await end(request, ARCHIVED)
        return
    ended = await promotions.save(replace(request, status=PromotionStatus.ABORTED, reason=ARCHIVED))
    data: dict[str, Value] = {
        "status": EnvStatus.ARCHIVED.value,
        "traffic_weight": 0,
        "previous_traffic_weight": environment.traffic_weight,
        "step": (request.step or 0) + 1,
        "steps": len(request.plan.rollout_steps),
        "next_step_at": None,
        "reason": ARCHIVED,
    }
    await _publish(ended, EventType.ROLLOUT_ABORTED, data)
