"""Guards of a rollout: what reports of both sides' health say about going on (semantics §4)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from app.domain.errors import ValidationFailed
from app.domain.project_settings import ProjectSettings

MIN_REQUESTS: Final = 50
"""Fewer requests of a side say nothing about it."""

MAX_REQUESTS: Final = 10**12
MAX_LATENCY_MS: Final = 10**7
MAX_GUARDS: Final = 10


class Side(StrEnum):
    """Whose health it is: of what the environment serves, or of what production does."""

    ENVIRONMENT = "environment"
    PRODUCTION = "production"


class Metric(StrEnum):
    ERROR_RATE = "error_rate"
    LATENCY_P99 = "latency_p99"


class Outcome(StrEnum):
    """``passed``: go on. ``failed``: abort. The other two: hold; too few requests, or no reports at all."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    NOT_MEASURED = "not_measured"


@dataclass(frozen=True, slots=True)
class Guard:
    """A metric that must not go above ``threshold``: an error rate from 0 to 1, milliseconds, or where it is
    ``relative`` so many times production's."""

    metric: Metric
    threshold: int | Decimal
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """What was reported of one side since the step began. ``timed`` of the ``requests`` came with a latency;
    ``latency_ms`` is the mean, weighted by requests, of the 99th percentiles reported, None if there is none."""

    requests: int = 0
    errors: int = 0
    timed: int = 0
    latency_ms: Decimal | None = None

    @property
    def error_rate(self) -> float | None:
        """The share of requests that failed, None without requests."""
        return self.errors / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one guard says; ``reason`` is for people."""

    guard: Guard
    outcome: Outcome
    reason: str


def guards_of(settings: ProjectSettings) -> tuple[Guard, ...]:
    """Return the guards that a project has set for all its rollouts."""
    thresholds = {
        Metric.ERROR_RATE: settings.canary_error_rate_threshold,
        Metric.LATENCY_P99: settings.canary_p99_latency_ms_threshold,
    }
    return tuple(Guard(metric, threshold) for metric, threshold in thresholds.items() if threshold is not None)


def judge(guard: Guard, environment: Health, production: Health, min_requests: int = MIN_REQUESTS) -> Verdict:
    """Return what a guard says of both sides' health; only ``min_requests`` of a side make it conclusive."""
    sides = {Side.ENVIRONMENT: environment} | ({Side.PRODUCTION: production} if guard.relative else {})
    counts = {side: _counted(guard.metric, health) for side, health in sides.items()}
    if missing := [side for side, count in counts.items() if count == 0]:
        return Verdict(guard, Outcome.NOT_MEASURED, f"no {_NAMES[guard.metric]} was reported of {_SIDES[missing[0]]}")
    if few := [side for side, count in counts.items() if count < min_requests]:
        side = few[0]
        reason = f"{counts[side]} requests of {_SIDES[side]} are too few to tell; it takes {min_requests}"
        return Verdict(guard, Outcome.INCONCLUSIVE, reason)
    value, limit = _value(guard.metric, environment), _limit(guard, production)
    said = f"{_NAMES[guard.metric]} {_shown(guard.metric, value)}, allowed are {_shown(guard.metric, limit)}"
    return Verdict(guard, Outcome.FAILED if value > limit else Outcome.PASSED, said)


def judge_all(
    guards: Sequence[Guard], environment: Health, production: Health, min_requests: int = MIN_REQUESTS
) -> list[Verdict]:
    """Return what each guard says."""
    return [judge(guard, environment, production, min_requests) for guard in guards]


def together(verdicts: Iterable[Verdict]) -> Outcome | None:
    """Return what the guards say together: the worst for going on; None if there are no guards."""
    found = {verdict.outcome for verdict in verdicts}
    order = (Outcome.FAILED, Outcome.NOT_MEASURED, Outcome.INCONCLUSIVE, Outcome.PASSED)
    return next((outcome for outcome in order if outcome in found), None)


_SIDES: Final = {Side.ENVIRONMENT: "the environment", Side.PRODUCTION: "production"}
_NAMES: Final = {Metric.ERROR_RATE: "error rate", Metric.LATENCY_P99: "p99 latency"}


def _counted(metric: Metric, health: Health) -> int:
    return health.requests if metric is Metric.ERROR_RATE else health.timed


def _value(metric: Metric, health: Health) -> Fraction:
    if metric is Metric.ERROR_RATE:
        return Fraction(health.errors, health.requests)
    assert health.latency_ms is not None
    return Fraction(health.latency_ms)


def _limit(guard: Guard, production: Health) -> Fraction:
    threshold = Fraction(guard.threshold)
    if not guard.relative:
        return threshold
    if guard.metric is Metric.ERROR_RATE and production.errors == 0:
        # Nothing is so many times nothing: the smallest rate that this sample could have shown stands for it.
        return threshold * Fraction(1, production.requests)
    return threshold * _value(guard.metric, production)


def _shown(metric: Metric, value: Fraction) -> str:
    return f"{float(value * 100):.4g} %" if metric is Metric.ERROR_RATE else f"{float(value):.4g} ms"


def check_report(requests: int, errors: int, latency_ms: object) -> int | Decimal | None:
    """Return the latency of a report that can be what was measured of one side. Raises ValidationFailed."""
    if not 1 <= requests <= MAX_REQUESTS:
        raise ValidationFailed(f"'requests' is a whole number from 1 to {MAX_REQUESTS:,}.", field="requests")
    if not 0 <= errors <= requests:
        raise ValidationFailed("'errors' is a whole number from 0 to the number of requests.", field="errors")
    if latency_ms is None:
        return None
    if isinstance(latency_ms, int | Decimal) and not isinstance(latency_ms, bool) and 0 <= latency_ms <= MAX_LATENCY_MS:
        return latency_ms
    raise ValidationFailed(
        f"'latency_p99_ms' is a number of milliseconds from 0 to {MAX_LATENCY_MS:,}.", field="latency_p99_ms"
    )


def check_guards(guards: list[Guard]) -> list[Guard]:
    """Return the guards of one rollout if they can be that. Raises ValidationFailed."""
    if len(guards) > MAX_GUARDS:
        raise ValidationFailed(f"A rollout has at most {MAX_GUARDS} guards.", field="guards")
    for guard in guards:
        if not 0 <= guard.threshold <= MAX_LATENCY_MS:
            raise ValidationFailed(f"A threshold is a number from 0 to {MAX_LATENCY_MS:,}.", field="guards")
        if guard.metric is Metric.ERROR_RATE and not guard.relative and guard.threshold >= 1:
            raise ValidationFailed("An error rate is a share, below 1: 0.05 is 5 percent.", field="guards")
    return guards
