"""What A/B tests say. Rates, uplifts and chances are percent; a p-value is between 0 and 1."""

from uuid import UUID

from app.domain.ab_metrics import PERCENT, Metrics, Tally, Values
from app.domain.ab_stats import Comparison, Interval, Sample
from app.domain.bucketing import Variant
from app.domain.experiments import ExperimentStatus
from app.rest.answers import Answer


class SideAnswer(Answer):
    """`requests` are distinct users exposed, `conversions` those of them who converted, `rate` their share in percent.

    What came more than once is counted apart, and users seen in both variants as `quarantined` and nowhere else.
    """

    env_uuid: UUID
    requests: int
    conversions: int
    rate: float
    repeated_requests: int
    repeated_conversions: int
    quarantined: int

    @classmethod
    def of(cls, env_uuid: UUID, tally: Tally) -> "SideAnswer":
        """Return the answer for a side."""
        return cls(
            env_uuid=env_uuid,
            requests=tally.exposed,
            conversions=tally.converted,
            rate=tally.rate_pct,
            repeated_requests=tally.exposures_repeated,
            repeated_conversions=tally.results_repeated,
            quarantined=tally.quarantined,
        )


class ComparisonAnswer(Answer):
    """Side B against side A; null is what the data do not say yet. Intervals have 95 percent.

    `uplift` is B - A, of rates in percentage points; `relative_uplift_pct` the same as percent of A.
    `chance_to_win_pct` is the chance that B beats A. `sequential_interval` is of `uplift` too, and holds however often
    it is looked at.
    """

    uplift: float
    interval: list[float] | None
    relative_uplift_pct: float | None
    relative_interval_pct: list[float] | None
    p_value: float | None
    chance_to_win_pct: float | None
    sequential_interval: list[float] | None

    @classmethod
    def of(cls, found: Comparison, unit: int = 1) -> "ComparisonAnswer":
        """Return the answer for a comparison, absolute numbers times ``unit``."""
        return cls(
            uplift=found.absolute * unit,
            interval=_ends(found.absolute_interval, unit),
            relative_uplift_pct=_times(found.relative, PERCENT),
            relative_interval_pct=_ends(found.relative_interval, PERCENT),
            p_value=found.p_value,
            chance_to_win_pct=_times(found.chance_to_win, PERCENT),
            sequential_interval=_ends(found.sequential_interval, unit),
        )


def _times(number: float | None, factor: int) -> float | None:
    return None if number is None else number * factor


def _ends(interval: Interval | None, factor: int) -> list[float] | None:
    return None if interval is None else [interval.low * factor, interval.high * factor]


class SampleAnswer(Answer):
    users: int
    mean: float
    variance: float

    @classmethod
    def of(cls, sample: Sample) -> "SampleAnswer":
        """Return the answer for what was measured of a side."""
        return cls(users=sample.count, mean=sample.mean, variance=sample.variance)


class ValuesAnswer(Answer):
    """What `value`s of results say, compared by Welch's t-test."""

    env_a: SampleAnswer
    env_b: SampleAnswer
    comparison: ComparisonAnswer

    @classmethod
    def of(cls, values: Values | None) -> "ValuesAnswer | None":
        """Return the answer for values, if there are any."""
        if values is None:
            return None
        return cls(
            env_a=SampleAnswer.of(values.a),
            env_b=SampleAnswer.of(values.b),
            comparison=ComparisonAnswer.of(values.comparison),
        )


class MismatchAnswer(Answer):
    """Whether users came in the shares that were set; an alarm below a `p_value` of 0.001, from 8 users per side on."""

    p_value: float | None
    alarm: bool


class AdviceAnswer(Answer):
    """The side that should be declared the winner; null while there is none, and why."""

    winner: Variant | None
    reason: str


class SampleSizeAnswer(Answer):
    """How many users each side needs: two-sided at 5 percent, found with a chance of 80 percent."""

    env_a: int
    env_b: int


class MetricsAnswer(Answer):
    """`comparison` is of conversions. `values` are over users with a value, `values_per_user` over all exposed ones."""

    test_id: UUID
    status: ExperimentStatus
    winner: Variant | None
    metric: str
    split_pct: int
    env_a: SideAnswer
    env_b: SideAnswer
    quarantined: int
    comparison: ComparisonAnswer | None
    values: ValuesAnswer | None
    values_per_user: ValuesAnswer | None
    mismatch: MismatchAnswer
    recommendation: AdviceAnswer
    sample_size: SampleSizeAnswer | None

    @classmethod
    def of(cls, found: Metrics) -> "MetricsAnswer":
        """Return the answer for a test's metrics."""
        test, needed = found.experiment, found.needed
        return cls(
            test_id=test.uuid,
            status=test.status,
            winner=test.winner,
            metric=test.metric,
            split_pct=test.split_pct,
            env_a=SideAnswer.of(test.env_a_uuid, found.a),
            env_b=SideAnswer.of(test.env_b_uuid, found.b),
            quarantined=found.a.quarantined + found.b.quarantined,
            comparison=None if found.conversion is None else ComparisonAnswer.of(found.conversion, PERCENT),
            values=ValuesAnswer.of(found.values),
            values_per_user=ValuesAnswer.of(found.values_per_user),
            mismatch=MismatchAnswer(p_value=found.mismatch.p_value, alarm=found.mismatch.alarm),
            recommendation=AdviceAnswer(winner=found.advice.winner, reason=found.advice.reason),
            sample_size=None if needed is None else SampleSizeAnswer(env_a=needed.users_a, env_b=needed.users_b),
        )
