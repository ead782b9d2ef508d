"""Statistics of A/B tests: the worked example, an independent computation, and what looking often does."""

import math
import random
from statistics import NormalDist, fmean, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import ab_stats
from app.domain.ab_stats import Sample, cautious_proportion, compare, mismatch, proportion, sample_size

NORMAL = NormalDist()
TABLES = 1_000


def test_the_worked_example() -> None:
    found = compare(proportion(1_200, 84), proportion(1_195, 107))
    assert found.p_value == pytest.approx(0.077, abs=0.0005)
    assert found.chance_to_win == pytest.approx(0.941, abs=0.0005)
    assert found.relative == pytest.approx(0.279, abs=0.0005)
    assert found.absolute == pytest.approx(0.0195, abs=0.00005)
    assert found.absolute_interval is not None
    assert found.absolute_interval.low == pytest.approx(-0.00215, abs=0.000005)
    assert found.absolute_interval.high == pytest.approx(0.0412, abs=0.00005)
    split = mismatch(1_200, 1_195, 50)
    assert split.p_value == pytest.approx(0.919, abs=0.0005)
    assert not split.alarm


def _tables() -> list[tuple[int, int, int, int]]:
    dice = random.Random(5)
    made: list[tuple[int, int, int, int]] = []
    while len(made) < TABLES:
        users = [int(10 ** dice.uniform(1, 6)) for _ in range(2)]
        hits = [dice.randint(1, max(1, int(count * dice.choice((0.01, 0.1, 0.5, 0.99))))) for count in users]
        if all(hit < count for hit, count in zip(hits, users, strict=True)):
            made.append((users[0], hits[0], users[1], hits[1]))
    return made


def test_1000_random_tables_agree_with_an_independent_computation() -> None:
    """With the standard library's normal distribution, and shares instead of samples."""
    for users_a, hits_a, users_b, hits_b in _tables():
        found = compare(proportion(users_a, hits_a), proportion(users_b, hits_b))
        a, b = hits_a / users_a, hits_b / users_b
        error_a, error_b = a * (1 - a) / users_a, b * (1 - b) / users_b
        difference = NormalDist(b - a, math.sqrt(error_a + error_b))
        tail = min(difference.cdf(0), 1 - difference.cdf(0))
        assert found.p_value == pytest.approx(2 * tail, rel=1e-6, abs=1e-12)
        assert found.absolute_interval is not None
        assert found.absolute_interval.low == pytest.approx(difference.inv_cdf(0.025), rel=1e-9, abs=1e-12)
        assert found.absolute_interval.high == pytest.approx(difference.inv_cdf(0.975), rel=1e-9, abs=1e-12)
        # Delta method for a ratio of independent means: relative errors add up.
        ratio = b / a
        uplift = NormalDist(ratio - 1, ratio * math.sqrt(error_a / a**2 + error_b / b**2))
        assert found.chance_to_win == pytest.approx(1 - uplift.cdf(0), rel=1e-6, abs=1e-12)
        assert found.relative_interval is not None
        assert found.relative_interval.high == pytest.approx(uplift.inv_cdf(0.975), rel=1e-9, abs=1e-12)
        # A chi-square of one degree is a squared normal.
        both = users_a + users_b
        z = (users_a - both / 2) / math.sqrt(both / 4)
        expected = 2 * NORMAL.cdf(-abs(z))
        assert mismatch(users_a, users_b, 50).p_value == pytest.approx(expected, rel=1e-6, abs=1e-15)


def _student_tail(t: float, freedom: float) -> float:
    """Return the upper tail of Student's t by Simpson's rule over the angle whose tangent is t / sqrt(freedom)."""
    steps, low, high = 2_000, math.atan(t / math.sqrt(freedom)), math.pi / 2
    width = (high - low) / steps
    points = [math.pow(math.cos(low + width * at), freedom - 1) for at in range(steps + 1)]
    area = width / 3 * (points[0] + 4 * sum(points[1:-1:2]) + 2 * sum(points[2:-1:2]) + points[-1])
    return area * math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)


def test_welch_agrees_with_numerical_integration() -> None:
    dice = random.Random(7)
    for _ in range(60):
        values_a = [dice.gauss(10, 3) for _ in range(dice.randint(3, 40))]
        values_b = [dice.gauss(10, 9) + dice.random() for _ in range(dice.randint(3, 40))]
        a, b = (Sample(len(values), fmean(values), variance(values)) for values in (values_a, values_b))
        found = compare(a, b, welch=True)
        parts = [variance(values) / len(values) for values in (values_a, values_b)]
        freedom = sum(parts) ** 2 / sum(
            part**2 / (len(values) - 1) for part, values in zip(parts, (values_a, values_b), strict=True)
        )
        t = abs(fmean(values_b) - fmean(values_a)) / math.sqrt(sum(parts))
        assert found.p_value == pytest.approx(2 * _student_tail(t, freedom), rel=1e-6)
        assert found.absolute_interval is not None
        reach = (found.absolute_interval.high - found.absolute) / math.sqrt(sum(parts))
        assert _student_tail(reach, freedom) == pytest.approx(0.025, rel=1e-6)


