"""What a test says so far: counts of both sides, how they compare, and whether one should win (semantics §5)."""

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Final

from app.domain import ab_stats
from app.domain.ab_stats import Comparison, Interval, Mismatch, Sample, SampleSize
from app.domain.bucketing import Variant
from app.domain.errors import ValidationFailed
from app.domain.experiments import Experiment

CONVERSION: Final = "conversion_rate"
"""The metric that conversions alone decide; another is decided by values, where results have some."""

PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted of a side; users in quarantine count as such and nowhere else.

    ``exposed`` and ``converted`` are users; the repeated ones are exposures and results that came once more.
    ``valued`` users have a value; ``value_sum`` and ``value_squares`` are the exact sums over them.
    """

    exposed: int = 0
    converted: int = 0
    exposures_repeated: int = 0
    results_repeated: int = 0
    quarantined: int = 0
    valued: int = 0
    value_sum: Decimal = Decimal(0)
    value_squares: Decimal = Decimal(0)

    @property
    def rate_pct(self) -> float:
        """Return the share of exposed users who converted, in percent with two decimals; 0 of none."""
        return round(PERCENT * self.converted / self.exposed, 2) if self.exposed else 0.0

    def values_of(self, users: int) -> Sample | None:
        """Return the sample of the values of ``users``, those without one having 0; None of fewer than two."""
        if users < 2:
            return None
        total, squares = Fraction(self.value_sum), Fraction(self.value_squares)
        return Sample(users, float(total / users), float((squares - total * total / users) / (users - 1)))


@dataclass(frozen=True, slots=True)
class Values:
    """A numeric metric: both means, and Welch's comparison of them."""

    a: Sample
    b: Sample
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Advice:
    """The side that should win, None while there is none, and why in words."""

    winner: Variant | None
    reason: str


@dataclass(frozen=True, slots=True)
class Metrics:
    """``conversion`` is None while a side has nobody. ``values`` is over the users who have one, ``values_per_user``
    over all who were exposed; both are None where results have no values. ``needed`` is None unless asked for.
    """

    experiment: Experiment
    a: Tally
    b: Tally
    conversion: Comparison | None
    values: Values | None
    values_per_user: Values | None
    mismatch: Mismatch
    advice: Advice
    needed: SampleSize | None = field(default=None)


def metrics(
    experiment: Experiment,
    a: Tally,
    b: Tally,
    effect_pct: float | None = None,
    baseline_pct: float | None = None,
) -> Metrics:
    """Return all that the counts say.

    ``effect_pct`` asks how many users show a relative change of the rate by so many percent; the rate is A's, unless
    ``baseline_pct`` is given; no answer while A's rate allows none. Raises ValidationFailed for what no number of
    users can show.
    """
    conversion = _conversion(a, b)
    reported = _values(a, b, a.valued, b.valued)
    per_user = _values(a, b, a.exposed, b.exposed) if a.valued and b.valued else None
    mismatch = ab_stats.mismatch(a.exposed, b.exposed, experiment.split_pct)
    decides = conversion if experiment.metric == CONVERSION or per_user is None else per_user.comparison
    return Metrics(
        experiment=experiment,
        a=a,
        b=b,
        conversion=conversion,
        values=reported,
        values_per_user=per_user,
        mismatch=mismatch,
        advice=_advice(decides, mismatch),
        needed=None if effect_pct is None else _needed(experiment, a, effect_pct, baseline_pct),
    )


def _conversion(a: Tally, b: Tally) -> Comparison | None:
    if not (a.exposed and b.exposed):
        return None
    cautious_a, cautious_b = (ab_stats.cautious_proportion(side.exposed, side.converted) for side in (a, b))
    plain_a, plain_b = (ab_stats.proportion(side.exposed, side.converted) for side in (a, b))
    return ab_stats.compare(plain_a, plain_b, sequential=ab_stats.sequential_interval(cautious_a, cautious_b))


def _values(a: Tally, b: Tally, users_a: int, users_b: int) -> Values | None:
    one, other = a.values_of(users_a), b.values_of(users_b)
    if one is None or other is None:
        return None
    sequential = ab_stats.sequential_interval(one, other)
    return Values(one, other, ab_stats.compare(one, other, welch=True, sequential=sequential))


def _advice(decides: Comparison | None, mismatch: Mismatch) -> Advice:
    if mismatch.alarm:
        return Advice(
            None, "Users did not come to the sides in the shares that were set; find out why before trusting the rest."
        )
    if decides is None:
        return Advice(None, "Both sides need users first.")
    interval = decides.sequential_interval
    if interval is None or not interval.excludes_zero():
        return Advice(None, "No difference is certain yet, however often it is looked at; go on, or stop without one.")
    return _certain(interval)


def _certain(interval: Interval) -> Advice:
    winner = Variant.B if interval.low > 0 else Variant.A
    return Advice(winner, f"{winner.value} is better with 95 percent certainty, however often it was looked at.")


def _needed(experiment: Experiment, a: Tally, effect_pct: float, baseline_pct: float | None) -> SampleSize | None:
    observed = a.converted / a.exposed if a.exposed else 0.0
    baseline = observed if baseline_pct is None else baseline_pct / PERCENT
    found = ab_stats.sample_size(baseline, effect_pct / PERCENT, experiment.split_pct)
    if found is None and (baseline_pct is not None or not effect_pct):
        raise ValidationFailed(
            "A sample size needs an effect other than 0, users on both sides, and a rate above 0 and below 100 percent"
            " before the effect and at most 100 with it.",
            field="effect_pct",
        )
    return found
