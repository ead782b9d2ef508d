"""Making A/B tests, telling of their users, stopping them, declaring winners."""

from decimal import Decimal
from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain.ab_metrics import CONVERSION
from app.domain.bucketing import Variant
from app.domain.ingestion import Ingested, Outcome, RefusedItem, Told
from app.domain.promotion import PromotionStatus
from app.services import declaring, ingesting
from app.services import experiments as service
from app.services.experiments import Design
from schema.context import Info
from schema.describe import mutation
from schema.errors import (
    Forbidden,
    InvalidTransition,
    NotFound,
    PlanLimitExceeded,
    PromotionBlocked,
    ValidationFailed,
)
from schema.experiments import ExperimentNode
from schema.inputs import MutationInput
from schema.promotion_mutations import PromotionInput
from schema.promotions import PromotionNode


@strawberry.input(description="The A/B test to make: two environments of one project.")
class CreateExperimentInput(MutationInput):
    env_a_uuid: UUID = strawberry.field(description="The control; may be production.")
    env_b_uuid: UUID = strawberry.field(description="What is tried.")
    split_pct: int = strawberry.field(default=50, description="Share of users that sees side B, percent, 0 to 100.")
    metric: str = strawberry.field(default=CONVERSION, description="What is to be improved, 1 to 200 characters.")
    ab_seed: str | None = strawberry.field(
        default=None, description="What deals the users, 1 to 200 characters; left out: a random one."
    )


@strawberry.input(description="A user who has seen a variant.")
class ExposureInput:
    user_uuid: str = strawberry.field(description="The user, 1 to 256 characters, taken as they are.")
    variant: Variant | None = strawberry.field(
        default=None, description="The one seen; another than the one dealt puts the user into quarantine."
    )


@strawberry.input(description="A user who has converted.")
class ResultInput:
    user_uuid: str = strawberry.field(description="The user, 1 to 256 characters, taken as they are.")
    outcome: Outcome = strawberry.field(description="What came of the user.")
    value: Decimal | None = strawberry.field(
        default=None, description="What a numeric metric is made of: -10^15 to 10^15, up to 15 decimals."
    )
    variant: Variant | None = strawberry.field(
        default=None, description="The one seen; another than the one dealt puts the user into quarantine."
    )


@strawberry.input(description="Users who have seen their variants.")
class RecordExposuresInput(MutationInput):
    test_uuid: UUID = strawberry.field(description="UUID of the test.")
    exposures: list[ExposureInput] = strawberry.field(description="1 to 250 of them; REST takes up to 1,000.")


@strawberry.input(description="Users who have converted.")
class RecordResultsInput(MutationInput):
    test_uuid: UUID = strawberry.field(description="UUID of the test.")
    results: list[ResultInput] = strawberry.field(description="1 to 250 of them; REST takes up to 1,000.")


@strawberry.input(description="The A/B test to stop.")
class StopExperimentInput(MutationInput):
    test_uuid: UUID = strawberry.field(description="UUID of the test.")
    reason: str | None = strawberry.field(default=None, description="Why, 1 to 2,000 characters.")


@strawberry.input(description="The side that won, and how to promote it.")
class DeclareWinnerInput(PromotionInput):
    test_uuid: UUID = strawberry.field(description="UUID of the test.")
    winner: Variant = strawberry.field(description="The side.")


@strawberry.type(description="An item that nothing was done for.")
class RefusedItemNode:
    index: int = strawberry.field(description="Its position in the list, from 0.")
    user_uuid: str = strawberry.field(description="The user that it names.")
    code: str = strawberry.field(description="The catalogue's code, the same as `error` in REST.")
    message: str = strawberry.field(description="What is wrong, for a person to read.")

    @classmethod
    def of(cls, item: RefusedItem) -> "RefusedItemNode":
        return cls(index=item.index, user_uuid=item.user_uuid, code=item.code, message=item.message)


@strawberry.interface(description="What became of a list; what is not among `refused` was done.")
class Recorded:
    accepted: int = strawberry.field(description="Users who count from now on.")
    repeated: int = strawberry.field(description="Items that told of what was known.")
    quarantined: int = strawberry.field(description="Users seen in both variants, who count no more.")
    refused: list[RefusedItemNode] = strawberry.field(description="What nothing was done for, by position.")


