"""What stands of a rollout: its plan, what came in for its step, and where that puts it at the database's time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.domain import canary, guards
from app.domain.canary import Plan, Position, Progress, Span, Wait
from app.domain.guards import Health, Side, Verdict
from app.domain.jobs import JobKind
from app.domain.model import Actor, Environment, EnvStatus
from app.domain.policy import Operation
from app.domain.promotion import Promotion, PromotionStatus
from app.domain.promotion_errors import NotRollingOut
from app.domain.values import Value
from app.services import access, jobs
from app.storage import freezes, project_settings, promotions, rollouts


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout at a moment. ``environment`` and ``request`` are what is committed of it."""

    environment: Environment
    request: Promotion
    plan: Plan
    progress: Progress
    position: Position
    verdicts: Sequence[Verdict]
    environment_health: Health
    production_health: Health
    freezes: Sequence[Span]
    now: datetime

    def event_data(self, previous_weight: int, reason: str | None = None) -> dict[str, Value]:
        """Return what an event says of it; ``previous_weight`` is the one before what has happened."""
        return {
            "status": self.environment.status.value,
            "traffic_weight": self.position.weight,
            "previous_traffic_weight": previous_weight,
            "step": self.position.step + 1,
            "steps": len(self.plan),
            "next_step_at": moment(self.position.next_step_at),
            "reason": reason,
            "health": self.health(),
        }

    def health(self) -> dict[str, Value]:
        """Return what was reported of both sides at the step, by side."""
        return {"environment": _facts(self.environment_health), "production": _facts(self.production_health)}


def _facts(health: Health) -> dict[str, Value]:
    return {
        "requests": health.requests,
        "errors": health.errors,
        "latency_p99_ms": None if health.latency_ms is None else round(health.latency_ms, 3),
    }


def moment(at: datetime | None) -> str | None:
    """Return a moment as events have it."""
    return None if at is None else at.isoformat()


@dataclass(frozen=True, slots=True)
class Standing:
    """What a rollout is, or was left as, for whoever asked.

    ``step`` is which of ``steps`` it stands at, from 1. ``early``: it was moved on before what its step asks for had
    come. ``reason`` says why it was aborted or is held. ``release_uuid`` is what it has become.
    """

    project_id: int
    env_uuid: UUID
    promotion_uuid: UUID
    status: EnvStatus
    traffic_weight: int
    previous_traffic_weight: int
    step: int
    steps: list[Value]
    next_step_at: datetime | None
    waits_for: list[Wait]
    completed: bool = False
    early: bool = False
    reason: str | None = None
    release_uuid: UUID | None = None


async def look(environment: Environment, request: Promotion) -> Rollout:
    """Return a rollout as it stands now. Raises NotRollingOut."""
    known = await rollouts.known(request.project_id, request.uuid)
    if known is None or request.step is None or request.step_started_at is None:
        raise NotRollingOut(environment.status.value)
    plan = canary.plan_of(request.plan.rollout_steps)
    step = plan[request.step]
    own, others = (known.health.get(side, Health()) for side in (Side.ENVIRONMENT, Side.PRODUCTION))
    verdicts = await _verdicts(request, own, others, step.min_sample or guards.MIN_REQUESTS)
    progress = Progress(
        step=request.step,
        since=request.step_started_at,
        sample=own.requests,
        approved=known.approvals > 0,
        guard=guards.together(verdicts),
        held=known.held,
    )
    spans = [canary.span_of(freeze) for freeze in await freezes.since(request.project_id, progress.since)]
    position = canary.position(plan, progress, known.now, spans)
    return Rollout(environment, request, plan, progress, position, verdicts, own, others, spans, known.now)


async def _verdicts(request: Promotion, own: Health, others: Health, min_requests: int) -> list[Verdict]:
    wanted: Sequence[guards.Guard] | None = request.plan.guards
    if wanted is None:
        wanted = guards.guards_of(await project_settings.get(request.project_id))
    return guards.judge_all(wanted, own, others, min_requests)


async def of_environment(environment: Environment) -> Rollout | None:
    """Return the rollout of an environment for who was let in; None if it does not roll out."""
    if environment.status is not EnvStatus.ROLLING_OUT:
        return None
    request = await promotions.open_of(environment.project_id, environment.uuid)
    if request is None or request.status is not PromotionStatus.ROLLING_OUT:
        return None
    return await look(environment, request)


async def get(actor: Actor, env_uuid: UUID, project_id: int | None = None) -> tuple[Environment, Rollout | None]:
    """Return an environment with its rollout, if it rolls out. Raises EnvironmentNotFound."""
    environment = await access.environment_by_uuid(actor, env_uuid, Operation.READ, project_id)
    return environment, await of_environment(environment)


def standing(rollout: Rollout, previous_weight: int, *, early: bool = False) -> Standing:
    """Return what is said of a rollout that goes on; ``previous_weight`` is the one before it was moved."""
    return Standing(
        project_id=rollout.environment.project_id,
        env_uuid=rollout.environment.uuid,
        promotion_uuid=rollout.request.uuid,
        status=rollout.environment.status,
        traffic_weight=rollout.position.weight,
        previous_traffic_weight=previous_weight,
        step=rollout.position.step + 1,
        steps=rollout.request.plan.rollout_steps,
        next_step_at=rollout.position.next_step_at,
        waits_for=list(rollout.position.waits_for),
        early=early,
        reason=rollout.progress.held,
    )


async def tend_later(rollout: Rollout) -> None:
    """Promise that the server looks at a rollout when its next step is due."""
    due = rollout.position.next_step_at
    if due is not None:
        await jobs.enqueue(JobKind.TEND_ROLLOUT, at=due, project_id=rollout.request.project_id)
