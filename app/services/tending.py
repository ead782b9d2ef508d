"""What the server does about rollouts by itself: steps that are due, guards that failed (semantics §4).

May run in several processes at once, late, or twice: each step is taken once, under lock and by the database's clock.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Final

from app.domain import canary
from app.domain.audit import Action
from app.domain.freezes import ProductionFrozen
from app.domain.guards import Outcome
from app.domain.jobs import JobKind
from app.domain.model import Actor
from app.domain.promotion import Promotion
from app.domain.promotion_errors import NotRollingOut, RolloutBlocked, RolloutMoved
from app.services import calls, canaries, freezes, jobs, rollouts, stepping
from app.services.rollouts import Rollout
from app.storage import clock, db, environments, project_settings, promotions
from app.storage import rollouts as stored

LOOKED_EVERY: Final = timedelta(minutes=1)


async def find_rollouts() -> None:
    """Promise a look at every rollout under way, now and as often until the next time as its project wants it."""
    for project_id in await stored.projects_with_any():
        await _promise_looks(project_id)


@db.atomic()
async def _promise_looks(project_id: int) -> None:
    await jobs.enqueue(JobKind.TEND_ROLLOUT, project_id=project_id)
    settings = await project_settings.get(project_id)
    interval = timedelta(seconds=settings.canary_watchdog_interval_seconds)
    now, after = await clock.now(), interval
    while after < LOOKED_EVERY:
        await jobs.enqueue(JobKind.TEND_ROLLOUT, at=now + after, project_id=project_id)
        after += interval


async def tend(project_id: int) -> None:
    """Abort the project's rollout if a guard has failed, else take the step that is due, if one is."""
    found = await _under_way(project_id)
    if found is None:
        return
    with suppress(NotRollingOut, RolloutMoved, ProductionFrozen):
        if found.progress.guard is Outcome.FAILED:
            await _abort(found)
        elif found.position.due is not None:
            await _go_on(found)


async def _under_way(project_id: int) -> Rollout | None:
    uuid = await stored.under_way(project_id)
    request = await promotions.get([project_id], uuid) if uuid else None
    environment = await environments.get([project_id], request.env_uuid) if request else None
    if request is None or environment is None:
        return None
    with suppress(NotRollingOut):
        return await rollouts.look(environment, request)
    return None


async def _abort(rollout: Rollout) -> None:
    reasons = [verdict.reason for verdict in rollout.verdicts if verdict.outcome is Outcome.FAILED]
    with calls.begun(calls.Call(Action.ABORT_CANARY, None, rollout.request.project_id)):
        await canaries.end(rollout.request, "; ".join(reasons))


async def _go_on(rollout: Rollout) -> None:
    with calls.begun(calls.Call(Action.ADVANCE_CANARY, None, rollout.request.project_id)):
        try:
            await _step(rollout.request)
        except RolloutBlocked as blocked:
            await _hold(rollout.request, blocked.message)


@db.atomic(statement_timeout=canaries.TIMEOUT)
async def _step(seen: Promotion) -> None:
    await freezes.check(seen.project_id, None, await clock.now(), override=False)
    held = await stepping.hold(seen)
    position, plan = held.rollout.position, held.rollout.plan
    if position.due is None or held.rollout.progress.guard is Outcome.FAILED:
        return
    if held.lacking is not None:
        await stepping.note_held(held, "approvals")
    elif plan[position.due].weight == canary.FULL:
        # Changes are written in the name of whoever asked for the promotion; the trail says that the server did it.
        await stepping.finish(Actor(seen.account_uuid, seen.actor), held)
    else:
        await stepping.enter(held, position.due, position.due_since)


@db.atomic(statement_timeout=canaries.TIMEOUT)
async def _hold(seen: Promotion, reason: str) -> None:
    await stepping.note_held(await stepping.hold(seen), reason)