@strawberry.type(description="The exposures were taken in.")
class RecordExposuresPayload(Recorded):
    @classmethod
    def of(cls, done: Ingested) -> "RecordExposuresPayload":
        refused = [RefusedItemNode.of(item) for item in done.refused]
        return cls(accepted=done.accepted, repeated=done.repeated, quarantined=done.quarantined, refused=refused)


@strawberry.type(description="The results were taken in.")
class RecordResultsPayload(Recorded):
    @classmethod
    def of(cls, done: Ingested) -> "RecordResultsPayload":
        refused = [RefusedItemNode.of(item) for item in done.refused]
        return cls(accepted=done.accepted, repeated=done.repeated, quarantined=done.quarantined, refused=refused)


@strawberry.type(description="The A/B test runs.")
class CreateExperimentPayload:
    experiment: ExperimentNode = strawberry.field(description="The test.")


@strawberry.type(description="The A/B test is stopped.")
class StopExperimentPayload:
    experiment: ExperimentNode = strawberry.field(description="The test.")


@strawberry.type(description="A winner is declared; the test is completed when its promotion is.")
class DeclareWinnerPayload:
    experiment: ExperimentNode = strawberry.field(description="The test.")
    promotion: PromotionNode | None = strawberry.field(
        description="The winner's promotion; null where production won as the control and is left alone."
    )


CreateExperimentResult: TypeAlias = Annotated[
    CreateExperimentPayload | PlanLimitExceeded | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("CreateExperimentResult", description="The test, or why there is none."),
]
RecordExposuresResult: TypeAlias = Annotated[
    RecordExposuresPayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("RecordExposuresResult", description="What became of the exposures, or why nothing did."),
]
RecordResultsResult: TypeAlias = Annotated[
    RecordResultsPayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("RecordResultsResult", description="What became of the results, or why nothing did."),
]
StopExperimentResult: TypeAlias = Annotated[
    StopExperimentPayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("StopExperimentResult", description="The test, or why it was not stopped."),
]
DeclareWinnerResult: TypeAlias = Annotated[
    DeclareWinnerPayload | PromotionBlocked | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("DeclareWinnerResult", description="The test and its promotion, or why there is none."),
]


@strawberry.type
class ExperimentMutation:
    @mutation
    async def create_experiment(self, info: Info, input: CreateExperimentInput) -> CreateExperimentResult:  # noqa: A002
        """Let two environments be compared by what their users do, from now on."""
        design = Design(input.env_a_uuid, input.env_b_uuid, input.split_pct, input.metric, input.ab_seed)
        made = await service.create(info.context.actor, design)
        return CreateExperimentPayload(experiment=ExperimentNode.of(made))

    @mutation
    async def record_exposures(self, info: Info, input: RecordExposuresInput) -> RecordExposuresResult:  # noqa: A002
        """Record that users have seen their variants. A user's first exposure counts."""
        items = [Told(item.user_uuid, None, item.variant) for item in input.exposures]
        return RecordExposuresPayload.of(await ingesting.record_exposures(info.context.actor, input.test_uuid, items))

    @mutation
    async def record_results(self, info: Info, input: RecordResultsInput) -> RecordResultsResult:  # noqa: A002
        """Record that users who saw their variant have converted. A user's first result counts."""
        items = [Told(item.user_uuid, item.value, item.variant) for item in input.results]
        return RecordResultsPayload.of(await ingesting.record_results(info.context.actor, input.test_uuid, items))

    @mutation
    async def stop_experiment(self, info: Info, input: StopExperimentInput) -> StopExperimentResult:  # noqa: A002
        """Stop an A/B test without a winner. Nothing is counted any more; users keep their variants."""
        done = await service.stop(info.context.actor, input.test_uuid, input.reason)
        return StopExperimentPayload(experiment=ExperimentNode.of(done))

    @mutation
    async def declare_winner(self, info: Info, input: DeclareWinnerInput) -> DeclareWinnerResult:  # noqa: A002
        """Declare the winner: its environment is promoted as by `promote`, unless it is production."""
        done = await declaring.declare(info.context.actor, input.test_uuid, input.winner, input.options())
        promotion = done.promotion
        if promotion is not None and promotion.status is PromotionStatus.BLOCKED:
            return PromotionBlocked.by_promotion(promotion)
        return DeclareWinnerPayload(
            experiment=ExperimentNode.of(done.experiment),
            promotion=PromotionNode.of(promotion) if promotion else None,
        )
