"""Taking a rollout from one step to the next, or into production: what a person's advance and the server's share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.domain import canary
from app.domain.errors import EnvironmentArchived
from app.domain.events import EventType
from app.domain.model import Actor, Environment, EnvStatus
from app.domain.promotion import DocumentResolution, Promotion, PromotionStatus
from app.domain.promotion_errors import NotRollingOut, RolloutBlocked, RolloutMoved
from app.domain.values import Value
from app.services import rollouts
from app.services.carried import Prepared
from app.services.carrying_out import complete, record
from app.services.checking import as_needed_now, carry_anew, check
from app.services.publishing import publish
from app.services.rollouts import Rollout, Standing
from app.services.swap import prepare_held
from app.storage import environments, promotions
from app.storage import rollouts as stored


@dataclass(frozen=True, slots=True)
class Held:
    """A rollout that is locked with all that it touches, and what it would bring to production now.

    ``lacking`` is how many approvals are there, where that is too few.
    """

    rollout: Rollout
    prepared: Prepared
    locked: Sequence[Environment]
    lacking: int | None

    @property
    def request(self) -> Promotion:
        return self.rollout.request


async def under_way(environment: Environment) -> Promotion:
    """Return the request that an environment rolls out under. Raises NotRollingOut, EnvironmentArchived."""
    if environment.status is EnvStatus.ARCHIVED:
        raise EnvironmentArchived(environment.uuid)
    request = None
    if environment.status is EnvStatus.ROLLING_OUT:
        request = await promotions.open_of(environment.project_id, environment.uuid)
    if request is None or request.status is not PromotionStatus.ROLLING_OUT:
        raise NotRollingOut(environment.status.value)
    return request


async def hold(seen: Promotion, resolutions: Sequence[DocumentResolution] = ()) -> Held:
    """Lock a rollout that was seen at a step, and compare what it carries with what was approved (§11.17).

    ``resolutions`` are added to those that the request has. Raises NotRollingOut, RolloutMoved, UnknownConflict.
    """
    environment = await environments.get([seen.project_id], seen.env_uuid)
    if environment is None or environment.status is not EnvStatus.ROLLING_OUT:
        raise NotRollingOut(environment.status.value if environment else "gone")
    plan = replace(seen.plan, resolutions=_joined(seen.plan.resolutions, resolutions))
    prepared, locked = await prepare_held(environment, plan)
    request = await promotions.lock(seen.project_id, seen.uuid)
    if request is None or request.status is not PromotionStatus.ROLLING_OUT:
        raise NotRollingOut(environment.status.value)
    if request.step != seen.step:
        raise RolloutMoved
    request = await as_needed_now(request, prepared)
    request = await carry_anew(request, prepared, plan) or request
    there = len(request.approvers)
    lacking = there if there < request.required_approvals else None
    return Held(await rollouts.look(environment, request), prepared, locked, lacking)


def _joined(known: Sequence[DocumentResolution], given: Sequence[DocumentResolution]) -> list[DocumentResolution]:
    renewed = {(item.kind, item.key, item.path) for item in given}
    return [item for item in known if (item.kind, item.key, item.path) not in renewed] + list(given)


async def enter(held: Held, step: int, since: datetime, *, early: bool = False) -> Standing:
    """Let a rollout stand at another step, below 100 percent, from ``since`` on."""
    before = held.rollout
    if not await stored.enter_step(held.request, step, since):
        raise RolloutMoved
    weight = before.plan[step].weight
    saved = await environments.save(replace(before.environment, traffic_weight=weight))
    request = await promotions.get([saved.project_id], held.request.uuid)
    assert request is not None
    now = await rollouts.look(saved, request)
    await rollouts.tend_later(now)
    facts: dict[str, Value] = {
        "promotion_id": str(request.uuid),
        "step": step + 1,
        "traffic_weight": weight,
        "previous_traffic_weight": before.position.weight,
        "early": early,
    }
    data = now.event_data(before.position.weight)
    await publish(saved.project_id, EventType.ROLLOUT_ADVANCED, env_uuid=saved.uuid, subject=request.uuid, data=data)
    await record(saved, facts)
    return rollouts.standing(now, before.position.weight, early=early)


async def finish(actor: Actor, held: Held, *, early: bool = False) -> Standing:
    """Run all checks again and bring the changes to production. Raises RolloutBlocked; then nothing has changed."""
    environment, request = held.rollout.environment, held.request
    checked = await check(held.prepared, replace(environment, status=EnvStatus.READY))
    if not checked.checks.all_passed:
        raise RolloutBlocked(checked.checks, checked.conflicts)
    request = replace(request, checks=checked.checks, conflicts=checked.conflicts)
    facts: dict[str, Value] = {"promotion_id": str(request.uuid), "status": "completed", "early": early}
    done = await complete(actor, request, held.prepared, held.locked, facts)
    after = await environments.get([request.project_id], request.env_uuid)
    assert after is not None
    steps, previous = request.plan.rollout_steps, held.rollout.position.weight
    await publish(
        request.project_id,
        EventType.ROLLOUT_COMPLETED,
        env_uuid=request.env_uuid,
        subject=request.uuid,
        data={
            "status": after.status.value,
            "traffic_weight": canary.FULL,
            "previous_traffic_weight": previous,
            "step": len(steps),
            "steps": len(steps),
            "next_step_at": None,
            "reason": None,
            "release_id": str(done.release_uuid),
        },
    )
    return Standing(
        project_id=request.project_id,
        env_uuid=request.env_uuid,
        promotion_uuid=request.uuid,
        status=after.status,
        traffic_weight=canary.FULL,
        previous_traffic_weight=previous,
        step=len(steps),
        steps=steps,
        next_step_at=None,
        waits_for=[],
        completed=True,
        early=early,
        release_uuid=done.release_uuid,
    )


async def note_held(held: Held, reason: str) -> None:
    """Say once why a rollout goes no further; what the clock has made of it meanwhile is committed."""
    rollout, position = held.rollout, held.rollout.position
    if position.step != rollout.progress.step:
        await enter(held, position.step, position.since)
    if await stored.hold(held.request, reason):
        await publish(
            held.request.project_id,
            EventType.ROLLOUT_HELD,
            env_uuid=held.request.env_uuid,
            subject=held.request.uuid,
            data=rollout.event_data(position.weight, reason),
        )
        await record(rollout.environment, {"promotion_id": str(held.request.uuid), "held": reason})


def following(rollout: Rollout) -> int | None:
    """Return the step that comes next; None where that is production."""
    return canary.next_step(rollout.plan, rollout.position.step)
