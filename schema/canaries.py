"""Steering canary rollouts."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain.guards import Side
from app.services import canaries as service
from app.services.rollouts import Standing
from schema.context import Info
from schema.describe import mutation
from schema.environments import EnvironmentNode
from schema.errors import Forbidden, InvalidTransition, NotFound, PromotionBlocked, ValidationFailed
from schema.inputs import MutationInput
from schema.promotion_inputs import ResolutionInput, resolutions


@strawberry.input(description="The rollout to take one step on.")
class AdvanceCanaryInput(MutationInput):
    env_uuid: UUID = strawberry.field(description="The environment that rolls out.")
    resolutions: list[ResolutionInput] | None = strawberry.field(
        default=None, description="For the conflicts that the last step finds."
    )
    override_freeze: bool = strawberry.field(
        default=False, description="Whether to pass a freeze. For owners and admins."
    )


@strawberry.input(description="The rollout to end.")
class AbortCanaryInput(MutationInput):
    env_uuid: UUID = strawberry.field(description="The environment that rolls out.")
    reason: str | None = strawberry.field(default=None, description="Why, at most 2,000 characters.")
    mark_failed: bool = strawberry.field(
        default=False, description="Whether the environment is a draft afterwards, that has to be checked again."
    )


@strawberry.input(description="What one side has served since its last report.")
class ReportCanaryHealthInput(MutationInput):
    env_uuid: UUID = strawberry.field(description="The environment that rolls out.")
    side: Side = strawberry.field(description="Whose health it is.")
    requests: int = strawberry.field(description="Number of requests, 1 or more.")
    errors: int = strawberry.field(description="How many of them failed.")
    latency_p99_ms: Decimal | None = strawberry.field(
        default=None, description="99th percentile of their latency, milliseconds."
    )


@strawberry.type(description="What has become of a rollout.")
class RolloutOutcome:
    weight: int = strawberry.field(description="Share of traffic now, percent.")
    previous_weight: int = strawberry.field(description="The share before, percent.")
    step: int = strawberry.field(description="The step it stands at, or stood at in the end, from 1.")
    next_step_at: datetime | None = strawberry.field(
        description="When the step's pause is over; null where time is not what it waits for."
    )
    completed: bool = strawberry.field(description="Whether production has the changes.")
    early: bool = strawberry.field(description="Whether it went on before what its step asks for had come.")
    reason: str | None = strawberry.field(description="Why it was aborted; null if it was not.")

    @classmethod
    def of(cls, standing: Standing) -> "RolloutOutcome":
        return cls(
            weight=standing.traffic_weight,
            previous_weight=standing.previous_traffic_weight,
            step=standing.step,
            next_step_at=standing.next_step_at,
            completed=standing.completed,
            early=standing.early,
            reason=standing.reason,
        )


@strawberry.type(description="The rollout stands at its next step, or production has the changes.")
class AdvanceCanaryPayload:
    outcome: RolloutOutcome = strawberry.field(description="What has become of it.")
    environment: EnvironmentNode = strawberry.field(description="The environment.")


@strawberry.type(description="The rollout is over, and production was not touched.")
class AbortCanaryPayload:
    outcome: RolloutOutcome = strawberry.field(description="What has become of it.")
    environment: EnvironmentNode = strawberry.field(description="The environment.")


@strawberry.type(description="The report counts.")
class ReportCanaryHealthPayload:
    environment: EnvironmentNode = strawberry.field(description="The environment, with its rollout.")


AdvanceCanaryResult: TypeAlias = Annotated[
    AdvanceCanaryPayload | PromotionBlocked | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("AdvanceCanaryResult", description="The next step, or why there is none."),
]
AbortCanaryResult: TypeAlias = Annotated[
    AbortCanaryPayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("AbortCanaryResult", description="The end of the rollout, or why it goes on."),
]
ReportCanaryHealthResult: TypeAlias = Annotated[
    ReportCanaryHealthPayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("ReportCanaryHealthResult", description="The environment, or why the report does not count."),
]


@strawberry.type
class CanaryMutation:
    @mutation
    async def advance_canary(self, info: Info, input: AdvanceCanaryInput) -> AdvanceCanaryResult:  # noqa: A002
        """Take a rollout one step on, at any time; from the last one into production, where all checks run again."""
        standing = await service.advance(
            info.context.actor,
            input.env_uuid,
            resolutions(input.resolutions),
            override_freeze=input.override_freeze,
        )
        return AdvanceCanaryPayload(outcome=RolloutOutcome.of(standing), environment=await _environment(info, standing))

    @mutation
    async def abort_canary(self, info: Info, input: AbortCanaryInput) -> AbortCanaryResult:  # noqa: A002
        """End a rollout: the weight is what it was before it began, and the environment ready."""
        standing = await service.abort(
            info.context.actor, input.env_uuid, reason=input.reason, mark_failed=input.mark_failed
        )
        return AbortCanaryPayload(outcome=RolloutOutcome.of(standing), environment=await _environment(info, standing))

    @mutation
    async def report_canary_health(
        self,
        info: Info,
        input: ReportCanaryHealthInput,  # noqa: A002
    ) -> ReportCanaryHealthResult:
        """Report one side's health since the last report; a guard that fails by it aborts the rollout."""
        report = await service.report(
            info.context.actor, input.env_uuid, input.side, input.requests, input.errors, input.latency_p99_ms
        )
        return ReportCanaryHealthPayload(environment=await _environment(info, report.standing))


async def _environment(info: Info, standing: Standing) -> EnvironmentNode:
    return EnvironmentNode.of(await info.context.loaders.environment(standing.project_id, standing.env_uuid))
