"""Where a rollout stands: laws for all plans and moments, vectors for other programs, and the cases of the texts."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.domain.canary import (
    Plan,
    Position,
    Progress,
    Span,
    Step,
    Wait,
    bucket,
    committed,
    is_early,
    next_step,
    plan_of,
    position,
    serves,
)
from app.domain.guards import Outcome
from app.domain.rollout import DEFAULT_STEPS
from app.domain.values import Value
from tests.domain.rollouts import MINUTE, START, moments, plans, spans

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "canary.json").read_text())
ENV = UUID("5f0c6f2e-3a54-4c4e-9b0e-0f6a1f6f2b11")


def started(**known: object) -> Progress:
    return Progress(**{"step": 0, "since": START, **known})  # type: ignore[arg-type]


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


@given(plans(), spans(), moments, moments)
def test_the_weight_never_falls(plan: Plan, freezes: list[Span], one: datetime, other: datetime) -> None:
    earlier, later = sorted((one, other))
    first, second = (position(plan, started(), moment, freezes) for moment in (earlier, later))
    assert first.weight <= second.weight
    assert first.step <= second.step


@given(plans(), spans(), moments)
def test_the_clock_never_reaches_production(plan: Plan, freezes: list[Span], now: datetime) -> None:
    assume(plan[0].weight < 100)
    assert position(plan, started(), now, freezes).weight < 100


def worked(plan: Plan, looks: list[datetime], freezes: list[Span]) -> Progress:
    """Return what is committed when a worker looks at these moments and commits all but the completing step."""
    progress = started()
    for now in sorted(looks):
        found = position(plan, progress, now, freezes)
        if found.due is None:
            continue
        step, since = found.due, found.due_since
        if plan[step].weight == 100:
            step, since = found.step, found.since
        if step != progress.step:
            progress = committed(progress, step, since)
    return progress


def shown(found: Position) -> tuple[object, ...]:
    return found.step, found.weight, found.since, found.next_step_at, found.waits_for


@given(plans(by_clock=True), spans(), st.lists(moments, max_size=8), moments)
def test_a_late_worker_is_a_punctual_one(plan: Plan, freezes: list[Span], looks: list[datetime], now: datetime) -> None:
    progress = worked(plan, [look for look in looks if look <= now], freezes)
    assert shown(position(plan, progress, now, freezes)) == shown(position(plan, started(), now, freezes))


@given(plans(), spans(), moments, st.booleans())
def test_steps_are_folded_but_never_across_a_condition(
    plan: Plan, freezes: list[Span], now: datetime, met: bool
) -> None:
    progress = started(sample=100, approved=True) if met else started()
    found = position(plan, progress, now, freezes)
    if found.due is None:
        return
    assert found.due > 0
    assert found.due_since <= now
    for step in plan[1 : found.due]:
        assert step.auto_advance
        assert (step.min_sample, step.approval) == (0, False)
    assert plan[0].auto_advance
    assert met or not (plan[0].min_sample or plan[0].approval)


@given(plans(by_clock=True), spans(), moments)
def test_the_next_step_comes_when_it_is_said_to_come(plan: Plan, freezes: list[Span], now: datetime) -> None:
    found = position(plan, started(), now, freezes)
    if found.next_step_at is None:
        assert any(span.end is None for span in freezes)
        return
    just_before = position(plan, started(), max(now, found.next_step_at - timedelta(microseconds=1)), freezes)
    then = position(plan, started(), max(now, found.next_step_at), freezes)
    if now < found.next_step_at:
        assert just_before.step == found.step
    assert then.step > found.step or then.due is not None


@given(plans(), moments, st.sampled_from([Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_MEASURED]))
def test_nothing_moves_while_a_guard_has_not_passed(plan: Plan, now: datetime, guard: Outcome) -> None:
    found = position(plan, started(sample=100, approved=True, guard=guard), now)
    assert (found.step, found.due) == (0, None)
    assert Wait.GUARD in found.waits_for


@given(plans(), moments)
def test_with_guards_a_worker_takes_one_step_at_a_time(plan: Plan, now: datetime) -> None:
    found = position(plan, started(sample=100, approved=True, guard=Outcome.PASSED), now)
    assert found.step == 0
    assert found.due in (None, 1)


@given(st.uuids(), st.text(min_size=1, max_size=20), st.integers(0, 100), st.integers(0, 100))
def test_who_is_in_stays_in(env: UUID, user: str, one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert serves(env, user, high) or not serves(env, user, low)
    assert serves(env, user, 100)
    assert not serves(env, user, 0)


def test_the_share_is_the_weight_and_environments_are_independent() -> None:
    other = UUID(int=ENV.int + 1)
    users = [f"user-{number}" for number in range(20_000)]
    for weight in (5, 20, 50):
        assert abs(sum(serves(ENV, user, weight) for user in users) / 200 - weight) < 1
    both = sum(serves(ENV, user, 50) and serves(other, user, 50) for user in users)
    assert abs(both / 200 - 25) < 1


CLOCK = plan_of(
    [
        {"weight": 5, "pause_minutes": 30, "auto_advance": True},
        {"weight": 20, "pause_minutes": 60, "auto_advance": True},
        {"weight": 50, "pause_minutes": 120, "auto_advance": True},
        {"weight": 100, "pause_minutes": 0},
    ]
)


def test_the_guides_steps_are_taken_by_hand() -> None:
    plan = plan_of(DEFAULT_STEPS)
    found = position(plan, started(), at(10))
    assert (found.step, found.weight, found.due) == (0, 5, None)
    assert (found.next_step_at, found.waits_for) == (at(30), (Wait.HAND, Wait.TIME))
    assert is_early(found)
    found = position(plan, started(), at(31))
    assert (found.step, found.next_step_at, found.waits_for, found.due) == (0, None, (Wait.HAND,), None)
    assert not is_early(found)
    assert [next_step(plan, step) for step in range(3)] == [1, 2, None]


@pytest.mark.parametrize(
    ("minute", "step", "due", "next_minute"),
    [(0, 0, None, 30), (29.9, 0, None, 30), (30, 1, 1, 90), (89, 1, 1, 90), (90, 2, 2, 210), (210, 2, 3, 210)],
)
def test_the_clock_takes_the_guides_steps(minute: float, step: int, due: int | None, next_minute: float) -> None:
    found = position(CLOCK, started(), at(minute))
    assert (found.step, found.due, found.next_step_at) == (step, due, at(next_minute))


def test_overdue_steps_are_one_and_count_from_when_they_were_due() -> None:
    found = position(CLOCK, started(), at(1_000))
    assert (found.step, found.weight, found.since, found.due, found.due_since) == (2, 50, at(90), 3, at(210))
    assert committed(started(held="conflicts"), 2, at(90)) == Progress(2, at(90))


def test_what_a_condition_waits_for_is_said() -> None:
    steps: list[Value] = [{"weight": 10, "pause_minutes": 5, "auto_advance": True, "min_sample": 100, "approval": True}]
    plan = plan_of([*steps, {"weight": 50, "pause_minutes": 5, "auto_advance": True}, {"weight": 100}])
    assert position(plan, started(), at(1)).waits_for == (Wait.TIME, Wait.SAMPLE, Wait.APPROVAL)
    assert position(plan, started(sample=99), at(9)).waits_for == (Wait.SAMPLE, Wait.APPROVAL)
    assert position(plan, started(sample=100), at(9)).waits_for == (Wait.APPROVAL,)
    met = position(plan, started(sample=100, approved=True), at(9))
    assert (met.step, met.weight, met.due, met.due_since, met.waits_for) == (0, 10, 1, at(9), ())
    after = committed(started(sample=100, approved=True), 1, at(9))
    assert position(plan, after, at(13)).step == 1
    assert position(plan, after, at(14)).due == 2


def test_a_freeze_stops_the_clock() -> None:
    freezes = [Span(at(20), at(50))]
    found = position(CLOCK, started(), at(40), freezes)
    assert (found.step, found.due, found.waits_for, found.next_step_at) == (0, None, (Wait.FREEZE,), at(50))
    assert position(CLOCK, started(), at(50), freezes).since == at(50)
    assert position(CLOCK, started(), at(110), freezes).step == 2
    lasting = position(CLOCK, started(), at(500), [Span(at(20), None)])
    assert (lasting.step, lasting.next_step_at, lasting.waits_for) == (0, None, (Wait.FREEZE,))
    assert position(CLOCK, started(), at(29), [Span(at(5), at(10))]).step == 0
    assert position(CLOCK, started(), at(30), [Span(at(5), at(10))]).step == 1


def test_a_plan_that_does_not_end_in_all_is_completed_by_hand() -> None:
    plan = (Step(10, MINUTE, auto_advance=True), Step(60, MINUTE, auto_advance=True))
    found = position(plan, started(), at(1_000))
    assert (found.step, found.weight, found.due, found.waits_for) == (1, 60, 1, (Wait.HAND,))
    assert next_step(plan, 1) is None


def test_pauses_may_be_parts_of_a_minute() -> None:
    (step,) = plan_of([{"weight": 10, "pause_minutes": Decimal("0.5")}])
    assert step.pause == timedelta(seconds=30)


@pytest.mark.parametrize("vector", VECTORS["buckets"], ids=lambda vector: vector["user"][:20])
def test_buckets_of_other_programs(vector: dict[str, object]) -> None:
    env, user = UUID(str(vector["env_uuid"])), str(vector["user"])
    assert bucket(env, user) == vector["bucket"]
    assert {str(weight): serves(env, user, weight) for weight in (1, 5, 20, 50, 99)} == vector["served_at"]


@pytest.mark.parametrize("vector", VECTORS["positions"], ids=lambda vector: vector["name"])
def test_positions_of_other_programs(vector: dict[str, object]) -> None:
    committed_, wanted = vector["committed"], vector["position"]
    assert isinstance(committed_, dict)
    steps = json.loads(json.dumps(vector["steps"]), parse_float=Decimal)
    progress = Progress(
        committed_["step"],
        datetime.fromisoformat(committed_["since"]),
        committed_.get("sample", 0),
        committed_.get("approved", False),
        Outcome(committed_["guard"]) if "guard" in committed_ else None,
    )
    frozen = vector.get("freezes", [])
    assert isinstance(frozen, list)
    freezes = [
        Span(datetime.fromisoformat(start), datetime.fromisoformat(end) if end else None) for start, end in frozen
    ]
    found = position(plan_of(steps), progress, datetime.fromisoformat(str(vector["now"])), freezes)
    assert {
        "step": found.step,
        "weight": found.weight,
        "since": found.since.isoformat(),
        "next_step_at": found.next_step_at.isoformat() if found.next_step_at else None,
        "waits_for": [wait.value for wait in found.waits_for],
        "due": found.due,
    } == wanted
