"""What counts become: rates, means of values, advice."""

from datetime import UTC, datetime
from decimal import Decimal, localcontext
from statistics import fmean, variance
from uuid import UUID

import pytest

from app.domain.ab_metrics import CONVERSION, Tally, metrics
from app.domain.bucketing import Variant
from app.domain.errors import ValidationFailed
from app.domain.experiments import Experiment, ExperimentStatus


def running(metric: str = CONVERSION, split_pct: int = 50) -> Experiment:
    """Return a test that runs."""
    return Experiment(
        1, UUID(int=1), UUID(int=2), UUID(int=3), split_pct, "seed", metric, ExperimentStatus.ACTIVE, None, None, None,
        None, "ada", datetime.now(UTC), None,
    )  # fmt: skip


def valued(*values: str, exposed: int) -> Tally:
    numbers = [Decimal(value) for value in values]
    with localcontext(prec=100):
        total, squares = sum(numbers, Decimal(0)), sum((number * number for number in numbers), Decimal(0))
    return Tally(exposed=exposed, converted=len(numbers), valued=len(numbers), value_sum=total, value_squares=squares)


def test_the_guides_example() -> None:
    found = metrics(running(), Tally(exposed=1_200, converted=84), Tally(exposed=1_195, converted=107))
    assert (found.a.rate_pct, found.b.rate_pct) == (7.0, 8.95)
    assert found.advice.winner is None
    assert (found.values, found.values_per_user, found.needed) == (None, None, None)


def test_nobody_yet() -> None:
    for a, b in ((Tally(), Tally()), (Tally(exposed=3, converted=1), Tally())):
        found = metrics(running(), a, b)
        assert (found.conversion, found.advice.winner) == (None, None)
        assert "need users" in found.advice.reason
    assert Tally().rate_pct == 0


def test_advice_is_certain_however_often_it_is_asked_for() -> None:
    for counts, winner in (((1_000, 1_200), Variant.B), ((1_200, 1_000), Variant.A), ((1_000, 1_030), None)):
        a, b = (Tally(exposed=10_000, converted=count) for count in counts)
        assert metrics(running(), a, b).advice.winner is winner


def test_no_advice_where_users_are_missing() -> None:
    found = metrics(running(), Tally(exposed=10_000, converted=1_000), Tally(exposed=11_000, converted=1_500))
    assert (found.mismatch.alarm, found.advice.winner) == (True, None)
    assert "shares" in found.advice.reason


def test_values_over_those_who_have_one_and_over_all() -> None:
    one, other = ["1.5", "2.25", "9"], ["4", "8.75", "1e-15", "1000000"]
    found = metrics(running("revenue"), valued(*one, exposed=5), valued(*other, exposed=6))
    assert found.values is not None
    assert found.values_per_user is not None
    assert (found.values.a.count, found.values.b.count) == (3, 4)
    assert (found.values_per_user.a.count, found.values_per_user.b.count) == (5, 6)
    for sample, numbers in (
        (found.values.a, list(map(float, one))),
        (found.values.b, list(map(float, other))),
        (found.values_per_user.a, [*map(float, one), 0, 0]),
        (found.values_per_user.b, [*map(float, other), 0, 0]),
    ):
        assert sample.mean == pytest.approx(fmean(numbers))
        assert sample.variance == pytest.approx(variance(numbers))


def test_large_values_that_hardly_differ_keep_their_variance() -> None:
    numbers = [f"{10**14 + at}" for at in range(10)]
    found = valued(*numbers, exposed=10).values_of(10)
    assert found is not None
    assert found.variance == pytest.approx(variance(range(10)))


def test_the_metrics_name_says_what_decides() -> None:
    worth = ["100"] * 500 + ["0"] * 500
    less = valued(*worth, exposed=10_000)
    more = valued(*["300" if value == "100" else value for value in worth], exposed=10_000)
    assert metrics(running("revenue"), less, more).advice.winner is Variant.B
    assert metrics(running(), less, more).advice.winner is None
    a, b = (Tally(exposed=9_000, converted=converted) for converted in (500, 900))
    assert metrics(running("signup"), a, b).advice.winner is Variant.B


def test_sample_sizes_take_the_rate_so_far_unless_told_otherwise() -> None:
    a, b = Tally(exposed=1_000, converted=100), Tally(exposed=1_000)
    needed = metrics(running(), a, b, effect_pct=20).needed
    assert needed is not None
    assert needed == metrics(running(), Tally(), Tally(), effect_pct=20, baseline_pct=10).needed
    assert metrics(running(), a, b).needed is None
    assert metrics(running(), Tally(), b, effect_pct=20).needed is None
    for effect, baseline, counts in ((0, None, a), (0, None, Tally()), (20, 90, a), (20, 0, a), (-200, 10, a)):
        with pytest.raises(ValidationFailed):
            metrics(running(), counts, b, effect_pct=effect, baseline_pct=baseline)
