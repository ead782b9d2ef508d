"""Two samples compared: uplift, intervals, p-value, chance to win, and what may be looked at as often as one likes.

Of each sample only its size, mean and variance matter; all of it is the normal approximation (or Welch's t), whose
functions SciPy has. Numbers here are floats: a statistic is no document.
"""

import math
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

CONFIDENCE: Final = 0.95
ALPHA: Final = 1 - CONFIDENCE
POWER: Final = 0.8
MISMATCH_ALARM: Final = 0.001
MISMATCH_FROM: Final = 8
# How many users the sequential interval is narrowest at, compared with others of its kind.
TUNED_FOR: Final = 5_000
SEQUENTIAL_FROM: Final = 30


@cache
def _special() -> Any:
    # A quarter of a second of loading that no start of a server needs.
    return import_module("scipy.special")


def load() -> None:
    """Load the library, for whoever will soon need it and does not want to wait then."""
    _special()


@dataclass(frozen=True, slots=True)
class Sample:
    """``count`` users, the mean of what was measured of each, and its variance among them."""

    count: int
    mean: float
    variance: float

    @property
    def error(self) -> float:
        """Return the variance of the mean."""
        return self.variance / self.count


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float

    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0

    def scaled(self, factor: float) -> "Interval":
        return Interval(self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sample B against A. ``absolute`` is B - A, ``relative`` B / A - 1; intervals have 95 percent.

    ``chance_to_win`` is the chance, 0 to 1, that B beats A. None is what the data do not say yet.
    """

    absolute: float
    absolute_interval: Interval | None
    relative: float | None
    relative_interval: Interval | None
    p_value: float | None
    chance_to_win: float | None
    sequential_interval: Interval | None


def proportion(count: int, hits: int) -> Sample:
    """Return the sample of ``count`` users of whom ``hits`` converted."""
    share = hits / count
    return Sample(count, share, share * (1 - share))


def compare(a: Sample, b: Sample, *, welch: bool = False, sequential: Interval | None = None) -> Comparison:
    """Compare two samples with the normal distribution, or with ``welch`` by Welch's t-test.

    ``sequential`` is the interval that ``sequential_interval`` gives for them.
    """
    error = a.error + b.error
    absolute = b.mean - a.mean
    relative, spread = _relative(a, b)
    if not error > 0:
        return Comparison(absolute, None, relative, None, None, None, sequential)
    freedom = _freedom(a, b) if welch else math.inf
    standard = math.sqrt(error)
    reach = _quantile(freedom) * standard
    return Comparison(
        absolute=absolute,
        absolute_interval=Interval(absolute - reach, absolute + reach),
        relative=relative,
        relative_interval=_around(relative, spread),
        p_value=2 * _tail(abs(absolute) / standard, freedom),
        chance_to_win=None if relative is None or spread is None else float(_special().ndtr(relative / spread)),
        sequential_interval=sequential,
    )


def _relative(a: Sample, b: Sample) -> tuple[float | None, float | None]:
    """Return the relative uplift and its standard error by the delta method, where A's mean is above zero."""
    if not a.mean > 0:
        return None, None
    spread = math.sqrt(b.error / a.mean**2 + b.mean**2 * a.error / a.mean**4)
    return b.mean / a.mean - 1, spread or None


def _around(middle: float | None, spread: float | None) -> Interval | None:
    if middle is None or spread is None:
        return None
    reach = _quantile(math.inf) * spread
    return Interval(middle - reach, middle + reach)


def _freedom(a: Sample, b: Sample) -> float:
    """Return the degrees of freedom of Welch and Satterthwaite."""
    return (a.error + b.error) ** 2 / (a.error**2 / (a.count - 1) + b.error**2 / (b.count - 1))


def _quantile(freedom: float) -> float:
    upper = 1 - ALPHA / 2
    return float(_special().ndtri(upper) if math.isinf(freedom) else _special().stdtrit(freedom, upper))


def _tail(z: float, freedom: float) -> float:
    return float(_special().ndtr(-z) if math.isinf(freedom) else _special().stdtr(freedom, -z))


def sequential_interval(a: Sample, b: Sample, alpha: float = ALPHA) -> Interval | None:
    """Return an interval of B - A that covers the truth at all looks together with a chance of 1 - ``alpha``.

    The asymptotic confidence sequence of the normal mixture (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-
    uniform central limit theory and asymptotic confidence sequences", 2024). None before ``SEQUENTIAL_FROM`` users
    are on each side, where means are not yet normal.
    """
    error = a.error + b.error
    if min(a.count, b.count) < SEQUENTIAL_FROM or not error > 0:
        return None
    known = -2 * math.log(alpha)
    scale = (a.count + b.count) * (known + math.log(known + 1)) / TUNED_FOR
    reach = math.sqrt(error * 2 * (scale + 1) / scale * math.log(math.sqrt(scale + 1) / alpha))
    middle = b.mean - a.mean
    return Interval(middle - reach, middle + reach)


def cautious_proportion(count: int, hits: int) -> Sample:
    """Return the sample as ``proportion`` does, with the variance of one more hit and one more miss.

    So that a few users who all did the same are no certainty (Agresti and Caffo, 2000).
    """
    share = (hits + 1) / (count + 2)
    return Sample(count, hits / count, share * (1 - share))


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Whether users came to the sides in the shares that were set. ``p_value`` is None where nothing can be said."""

    p_value: float | None
    alarm: bool


def mismatch(count_a: int, count_b: int, split_pct: int) -> Mismatch:
    """Compare how many users are on each side with the share that B has, by chi-square.

    An alarm needs as many users as give each side 8 by its share.
    """
    total = count_a + count_b
    expected_b = total * split_pct / 100
    expected_a = total - expected_b
    if not total or not 0 < split_pct < 100:
        return Mismatch(None, alarm=False)
    statistic = (count_a - expected_a) ** 2 / expected_a + (count_b - expected_b) ** 2 / expected_b
    p_value = float(_special().chdtrc(1, statistic))
    enough = min(expected_a, expected_b) >= MISMATCH_FROM
    return Mismatch(p_value, alarm=enough and p_value < MISMATCH_ALARM)


@dataclass(frozen=True, slots=True)
class SampleSize:
    """How many users each side needs."""

    users_a: int
    users_b: int


def sample_size(
    baseline: float, effect: float, split_pct: int, *, alpha: float = ALPHA, power: float = POWER
) -> SampleSize | None:
    """Return how many users show a relative change of ``effect`` of a rate ``baseline``, both as shares.

    That is a two-sided test at ``alpha``, which finds such an effect with the chance ``power``. None where no number
    does: nothing to be changed, a rate outside of 0 to 1, or users on one side only.
    """
    changed = baseline * (1 + effect)
    if not effect or changed == baseline or not 0 < baseline < 1 or not 0 <= changed <= 1 or not 0 < split_pct < 100:
        return None
    both = float(_special().ndtri(1 - alpha / 2)) + float(_special().ndtri(power))
    ratio = split_pct / (100 - split_pct)
    variance = baseline * (1 - baseline) + changed * (1 - changed) / ratio
    users_a = both**2 * variance / (changed - baseline) ** 2
    return SampleSize(math.ceil(users_a), math.ceil(users_a * ratio))
