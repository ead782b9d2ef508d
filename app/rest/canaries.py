"""``/api/sandbox/canary`` and ``/api/sandbox/rollout``: a rollout as people and gateways steer it."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from litestar import Router, get, post
from litestar.params import FromQuery, JSONBody

from app.domain.canary import Wait
from app.domain.guards import Metric, Outcome, Side
from app.domain.model import EnvStatus
from app.rest.answers import Answer
from app.rest.body import Body
from app.rest.parameters import Caller, ImpliedProjectId
from app.rest.promotion_bodies import ResolutionBody, resolutions
from app.services import canaries, rollouts
from app.services.canaries import HealthReport
from app.services.rollouts import Standing

_NAMES: Final = {"canary": "Canary", "rollout": "Rollout"}


class AdvanceRequest(Body):
    """`resolutions` are for the conflicts that the last step finds."""

    env_uuid: UUID
    resolutions: list[ResolutionBody] | None = None
    override_freeze: bool = False


class AbortRequest(Body):
    """With `mark_failed` the environment is a draft afterwards, that has to be checked again."""

    env_uuid: UUID
    reason: str | None = None
    mark_failed: bool = False


class HealthRequest(Body):
    """What one side has served since its last report: requests, how many of them failed, their p99 latency."""

    env_uuid: UUID
    side: Side
    requests: int
    errors: int
    latency_p99_ms: Any = None


class RolloutAnswer(Answer):
    """`step` is which of `steps` it stands at, from 1. `early`: it went on before what its step asks for had come.

    `next_step_at` is when the pause of the step is over, null where time is not what it waits for.
    """

    env_uuid: UUID
    promotion_id: UUID
    status: EnvStatus
    traffic_weight: int
    previous_traffic_weight: int
    step: int
    steps: list[Any]
    next_step_at: datetime | None
    waits_for: list[Wait]
    completed: bool
    early: bool
    reason: str | None
    release_id: UUID | None

    @classmethod
    def of(cls, standing: Standing) -> "RolloutAnswer":
        """Return the answer for a rollout."""
        return cls(**_members(standing))


def _members(standing: Standing) -> dict[str, Any]:
    return {
        "env_uuid": standing.env_uuid,
        "promotion_id": standing.promotion_uuid,
        "status": standing.status,
        "traffic_weight": standing.traffic_weight,
        "previous_traffic_weight": standing.previous_traffic_weight,
        "step": standing.step,
        "steps": standing.steps,
        "next_step_at": standing.next_step_at,
        "waits_for": standing.waits_for,
        "completed": standing.completed,
        "early": standing.early,
        "reason": standing.reason,
        "release_id": standing.release_uuid,
    }


class SideHealth(Answer):
    """What was reported since the step began; null latency: none was."""

    requests: int
    errors: int
    latency_p99_ms: Any


class GuardAnswer(Answer):
    """`threshold`: a share of requests, milliseconds, or where it is `relative` so many times production's."""

    metric: Metric
    threshold: Any
    relative: bool
    outcome: Outcome
    reason: str


class BothHealths(Answer):
    environment: SideHealth
    production: SideHealth


class HealthAnswer(RolloutAnswer):
    health: BothHealths
    guards: list[GuardAnswer]

    @classmethod
    def after(cls, report: HealthReport) -> "HealthAnswer":
        """Return the answer for a rollout with its health."""
        own: dict[str, Any] = report.environment
        others: dict[str, Any] = report.production
        return cls(
            **_members(report.standing),
            health=BothHealths(environment=SideHealth(**own), production=SideHealth(**others)),
            guards=[
                GuardAnswer(
                    metric=Metric(item.metric),
                    threshold=item.threshold,
                    relative=item.relative,
                    outcome=Outcome(item.outcome),
                    reason=item.reason,
                )
                for item in report.guards
            ],
        )


class RolloutShown(Answer):
    """`rollout` is null where the environment does not roll out."""

    env_uuid: UUID
    status: EnvStatus
    traffic_weight: int
    rollout: HealthAnswer | None


async def _advance(data: JSONBody[AdvanceRequest], actor: Caller, project_id: ImpliedProjectId = None) -> RolloutAnswer:
    """Take a rollout one step on, at any time; from the last step into production.

    There all checks run again: if one fails, the answer is 409 with the conflicts, and weight and status stay.
    """
    done = await canaries.advance(
        actor, data.env_uuid, resolutions(data.resolutions), project_id, override_freeze=data.override_freeze
    )
    return RolloutAnswer.of(done)


async def _abort(data: JSONBody[AbortRequest], actor: Caller, project_id: ImpliedProjectId = None) -> RolloutAnswer:
    """End a rollout: the weight is what it was before it began, and the environment ready."""
    done = await canaries.abort(actor, data.env_uuid, project_id, reason=data.reason, mark_failed=data.mark_failed)
    return RolloutAnswer.of(done)


async def _report(data: JSONBody[HealthRequest], actor: Caller, project_id: ImpliedProjectId = None) -> HealthAnswer:
    """Report one side's health since the last report; a guard that fails by it aborts the rollout."""
    report = await canaries.report(
        actor, data.env_uuid, data.side, data.requests, data.errors, data.latency_p99_ms, project_id
    )
    return HealthAnswer.after(report)


async def _show(env_uuid: FromQuery[UUID], actor: Caller, project_id: ImpliedProjectId = None) -> RolloutShown:
    """Show where a rollout stands, what it waits for, and what was reported of both sides."""
    environment, rollout = await rollouts.get(actor, env_uuid, project_id)
    return RolloutShown(
        env_uuid=environment.uuid,
        status=environment.status,
        traffic_weight=rollout.position.weight if rollout else environment.traffic_weight,
        rollout=HealthAnswer.after(canaries.health_report(rollout)) if rollout else None,
    )


def canary_routes() -> Router:
    """Return the routes of rollouts, under both names that clients know."""
    handlers = []
    for path, name in _NAMES.items():
        handlers += [
            post(f"/{path}/advance", operation_id=f"advance{name}", status_code=200)(_advance),
            post(f"/{path}/abort", operation_id=f"abort{name}", status_code=200)(_abort),
            post(f"/{path}/report", operation_id=f"report{name}", status_code=202)(_report),
            get(f"/{path}", operation_id=f"get{name}")(_show),
        ]
    return Router("/api/sandbox", route_handlers=handlers, tags=["Promotion"])
