"""The guide's table of limits, and who is refused what under it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import plans
from app.domain.errors import Kind
from app.domain.model import Plan
from app.domain.plans import Limit, SandboxLimitExceeded, SandboxNotAvailable, Usage

# Reference guide, "Subscription Limits"; semantics §8 has shadow writes from Pro on.
GUIDE = """
sandbox_environment_count  0  1  3 10 30 -
sandbox_generation_depth   0  3  5 10 20 -
sandbox_checkpoint_count   0  1  3 10 30 -
sandbox_ab_test_count      0  0  1  5 20 -
sandbox_shadow_writes      0  0  0  -  - -
sandbox_env_ttl_days       0  7 14 30 90 -
"""
NOW = datetime(2026, 3, 25, 12, tzinfo=UTC)


def usage(plan: Plan, environments: int = 0, beyond_limit: int = 0, checkpoints: int = 0) -> Usage:
    return Usage(plan, environments, 0, checkpoints, 0, 0, beyond_limit)


def test_the_table_is_the_guides() -> None:
    rows = {Limit(name): row for name, *row in map(str.split, GUIDE.strip().splitlines())}
    assert set(rows) == set(Limit)
    for limit, row in rows.items():
        assert [plans.maximum(plan, limit) for plan in Plan] == [None if cell == "-" else int(cell) for cell in row]


@given(st.sampled_from(Plan), st.sampled_from(Limit), st.integers(1, 200))
def test_who_is_refused_is_told_the_smallest_plan_that_allows_it(plan: Plan, limit: Limit, wanted: int) -> None:
    allowed = plans.maximum(plan, limit)
    if allowed is None or wanted <= allowed:
        plans.check(plan, limit, current=wanted - 1, wanted=wanted)
        return
    with pytest.raises(SandboxLimitExceeded) as caught:
        plans.check(plan, limit, current=wanted - 1, wanted=wanted)
    refusal = caught.value
    smallest = refusal.fields["available_from"]
    assert isinstance(smallest, Plan)
    assert refusal.fields == {
        "limit_type": limit,
        "current": wanted - 1,
        "max": allowed,
        "available_from": smallest,
    }
    assert (type(refusal) is SandboxNotAvailable) == (allowed == 0)
    assert refusal.kind is Kind.FORBIDDEN
    plans.check(smallest, limit, current=wanted - 1, wanted=wanted)
    for smaller in list(Plan)[: list(Plan).index(smallest)]:
        with pytest.raises(SandboxLimitExceeded):
            plans.check(smaller, limit, current=wanted - 1, wanted=wanted)


@pytest.mark.parametrize(
    ("plan", "environments", "beyond", "expected"),
    [
        (Plan.FREE, 0, 0, False),
        (Plan.FREE, 3, 0, False),
        (Plan.STARTER, 1, 0, True),
        (Plan.STARTER, 3, 2, True),
        (Plan.STARTER, 3, 1, False),
        (Plan.PRO, 10, 0, True),
        (Plan.PRO, 11, 0, False),
        (Plan.ENTERPRISE, 1_000, 0, True),
    ],
)
def test_a_rollback_may_exceed_the_limit_but_not_a_plan_that_has_become_too_small(
    plan: Plan, environments: int, beyond: int, expected: bool
) -> None:
    assert plans.may_exceed(usage(plan, environments, beyond)) is expected


def test_a_checkpoint_counts_with_the_generation_above_it() -> None:
    plans.check_checkpoint(usage(Plan.STARTER), 1)
    with pytest.raises(SandboxLimitExceeded) as caught:
        plans.check_checkpoint(usage(Plan.STARTER), 2)
    assert caught.value.fields["limit_type"] is Limit.GENERATION_DEPTH
    with pytest.raises(SandboxLimitExceeded) as caught:
        plans.check_checkpoint(usage(Plan.STARTER, checkpoints=1), 1)
    assert caught.value.fields["limit_type"] is Limit.CHECKPOINT_COUNT
    plans.check_depth(Plan.STARTER, 3)
    with pytest.raises(SandboxLimitExceeded):
        plans.check_depth(Plan.STARTER, 4)


@pytest.mark.parametrize(("plan", "days"), [(Plan.STARTER, 7), (Plan.BASIC, 14), (Plan.PRO, 30), (Plan.PREMIUM, 90)])
def test_expiry_defaults_to_the_plans_and_is_never_later(plan: Plan, days: int) -> None:
    latest = NOW + timedelta(days=days)
    assert plans.expiry(plan, None, NOW) == latest
    assert plans.expiry(plan, latest, NOW) == latest
    assert plans.expiry(plan, NOW + timedelta(seconds=1), NOW) == NOW + timedelta(seconds=1)
    with pytest.raises(SandboxLimitExceeded) as caught:
        plans.expiry(plan, latest + timedelta(microseconds=1), NOW)
    assert caught.value.code == "sandbox_limit_exceeded"
    assert (caught.value.fields["current"], caught.value.fields["max"]) == (days + 1, days)


def test_expiry_at_the_ends_of_the_table() -> None:
    assert plans.expiry(Plan.ENTERPRISE, None, NOW) is None
    assert plans.expiry(Plan.ENTERPRISE, datetime.max.replace(tzinfo=UTC), NOW) == datetime.max.replace(tzinfo=UTC)
    for wanted in (None, NOW + timedelta(seconds=1)):
        with pytest.raises(SandboxNotAvailable):
            plans.expiry(Plan.FREE, wanted, NOW)
