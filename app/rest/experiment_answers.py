"""Answers about A/B tests, their users and their winners."""

from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain.bucketing import Variant
from app.domain.experiments import Experiment, ExperimentStatus
from app.domain.ingestion import Ingested
from app.rest.answers import Answer
from app.rest.promotion_answers import PromotionAnswer, promotion_members
from app.services.declaring import Declared
from app.services.experiments import Assignment


class TestAnswer(Answer):
    """`winner` is null until one is declared and its promotion is complete; `promotion_id` is the last one asked for.

    `reason` is why it was stopped.
    """

    test_id: UUID
    project_id: int
    env_a_uuid: UUID
    env_b_uuid: UUID
    split_pct: int
    metric: str
    ab_seed: str
    status: ExperimentStatus
    winner: Variant | None
    promotion_id: UUID | None
    reason: str | None
    created_by: str
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, experiment: Experiment) -> "TestAnswer":
        """Return the answer for a test."""
        return cls(
            test_id=experiment.uuid,
            project_id=experiment.project_id,
            env_a_uuid=experiment.env_a_uuid,
            env_b_uuid=experiment.env_b_uuid,
            split_pct=experiment.split_pct,
            metric=experiment.metric,
            ab_seed=experiment.ab_seed,
            status=experiment.status,
            winner=experiment.winner,
            promotion_id=experiment.promotion_uuid,
            reason=experiment.reason,
            created_by=experiment.created_by,
            created_at=experiment.created_at,
            ended_at=experiment.ended_at,
        )


class TestsAnswer(Answer):
    ab_tests: list[TestAnswer]
    next_cursor: str | None


class VariantAnswer(Answer):
    """`exposed`: this answer was counted as the user's seeing the variant."""

    test_id: UUID
    user_uuid: str
    variant: Variant
    env_uuid: UUID
    exposed: bool

    @classmethod
    def of(cls, assignment: Assignment) -> "VariantAnswer":
        """Return the answer for a user."""
        return cls(
            test_id=assignment.experiment.uuid,
            user_uuid=assignment.user,
            variant=assignment.variant,
            env_uuid=assignment.env_uuid,
            exposed=assignment.exposed,
        )


class RefusedAnswer(Answer):
    """An item that nothing was done for; `index` is its position in the list, from 0."""

    index: int
    user_uuid: str
    error: str
    message: str


class IngestedAnswer(Answer):
    """`accepted` users count from now on, `repeated` items told of what was known, `quarantined` users were seen in
    both variants and count no more."""

    test_id: UUID
    accepted: int
    repeated: int
    quarantined: int
    refused: list[RefusedAnswer]

    @classmethod
    def of(cls, test_id: UUID, done: Ingested) -> "IngestedAnswer":
        """Return the answer to exposures or results."""
        return cls(
            test_id=test_id,
            accepted=done.accepted,
            repeated=done.repeated,
            quarantined=done.quarantined,
            refused=[
                RefusedAnswer(index=item.index, user_uuid=item.user_uuid, error=item.code, message=item.message)
                for item in done.refused
            ],
        )


class DeclaredAnswer(PromotionAnswer):
    """The promotion of the winner, and the test."""

    test: TestAnswer


class ControlKept(Answer):
    """Production won as the control: nothing is promoted, and the test is completed."""

    promotion_id: None
    project_id: int
    env_uuid: UUID
    strategy: None
    status: str
    test: TestAnswer


def declared_answer(declared: Declared) -> DeclaredAnswer | ControlKept:
    """Return the answer to a declaration."""
    test = TestAnswer.of(declared.experiment)
    if declared.promotion is not None:
        members: dict[str, Any] = promotion_members(declared.promotion)
        return DeclaredAnswer(test=test, **members)
    assert declared.experiment.winner is not None
    return ControlKept(
        promotion_id=None,
        project_id=test.project_id,
        env_uuid=declared.experiment.side(declared.experiment.winner),
        strategy=None,
        status=test.status.value,
        test=test,
    )