@given(
    users=st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_every_table_has_an_answer(users: tuple[int, int], shares: tuple[float, float]) -> None:
    a, b = ((count, min(count, int(count * share))) for count, share in zip(users, shares, strict=True))
    found = compare(
        proportion(*a),
        proportion(*b),
        sequential=ab_stats.sequential_interval(cautious_proportion(*a), cautious_proportion(*b)),
    )
    assert found.p_value is None or 0 <= found.p_value <= 1
    assert found.chance_to_win is None or 0 <= found.chance_to_win <= 1
    for interval in (found.absolute_interval, found.sequential_interval):
        assert interval is None or interval.low <= found.absolute <= interval.high
    # Who may look as often as he likes, pays for it.
    if found.absolute_interval is not None and found.sequential_interval is not None:
        assert found.sequential_interval.high >= found.absolute_interval.high or min(b[1], a[1]) < 5
    assert (found.relative is None) == (a[1] == 0)


@pytest.mark.parametrize(("rate", "users"), [(0.07, 25), (0.5, 50), (0.01, 200), (0.001, 500)])
def test_looking_50_times_at_400_tests_of_nothing(rate: float, users: int) -> None:
    """At most 5 % of A/A tests ever have a sequential winner; with the usual interval, a third of them has."""
    dice = random.Random(11)
    always_valid = usual = 0
    for _ in range(400):
        hits = [0, 0]
        seen = [False, False]
        for look in range(1, 51):
            hits = [count + _binomial(dice, users, rate) for count in hits]
            a, b = ((users * look, count) for count in hits)
            interval = ab_stats.sequential_interval(cautious_proportion(*a), cautious_proportion(*b))
            seen[0] |= interval is not None and interval.excludes_zero()
            plain = compare(proportion(*a), proportion(*b)).absolute_interval
            seen[1] |= plain is not None and plain.excludes_zero()
        always_valid, usual = always_valid + seen[0], usual + seen[1]
    assert always_valid <= 20
    assert usual > 60


def _binomial(dice: random.Random, users: int, rate: float) -> int:
    return sum(dice.random() < rate for _ in range(users))


def test_a_real_difference_is_found_while_looking() -> None:
    dice = random.Random(13)
    found = 0
    for _ in range(50):
        hits = [0, 0]
        for look in range(1, 51):
            hits = [count + _binomial(dice, 100, rate) for count, rate in zip(hits, (0.1, 0.13), strict=True)]
            a, b = (cautious_proportion(100 * look, count) for count in hits)
            interval = ab_stats.sequential_interval(a, b)
            if interval is not None and interval.low > 0:
                found += 1
                break
    assert found >= 40


def test_few_users_are_no_certainty() -> None:
    assert ab_stats.sequential_interval(cautious_proportion(29, 0), cautious_proportion(29, 29)) is None
    alike = compare(proportion(5, 0), proportion(5, 5))
    assert (alike.p_value, alike.absolute_interval, alike.relative, alike.chance_to_win) == (None, None, None, None)


@pytest.mark.parametrize(
    ("users", "split", "alarm"),
    [
        ((8, 8), 50, False),
        ((1, 14), 50, False),
        ((1, 15), 50, True),
        ((0, 16), 50, True),
        ((1_000, 1_150), 50, False),
        ((1_000, 1_200), 50, True),
        ((900, 100), 10, False),
        ((850, 150), 10, True),
        ((0, 79), 10, False),
        ((0, 80), 10, True),
    ],
)
def test_the_alarm_about_shares(users: tuple[int, int], split: int, alarm: bool) -> None:
    assert mismatch(*users, split).alarm is alarm


def test_shares_that_say_nothing() -> None:
    for users, split in (((0, 0), 50), ((5, 0), 0), ((0, 5), 100)):
        found = mismatch(*users, split)
        assert (found.p_value, found.alarm) == (None, False)


def test_a_sample_of_the_recommended_size_shows_the_effect() -> None:
    """Of tests of that size, four of five find it: by the normal distribution, and by trying."""
    needed = sample_size(0.1, 0.2, 50)
    assert needed is not None
    assert needed.users_a == needed.users_b == pytest.approx(3_841, abs=5)
    dice = random.Random(17)
    found = 0
    for _ in range(200):
        a, b = (_binomial(dice, needed.users_a, rate) for rate in (0.1, 0.12))
        p_value = compare(proportion(needed.users_a, a), proportion(needed.users_b, b)).p_value
        found += p_value is not None and p_value < 0.05
    assert 145 <= found <= 175


@given(baseline=st.floats(0.001, 0.9), effect=st.floats(-0.9, 1), split=st.integers(1, 99))
def test_sample_sizes(baseline: float, effect: float, split: int) -> None:
    needed = sample_size(baseline, effect, split)
    if abs(effect) < 1e-6 or baseline * (1 + effect) > 1:
        return
    assert needed is not None
    assert needed.users_b == pytest.approx(needed.users_a * split / (100 - split), abs=1 + split / (100 - split))
    even = sample_size(baseline, effect, 50)
    assert even is not None
    assert even.users_a + even.users_b <= (needed.users_a + needed.users_b) * 1.5 + 2
    for useless in ((0.0, effect, split), (1.0, effect, split), (baseline, 0.0, split), (baseline, effect, 0)):
        assert sample_size(*useless) is None
