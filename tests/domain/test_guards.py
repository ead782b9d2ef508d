"""What guards make of reports: four outcomes, absolute and relative, and what they say of the reason."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import ValidationFailed
from app.domain.guards import (
    MIN_REQUESTS,
    Guard,
    Health,
    Metric,
    Outcome,
    check_report,
    guards_of,
    judge,
    judge_all,
    together,
)
from app.domain.project_settings import ProjectSettings

ERRORS = Guard(Metric.ERROR_RATE, Decimal("0.05"))
TWICE = Guard(Metric.ERROR_RATE, 2, relative=True)
SLOW = Guard(Metric.LATENCY_P99, 250)
SLOWER = Guard(Metric.LATENCY_P99, Decimal("1.2"), relative=True)
NOTHING = Health()


def health(requests: int, errors: int = 0, latency_ms: int | None = None) -> Health:
    timed = 0 if latency_ms is None else requests
    return Health(requests, errors, timed, None if latency_ms is None else Decimal(latency_ms))


@pytest.mark.parametrize(
    ("guard", "environment", "production", "outcome"),
    [
        (ERRORS, NOTHING, health(1_000), Outcome.NOT_MEASURED),
        (ERRORS, health(49, 49), NOTHING, Outcome.INCONCLUSIVE),
        (ERRORS, health(50, 3), NOTHING, Outcome.FAILED),
        (ERRORS, health(100, 5), NOTHING, Outcome.PASSED),
        (ERRORS, health(100, 6), NOTHING, Outcome.FAILED),
        (TWICE, health(100, 4), NOTHING, Outcome.NOT_MEASURED),
        (TWICE, health(100, 4), health(49), Outcome.INCONCLUSIVE),
        (TWICE, health(100, 4), health(1_000, 20), Outcome.PASSED),
        (TWICE, health(100, 5), health(1_000, 20), Outcome.FAILED),
        (TWICE, health(1_000, 2), health(1_000), Outcome.PASSED),
        (TWICE, health(1_000, 3), health(1_000), Outcome.FAILED),
        (SLOW, health(1_000), NOTHING, Outcome.NOT_MEASURED),
        (SLOW, health(1_000, 0, 250), NOTHING, Outcome.PASSED),
        (SLOW, health(1_000, 0, 251), NOTHING, Outcome.FAILED),
        (SLOWER, health(1_000, 0, 120), health(1_000), Outcome.NOT_MEASURED),
        (SLOWER, health(1_000, 0, 120), health(1_000, 0, 100), Outcome.PASSED),
        (SLOWER, health(1_000, 0, 121), health(1_000, 0, 100), Outcome.FAILED),
    ],
)
def test_outcomes(guard: Guard, environment: Health, production: Health, outcome: Outcome) -> None:
    verdict = judge(guard, environment, production)
    assert verdict.outcome is outcome
    assert verdict.reason


def test_reasons_say_what_was_seen_and_what_is_allowed() -> None:
    assert judge(ERRORS, health(100, 6), NOTHING).reason == "error rate 6 %, allowed are 5 %"
    assert judge(SLOW, health(100, 0, 300), NOTHING).reason == "p99 latency 300 ms, allowed are 250 ms"
    assert judge(ERRORS, health(9, 6), NOTHING, 20).reason == (
        "9 requests of the environment are too few to tell; it takes 20"
    )
    assert judge(TWICE, health(100), NOTHING).reason == "no error rate was reported of production"


def test_together_the_worst_counts() -> None:
    def of(*outcomes: Outcome) -> Outcome | None:
        return together(replace(judge(ERRORS, NOTHING, NOTHING), outcome=outcome) for outcome in outcomes)

    assert of() is None
    assert of(Outcome.PASSED, Outcome.PASSED) is Outcome.PASSED
    assert of(Outcome.PASSED, Outcome.INCONCLUSIVE) is Outcome.INCONCLUSIVE
    assert of(Outcome.INCONCLUSIVE, Outcome.NOT_MEASURED) is Outcome.NOT_MEASURED
    assert of(Outcome.NOT_MEASURED, Outcome.FAILED, Outcome.PASSED) is Outcome.FAILED


counts = st.integers(0, 10_000)
sides = st.tuples(counts, counts, counts).map(
    lambda drawn: health(max(drawn[:2]), min(drawn[:2]), drawn[2] if drawn[2] else None)
)


@given(st.sampled_from([ERRORS, TWICE, SLOW, SLOWER]), sides, sides)
def test_nothing_fails_on_too_little(guard: Guard, environment: Health, production: Health) -> None:
    outcome = judge(guard, environment, production).outcome
    if environment.requests < MIN_REQUESTS or (guard.relative and production.requests < MIN_REQUESTS):
        assert outcome in (Outcome.INCONCLUSIVE, Outcome.NOT_MEASURED)
    if environment.requests == 0:
        assert outcome is Outcome.NOT_MEASURED


@given(sides, sides, st.integers(1, 100))
def test_more_errors_never_help(environment: Health, production: Health, more: int) -> None:
    worse = replace(environment, errors=min(environment.errors + more, environment.requests))
    for guard in (ERRORS, TWICE):
        if judge(guard, environment, production).outcome is Outcome.FAILED:
            assert judge(guard, worse, production).outcome is Outcome.FAILED


def test_guards_of_a_project() -> None:
    assert guards_of(ProjectSettings()) == ()
    settings = ProjectSettings().changed(
        {"canary_error_rate_threshold": Decimal("0.05"), "canary_p99_latency_ms_threshold": 250}
    )
    assert guards_of(settings) == (ERRORS, SLOW)
    assert len(judge_all(guards_of(settings), NOTHING, NOTHING)) == 2


@pytest.mark.parametrize(
    ("requests", "errors", "latency", "field"),
    [
        (0, 0, None, "requests"),
        (-1, 0, None, "requests"),
        (10**12 + 1, 0, None, "requests"),
        (5, 6, None, "errors"),
        (5, -1, None, "errors"),
        (5, 0, -1, "latency_p99_ms"),
        (5, 0, 10**7 + 1, "latency_p99_ms"),
    ],
)
def test_reports_that_are_none(requests: int, errors: int, latency: int | None, field: str) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        check_report(requests, errors, latency)
    assert refusal.value.fields["field"] == field
    check_report(5, 5, 0)
