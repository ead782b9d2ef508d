"""Canary rollouts: where one stands, what it waits for, and how both sides fare."""

from datetime import datetime, timedelta
from decimal import Decimal

import strawberry

from app.domain.canary import Step, Wait
from app.domain.guards import Guard, Health, Metric, Outcome, Side, Verdict
from app.domain.values import Value
from app.services.rollouts import Rollout
from schema.describe import describe_enum

describe_enum(
    Wait,
    "RolloutWait",
    "What has to come before the server takes the next step by itself.",
    {
        Wait.TIME: "The end of the step's pause.",
        Wait.SAMPLE: "Enough requests, as reports of health count them.",
        Wait.APPROVAL: "An approval of the step.",
        Wait.GUARD: "Reports by which every guard passes.",
        Wait.FREEZE: "The end of a freeze.",
        Wait.HAND: "A person: the server does not go on from this step by itself.",
    },
)
describe_enum(
    Side,
    "RolloutSide",
    "Whose health it is.",
    {Side.ENVIRONMENT: "Of what the environment serves.", Side.PRODUCTION: "Of what production serves."},
)
describe_enum(
    Metric,
    "GuardMetric",
    "What a guard looks at.",
    {Metric.ERROR_RATE: "The share of requests that failed.", Metric.LATENCY_P99: "The 99th percentile of latency."},
)
describe_enum(
    Outcome,
    "GuardOutcome",
    "What a guard says about going on.",
    {
        Outcome.PASSED: "Go on.",
        Outcome.FAILED: "Abort.",
        Outcome.INCONCLUSIVE: "Hold: there are too few requests to tell.",
        Outcome.NOT_MEASURED: "Hold: nothing was reported.",
    },
)


def _minutes(pause: timedelta) -> Decimal:
    exact = Decimal(pause // timedelta(microseconds=1)) / 60_000_000
    return exact.quantize(Decimal(1)) if exact == exact.to_integral_value() else exact.normalize()


@strawberry.type(description="One step of a rollout.")
class RolloutStep:
    weight: int = strawberry.field(description="Share of traffic, percent.")
    pause_minutes: Decimal = strawberry.field(description="Minutes to stay before the next step.")
    auto_advance: bool = strawberry.field(description="Whether the server goes on by itself.")
    min_sample: int = strawberry.field(description="Requests that must have been seen before it does.")
    approval: bool = strawberry.field(description="Whether somebody has to approve that.")

    @classmethod
    def of(cls, step: Step) -> "RolloutStep":
        return cls(
            weight=step.weight,
            pause_minutes=_minutes(step.pause),
            auto_advance=step.auto_advance,
            min_sample=step.min_sample,
            approval=step.approval,
        )


@strawberry.type(description="What was reported of one side since the present step began.")
class SideHealth:
    requests: Decimal = strawberry.field(description="Number of requests.")
    errors: Decimal = strawberry.field(description="How many of them failed.")
    error_rate: float | None = strawberry.field(description="The share that failed, 0 to 1; null without requests.")
    latency_p99_ms: float | None = strawberry.field(
        description="99th percentile of latency, milliseconds: the mean of those reported, weighted by requests; null"
        " if none was."
    )

    @classmethod
    def of(cls, health: Health) -> "SideHealth":
        return cls(
            requests=Decimal(health.requests),
            errors=Decimal(health.errors),
            error_rate=health.error_rate,
            latency_p99_ms=None if health.latency_ms is None else float(health.latency_ms),
        )


@strawberry.type(description="What was reported of both sides of a rollout.")
class RolloutHealth:
    environment: SideHealth = strawberry.field(description="Of the environment.")
    production: SideHealth = strawberry.field(description="Of production.")

    @classmethod
    def of(cls, told: Value) -> "RolloutHealth":
        """Return what an event tells, by side."""
        sides = told if isinstance(told, dict) else {}
        return cls(environment=_told(sides.get("environment")), production=_told(sides.get("production")))


def _told(facts: Value) -> SideHealth:
    known = {name: fact for name, fact in facts.items() if fact is not None} if isinstance(facts, dict) else {}
    latency = known.get("latency_p99_ms")
    requests, errors = (int(str(known.get(name, 0))) for name in ("requests", "errors"))
    latency_ms = None if latency is None else Decimal(str(latency))
    return SideHealth.of(Health(requests, errors, latency_ms=latency_ms))


@strawberry.type(description="What one guard says now.")
class GuardVerdict:
    metric: Metric = strawberry.field(description="What it looks at.")
    threshold: Decimal = strawberry.field(
        description="Above which it fails: a share, milliseconds, or where it is relative so many times production's."
    )
    relative: bool = strawberry.field(description="Whether it compares with production.")
    outcome: Outcome = strawberry.field(description="What it says.")
    reason: str = strawberry.field(description="Why, for a person to read.")

    @classmethod
    def of(cls, verdict: Verdict) -> "GuardVerdict":
        guard = verdict.guard
        return cls(
            metric=guard.metric,
            threshold=Decimal(guard.threshold),
            relative=guard.relative,
            outcome=verdict.outcome,
            reason=verdict.reason,
        )


@strawberry.type(name="Rollout", description="A rollout under way.")
class RolloutNode:
    step: int = strawberry.field(description="The step it stands at, from 1.")
    steps: list[RolloutStep] = strawberry.field(description="All its steps.")
    weight: int = strawberry.field(description="Share of traffic now, percent.")
    weight_before: int = strawberry.field(description="Share of traffic that aborting brings back, percent.")
    since: datetime = strawberry.field(description="When the present step began.")
    next_step_at: datetime | None = strawberry.field(
        description="When the step's pause is over; null where time is not what it waits for."
    )
    waits_for: list[Wait] = strawberry.field(description="What has to come before the server goes on by itself.")
    held: str | None = strawberry.field(description="Why it was kept out of production; null if it was not.")
    environment_health: SideHealth = strawberry.field(description="What was reported of the environment.")
    production_health: SideHealth = strawberry.field(description="What was reported of production.")
    guards: list[GuardVerdict] = strawberry.field(description="What its guards say.")

    @classmethod
    def of(cls, rollout: Rollout) -> "RolloutNode":
        return cls(
            step=rollout.position.step + 1,
            steps=[RolloutStep.of(step) for step in rollout.plan],
            weight=rollout.position.weight,
            weight_before=rollout.request.previous_weight,
            since=rollout.position.since,
            next_step_at=rollout.position.next_step_at,
            waits_for=list(rollout.position.waits_for),
            held=rollout.progress.held,
            environment_health=SideHealth.of(rollout.environment_health),
            production_health=SideHealth.of(rollout.production_health),
            guards=[GuardVerdict.of(verdict) for verdict in rollout.verdicts],
        )


@strawberry.input(description="A metric above which a rollout is aborted.")
class GuardInput:
    metric: Metric = strawberry.field(description="What to look at.")
    threshold: Decimal = strawberry.field(
        description="A share of requests below 1, milliseconds, or where it is relative so many times production's."
    )
    relative: bool = strawberry.field(default=False, description="Whether to compare with production.")

    def guard(self) -> Guard:
        """Return what the service needs to know."""
        return Guard(self.metric, self.threshold, self.relative)
