"""What an A/B test says. Rates and chances are percent; p-values are between 0 and 1."""

import strawberry

from app.domain.ab_metrics import PERCENT, Metrics, Tally, Values
from app.domain.ab_stats import Comparison, Interval, Sample
from app.domain.bucketing import Variant
from app.domain.experiments import Experiment, ExperimentStatus
from schema import experiments
from schema.context import Info
from schema.describe import field
from schema.edges import AnEnvironment, AnExperiment
from schema.environments import EnvironmentNode
from schema.scalars import BigInt


@strawberry.type(description="What was counted of a side.")
class ExperimentSide:
    variant: Variant = strawberry.field(description="Which side.")
    requests: BigInt = strawberry.field(description="Distinct users exposed.")
    conversions: BigInt = strawberry.field(description="Distinct users who converted after that.")
    rate_pct: float = strawberry.field(description="Their share, percent with two decimals.")
    repeated_requests: BigInt = strawberry.field(description="Exposures that came once more; they count nowhere else.")
    repeated_conversions: BigInt = strawberry.field(description="Results that came once more; counted nowhere else.")
    quarantined: BigInt = strawberry.field(description="Users dealt to it and seen in both; they count nowhere else.")
    source: strawberry.Private[Experiment]

    @classmethod
    def of(cls, experiment: Experiment, variant: Variant, tally: Tally) -> "ExperimentSide":
        return cls(
            variant=variant,
            requests=BigInt(tally.exposed),
            conversions=BigInt(tally.converted),
            rate_pct=tally.rate_pct,
            repeated_requests=BigInt(tally.exposures_repeated),
            repeated_conversions=BigInt(tally.results_repeated),
            quarantined=BigInt(tally.quarantined),
            source=experiment,
        )

    @field
    async def environment(self, info: Info) -> AnEnvironment:
        """Its environment."""
        uuid = self.source.side(self.variant)
        return EnvironmentNode.of(await info.context.loaders.environment(self.source.project_id, uuid))


@strawberry.type(name="Interval", description="From where to where something lies, with 95 percent confidence.")
class IntervalNode:
    low: float = strawberry.field(description="Its lower end.")
    high: float = strawberry.field(description="Its upper end.")

    @classmethod
    def of(cls, interval: Interval | None, factor: int) -> "IntervalNode | None":
        return None if interval is None else cls(low=interval.low * factor, high=interval.high * factor)


@strawberry.type(name="SideComparison", description="Side B against side A; null is what the data do not say yet.")
class ComparisonNode:
    uplift: float = strawberry.field(description="B - A; of rates, in percentage points.")
    interval: IntervalNode | None = strawberry.field(description="Of the uplift, for who looks once.")
    relative_uplift_pct: float | None = strawberry.field(description="The uplift as percent of A.")
    relative_interval_pct: IntervalNode | None = strawberry.field(description="Of the relative uplift, percent.")
    p_value: float | None = strawberry.field(
        description="Chance, 0 to 1, of such a difference or a larger one if there is none; for who looks once."
    )
    chance_to_win_pct: float | None = strawberry.field(description="Chance that B beats A, percent.")
    sequential_interval: IntervalNode | None = strawberry.field(
        description="Of the uplift; holds however often it is looked at."
    )

    @classmethod
    def of(cls, found: Comparison, unit: int = 1) -> "ComparisonNode":
        return cls(
            uplift=found.absolute * unit,
            interval=IntervalNode.of(found.absolute_interval, unit),
            relative_uplift_pct=None if found.relative is None else found.relative * PERCENT,
            relative_interval_pct=IntervalNode.of(found.relative_interval, PERCENT),
            p_value=found.p_value,
            chance_to_win_pct=None if found.chance_to_win is None else found.chance_to_win * PERCENT,
            sequential_interval=IntervalNode.of(found.sequential_interval, unit),
        )


@strawberry.type(description="What was measured of a side's users.")
class ValueSample:
    users: BigInt = strawberry.field(description="How many users.")
    mean: float = strawberry.field(description="Their mean.")
    variance: float = strawberry.field(description="The variance among them.")

    @classmethod
    def of(cls, sample: Sample) -> "ValueSample":
        return cls(users=BigInt(sample.count), mean=sample.mean, variance=sample.variance)


@strawberry.type(description="What the values of results say, compared by Welch's t-test.")
class ValueMetrics:
    a: ValueSample = strawberry.field(description="Side A.")
    b: ValueSample = strawberry.field(description="Side B.")
    comparison: ComparisonNode = strawberry.field(description="B against A.")

    @classmethod
    def of(cls, values: Values | None) -> "ValueMetrics | None":
        if values is None:
            return None
        comparison = ComparisonNode.of(values.comparison)
        return cls(a=ValueSample.of(values.a), b=ValueSample.of(values.b), comparison=comparison)


@strawberry.type(description="Whether users came to the sides in the shares that were set.")
class SampleRatioMismatch:
    p_value: float | None = strawberry.field(description="By chi-square, 0 to 1; null where nothing can be said.")
    alarm: bool = strawberry.field(description="Below 0.001, from 8 users per side on: trust no other number then.")


@strawberry.type(description="What the numbers advise; a person declares.")
class Recommendation:
    winner: Variant | None = strawberry.field(description="The side to declare the winner; null: none yet.")
    reason: str = strawberry.field(description="Why.")


@strawberry.type(description="How many users show an effect: two-sided at 5 percent, found with a chance of 80.")
class SampleSizeNeeded:
    users_a: BigInt = strawberry.field(description="Users of side A.")
    users_b: BigInt = strawberry.field(description="Users of side B.")


@strawberry.type(description="What an A/B test says at a moment.")
class ExperimentMetrics:
    status: ExperimentStatus = strawberry.field(description="Whether the test runs.")
    winner: Variant | None = strawberry.field(description="The winner, once declared and promoted.")
    a: ExperimentSide = strawberry.field(description="The control.")
    b: ExperimentSide = strawberry.field(description="What is tried.")
    comparison: ComparisonNode | None = strawberry.field(description="Of conversions; null while a side has nobody.")
    values: ValueMetrics | None = strawberry.field(description="Over the users whose results have a value.")
    values_per_user: ValueMetrics | None = strawberry.field(
        description="Over all who were exposed; who has no value has 0."
    )
    mismatch: SampleRatioMismatch = strawberry.field(description="Of the shares of both sides.")
    recommendation: Recommendation = strawberry.field(description="May be looked at as often as you like.")
    sample_size: SampleSizeNeeded | None = strawberry.field(description="For the effect asked for; else null.")
    source: strawberry.Private[Experiment]

    @classmethod
    def of(cls, found: Metrics) -> "ExperimentMetrics":
        test, needed = found.experiment, found.needed
        return cls(
            status=test.status,
            winner=test.winner,
            a=ExperimentSide.of(test, Variant.A, found.a),
            b=ExperimentSide.of(test, Variant.B, found.b),
            comparison=None if found.conversion is None else ComparisonNode.of(found.conversion, PERCENT),
            values=ValueMetrics.of(found.values),
            values_per_user=ValueMetrics.of(found.values_per_user),
            mismatch=SampleRatioMismatch(p_value=found.mismatch.p_value, alarm=found.mismatch.alarm),
            recommendation=Recommendation(winner=found.advice.winner, reason=found.advice.reason),
            sample_size=None
            if needed is None
            else SampleSizeNeeded(users_a=BigInt(needed.users_a), users_b=BigInt(needed.users_b)),
            source=test,
        )

    @field
    async def experiment(self) -> AnExperiment:
        """The test."""
        return experiments.ExperimentNode.of(self.source)
