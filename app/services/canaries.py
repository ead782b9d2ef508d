"""Canary rollouts as people steer them: advance, abort, approve, report health (semantics §4)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final
from uuid import UUID

from app.domain import approvals, canary, lifecycle
from app.domain.audit import Action
from app.domain.errors import ValidationFailed
from app.domain.events import EventType
from app.domain.guards import Side, check_report
from app.domain.jobs import JobKind
from app.domain.model import Actor, Environment, EnvStatus
from app.domain.policy import Operation
from app.domain.promotion import CarriedChange, DocumentResolution, Promotion, PromotionStatus, changed_since
from app.domain.promotion_errors import NothingToApprove, NotRollingOut, RolloutHeld
from app.domain.values import Value
from app.services import access, jobs, rollouts, stepping
from app.services.carrying_out import record, unfrozen
from app.services.checking import editors
from app.services.operation import operation
from app.services.publishing import publish
from app.services.rollouts import Standing
from app.services.stepping import Held
from app.storage import db, environments, promotions, reviews
from app.storage import rollouts as stored

TIMEOUT: Final = "5min"
MAX_REASON: Final = 2_000


@dataclass(frozen=True, slots=True)
class Judged:
    """What one guard says now; ``threshold`` is a share, milliseconds, or so many times production's."""

    metric: str
    threshold: int | Decimal | None
    relative: bool
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What is known of both sides' health at a rollout's step, a report included, and what the guards say of it."""

    standing: Standing
    environment: dict[str, Value]
    production: dict[str, Value]
    guards: list[Judged]


@operation(Action.ADVANCE_CANARY)
async def advance(
    actor: Actor,
    env_uuid: UUID,
    resolutions: Sequence[DocumentResolution] = (),
    project_id: int | None = None,
    *,
    override_freeze: bool = False,
) -> Standing:
    """Take a rollout one step on, whatever its step waits for; from the last one into production.

    There all checks run again, and ``resolutions`` are for the conflicts that they find. Raises EnvironmentNotFound,
    NotRollingOut, RolloutMoved, RolloutBlocked, RolloutHeld, UnknownConflict, ProductionFrozen, Forbidden.
    """
    seen = await access.environment_by_uuid(actor, env_uuid, Operation.PROMOTE, project_id)
    outcome = await _advance(actor, await stepping.under_way(seen), resolutions, override_freeze)
    if isinstance(outcome, Held):
        # Raised outside of the transaction, which has voided the approvals.
        raise RolloutHeld(outcome.lacking or 0, outcome.request.required_approvals)
    return outcome


@db.atomic(statement_timeout=TIMEOUT)
async def _advance(
    actor: Actor, seen: Promotion, resolutions: Sequence[DocumentResolution], override_freeze: bool
) -> Standing | Held:
    async with unfrozen(actor, seen.project_id, override=override_freeze):
        held = await stepping.hold(seen, resolutions)
        if held.lacking is not None:
            await stepping.note_held(held, "approvals")
            return held
        early = canary.is_early(held.rollout.position)
        step = stepping.following(held.rollout)
        if step is None:
            return await stepping.finish(actor, held, early=early)
        return await stepping.enter(held, step, held.rollout.now, early=early)


@operation(Action.ABORT_CANARY)
async def abort(
    actor: Actor,
    env_uuid: UUID,
    project_id: int | None = None,
    *,
    reason: str | None = None,
    mark_failed: bool = False,
) -> Standing:
    """End a rollout: the weight is what it was before it began, and the environment ``ready``.

    With ``mark_failed`` it is a ``draft``, which has to be checked again. Production was not touched. Raises
    EnvironmentNotFound, NotRollingOut, EnvironmentArchived, ValidationFailed, Forbidden.
    """
    if reason is not None and len(reason) > MAX_REASON:
        raise ValidationFailed(f"A reason has at most {MAX_REASON:,} characters.", field="reason")
    seen = await access.environment_by_uuid(actor, env_uuid, Operation.PROMOTE, project_id)
    return await end(await stepping.under_way(seen), reason or f"aborted by {actor.name}", failed=mark_failed)


@db.atomic()
async def end(seen: Promotion, reason: str, *, failed: bool = False) -> Standing:
    """Put weight and status back, and end the request. Raises NotRollingOut."""
    environment, request = await _locked(seen)
    rollout = await rollouts.look(environment, request)
    ended = lifecycle.through(environment, EnvStatus.READY, *([EnvStatus.DRAFT] if failed else []))
    status = ended.status
    saved = await environments.save(replace(ended, traffic_weight=request.previous_weight))
    await promotions.save(replace(request, status=PromotionStatus.ABORTED, reason=reason))
    if saved.shadow_writes:
        await jobs.enqueue(JobKind.MIRROR_INTO, project_id=saved.project_id, env_uuid=saved.uuid)
    previous, steps = rollout.position.weight, request.plan.rollout_steps
    data = {
        **rollout.event_data(previous, reason),
        "status": status.value,
        "traffic_weight": request.previous_weight,
        "next_step_at": None,
    }
    await publish(saved.project_id, EventType.ROLLOUT_ABORTED, env_uuid=saved.uuid, subject=request.uuid, data=data)
    await record(saved, {"promotion_id": str(request.uuid), "status": status.value, "reason": reason})
    return Standing(
        project_id=saved.project_id,
        env_uuid=saved.uuid,
        promotion_uuid=request.uuid,
        status=status,
        traffic_weight=request.previous_weight,
        previous_traffic_weight=previous,
        step=rollout.position.step + 1,
        steps=steps,
        next_step_at=None,
        waits_for=[],
        reason=reason,
    )


async def _locked(seen: Promotion) -> tuple[Environment, Promotion]:
    environment = await environments.lock(seen.project_id, seen.env_uuid, "NO KEY UPDATE")
    request = await promotions.lock(seen.project_id, seen.uuid)
    if environment is None or request is None or request.status is not PromotionStatus.ROLLING_OUT:
        raise NotRollingOut(environment.status.value if environment else "gone")
    return environment, request


@db.atomic(statement_timeout=TIMEOUT)
async def approve_step(actor: Actor, seen: Promotion) -> tuple[Promotion, list[CarriedChange]]:
    """Approve what a rollout brings to production, where approvals of that are lacking, else its present step.

    Returns the request, and what it carries otherwise than when it was seen: then nothing is approved. Raises
    NotRollingOut, RolloutMoved, NothingToApprove, SelfApprovalForbidden.
    """
    held = await stepping.hold(seen)
    request, rollout = held.request, held.rollout
    approvals.check_approver(actor.account_uuid, request.account_uuid, await editors(held.prepared))
    if request.content_hash != seen.content_hash:
        await record(rollout.environment, {"promotion_id": str(request.uuid), "held": "approvals"})
        return request, changed_since(seen.carried, request.carried)
    await reviews.approve(request, actor.account_uuid, actor.name, _lacking(held))
    await jobs.enqueue(JobKind.TEND_ROLLOUT, project_id=request.project_id)
    facts: dict[str, Value] = {"promotion_id": str(request.uuid), "step": rollout.progress.step + 1}
    await publish(
        request.project_id, EventType.PROMOTION_APPROVED, env_uuid=request.env_uuid, subject=request.uuid, data=facts
    )
    await record(rollout.environment, facts)
    return await promotions.get([request.project_id], request.uuid) or request, []


def _lacking(held: Held) -> int:
    """Return what an approval would be of: 0 for all that is carried, else the number of a step, from 1."""
    if held.lacking is not None:
        return 0
    step = held.rollout.progress.step
    if not held.rollout.plan[step].approval or held.rollout.progress.approved:
        raise NothingToApprove
    return step + 1


@operation(Action.REPORT_CANARY_HEALTH)
async def report(
    actor: Actor,
    env_uuid: UUID,
    side: Side,
    requests: int,
    errors: int,
    latency_p99_ms: int | Decimal | None = None,
    project_id: int | None = None,
) -> HealthReport:
    """Add to what is known of one side's health at the present step: so many requests since the last report.

    A guard that fails by it makes the server abort the rollout. Raises EnvironmentNotFound, NotRollingOut,
    ValidationFailed, Forbidden.
    """
    latency_p99_ms = check_report(requests, errors, latency_p99_ms)
    seen = await access.environment_by_uuid(actor, env_uuid, Operation.REPORT_HEALTH, project_id)
    return await _report(await stepping.under_way(seen), side, requests, errors, latency_p99_ms)


@db.atomic()
async def _report(
    seen: Promotion, side: Side, requests: int, errors: int, latency_p99_ms: int | Decimal | None
) -> HealthReport:
    added = await stored.add_health(seen.project_id, seen.env_uuid, side, requests, errors, latency_p99_ms)
    environment = await environments.get([seen.project_id], seen.env_uuid)
    request = await promotions.get([seen.project_id], added) if added else None
    if environment is None or request is None:
        raise NotRollingOut(environment.status.value if environment else "gone")
    rollout = await rollouts.look(environment, request)
    await jobs.enqueue(JobKind.TEND_ROLLOUT, project_id=request.project_id)
    weight = rollout.position.weight
    await publish(
        request.project_id,
        EventType.ROLLOUT_HEALTH_REPORTED,
        env_uuid=request.env_uuid,
        subject=request.uuid,
        data=rollout.event_data(weight, rollout.progress.held),
    )
    await record(
        environment,
        {
            "promotion_id": str(request.uuid),
            "side": side.value,
            "requests": requests,
            "errors": errors,
            "latency_p99_ms": latency_p99_ms,
        },
    )
    return health_report(rollout)


def health_report(rollout: rollouts.Rollout) -> HealthReport:
    """Return what is known of a rollout's health."""
    health = rollout.health()
    own, others = health["environment"], health["production"]
    assert isinstance(own, dict)
    assert isinstance(others, dict)
    judged = [
        Judged(
            metric=verdict.guard.metric.value,
            threshold=verdict.guard.threshold,
            relative=verdict.guard.relative,
            outcome=verdict.outcome.value,
            reason=verdict.reason,
        )
        for verdict in rollout.verdicts
    ]
    return HealthReport(rollouts.standing(rollout, rollout.position.weight), own, others, judged)
