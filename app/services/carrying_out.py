"""Carrying a promotion out once it may be: the swap, or a rollout that ends in it (semantics §3, §4)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from app.domain import lifecycle
from app.domain.audit import Object
from app.domain.events import EventType
from app.domain.model import Actor, Environment, EnvStatus, Strategy
from app.domain.promotion import Promotion, PromotionStatus
from app.domain.values import MISSING, State, Value
from app.services import experiment_ends, freezes, recording, rollouts
from app.services.carried import Prepared
from app.services.publishing import publish
from app.services.swap import Swap
from app.storage import clock, environments, promotions


@asynccontextmanager
async def unfrozen(actor: Actor, project_id: int, *, override: bool) -> AsyncIterator[None]:
    """Let the block reach production; to be entered before anything is locked. Raises ProductionFrozen, Forbidden."""
    passed = await freezes.check(project_id, actor, datetime.now(UTC), override=override)
    yield
    if passed is not None:
        await freezes.record_passing(actor, passed)


async def carry_out(actor: Actor, request: Promotion, prepared: Prepared, locked: Sequence[Environment]) -> Promotion:
    """Do what a request that was checked, and approved where that is needed, asks for."""
    if request.plan.strategy is Strategy.CANARY:
        first = request.plan.rollout_steps[0]
        weight = first["weight"] if isinstance(first, dict) else None
        if isinstance(weight, int) and weight < 100:
            return await start_rollout(request, prepared.environment, weight)
    return await complete(actor, request, prepared, locked)


async def start_rollout(request: Promotion, environment: Environment, weight: int) -> Promotion:
    """Let a canary begin with its first step."""
    rolling = lifecycle.through(environment, EnvStatus.ROLLING_OUT)
    saved = await environments.save(replace(rolling, traffic_weight=weight))
    started = await promotions.save(
        replace(
            request,
            status=PromotionStatus.ROLLING_OUT,
            step=0,
            step_started_at=await clock.now(),
            previous_weight=environment.traffic_weight,
            expires_at=None,
        )
    )
    rollout = await rollouts.look(saved, started)
    await rollouts.tend_later(rollout)
    await publish(
        saved.project_id,
        EventType.ROLLOUT_STARTED,
        env_uuid=saved.uuid,
        subject=request.uuid,
        data=rollout.event_data(environment.traffic_weight),
    )
    await record_request(started, saved)
    return started


async def complete(
    actor: Actor,
    request: Promotion,
    prepared: Prepared,
    locked: Sequence[Environment],
    facts: dict[str, Value] | None = None,
) -> Promotion:
    """Swap, and end the request; ``facts`` is what the trail says of it beside the versions of the changes."""
    thing = Object.of(prepared.environment)
    change: tuple[State, State] | None = (MISSING, facts) if facts else None
    entry = recording.entry(request.project_id, thing, env_uuid=request.env_uuid, change=change)
    concluded = await experiment_ends.conclude(request)
    swap = Swap(actor, prepared, locked, request.uuid, request.message, entry)
    release = await swap.run()
    if concluded is not None:
        await experiment_ends.tell(concluded, EventType.EXPERIMENT_DECLARED)
    now = datetime.now(UTC)
    done = await promotions.save(
        replace(request, status=PromotionStatus.COMPLETED, release_uuid=release.uuid, approved_at=now, expires_at=None)
    )
    if release.entity_count == 0 and facts:
        await record(prepared.environment, facts)
    elif release.entity_count == 0:
        await record_request(done, prepared.environment)
    return done


async def record_request(request: Promotion, environment: Environment) -> None:
    """Add the trail's row for what became of a request."""
    facts: dict[str, Value] = {
        "promotion_id": str(request.uuid),
        "strategy": request.plan.strategy.value,
        "status": request.status.value,
        "checks": dict(request.checks.passed),
    }
    await record(environment, facts)


async def record(environment: Environment, facts: dict[str, Value]) -> None:
    """Add the trail's row for something done to an environment."""
    change: tuple[State, State] = (MISSING, facts)
    await recording.record(environment.project_id, Object.of(environment), env_uuid=environment.uuid, change=change)
