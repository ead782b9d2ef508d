"""A/B tests: two environments compared by what their users do."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from app.domain.bucketing import Variant
from app.domain.experiments import Experiment, ExperimentStatus
from app.domain.paging import encode_cursor
from app.domain.routing import check_user
from app.services import experiments as service
from app.storage import experiments as stored
from schema import experiment_metrics
from schema.connections import Connection, connect, size
from schema.context import Info
from schema.describe import field
from schema.edges import AnEnvironment, APromotion, TheMetrics
from schema.environments import EnvironmentNode
from schema.nodes import GlobalId, Node
from schema.promotions import PromotionNode

Effect = Annotated[
    float | None,
    strawberry.argument(
        description="How many users show a relative change of the rate by so many percent? Answered as `sampleSize`."
    ),
]
Baseline = Annotated[
    float | None,
    strawberry.argument(description="The rate, in percent, that `effectPct` changes; left out: that of A."),
]


@strawberry.type(name="Experiment", description="An A/B test: users are dealt to two environments, each for good.")
class ExperimentNode(Node):
    uuid: UUID = strawberry.field(description="UUID of the test, `test_id` in REST.")
    split_pct: int = strawberry.field(description="Share of users that sees side B, percent, 0 to 100.")
    ab_seed: str = strawberry.field(
        description="What deals the users: the first 8 bytes of SHA-256 over user and seed, modulo 100, below"
        " `splitPct` is B."
    )
    metric: str = strawberry.field(description="What is to be improved; `conversion_rate`, or a name for `value`s.")
    status: ExperimentStatus = strawberry.field(description="Whether it runs.")
    winner: Variant | None = strawberry.field(description="The winner, once declared and promoted.")
    reason: str | None = strawberry.field(description="Why it was stopped; null if it was not.")
    created_by: str = strawberry.field(description="Name of who made it.")
    created_at: datetime = strawberry.field(description="Since when it runs.")
    ended_at: datetime | None = strawberry.field(description="When it ended; null while it runs.")
    source: strawberry.Private[Experiment]

    @classmethod
    def of(cls, experiment: Experiment) -> "ExperimentNode":
        return cls(
            id=GlobalId("Experiment", experiment.project_id, experiment.uuid).encode(),
            uuid=experiment.uuid,
            split_pct=experiment.split_pct,
            ab_seed=experiment.ab_seed,
            metric=experiment.metric,
            status=experiment.status,
            winner=experiment.winner,
            reason=experiment.reason,
            created_by=experiment.created_by,
            created_at=experiment.created_at,
            ended_at=experiment.ended_at,
            source=experiment,
        )

    @field
    async def env_a(self, info: Info) -> AnEnvironment:
        """The control's environment."""
        return await self._side(info, Variant.A)

    @field
    async def env_b(self, info: Info) -> AnEnvironment:
        """The environment of what is tried."""
        return await self._side(info, Variant.B)

    async def _side(self, info: Info, variant: Variant) -> EnvironmentNode:
        found = await info.context.loaders.environment(self.source.project_id, self.source.side(variant))
        return EnvironmentNode.of(found)

    @field
    async def promotion(self, info: Info) -> APromotion | None:
        """The promotion that was asked for last to make a winner production; null if none was."""
        uuid = self.source.promotion_uuid
        found = await info.context.loaders.promotions.load((self.source.project_id, uuid)) if uuid else None
        return PromotionNode.of(found) if found else None

    @field
    async def metrics(self, info: Info, effect_pct: Effect = None, baseline_pct: Baseline = None) -> TheMetrics:
        """What was counted so far, and what it says."""
        counts = await info.context.loaders.tallies.load((self.source.project_id, self.source.uuid))
        assert counts is not None
        found = await service.evaluated(self.source, counts, effect_pct, baseline_pct)
        return experiment_metrics.ExperimentMetrics.of(found)

    @field
    async def variant(
        self, user_uuid: Annotated[str, strawberry.argument(description="The user, 1 to 256 characters.")]
    ) -> Variant:
        """The side that a user is on. Only looked at: `recordExposures` counts that it is seen."""
        return self.source.variant_of(check_user(user_uuid))


async def experiments_of(
    info: Info, project_id: int, statuses: Sequence[ExperimentStatus], first: int | None, after: str | None
) -> Connection[ExperimentNode]:
    """Return a page of a project's tests, newest first."""
    page = await service.list_experiments(
        info.context.actor, project_id, statuses=statuses, limit=size(first), cursor=after
    )

    async def count() -> int:
        return await stored.count(project_id, statuses)

    return connect(
        page.items,
        after,
        more=page.next_cursor is not None,
        node=ExperimentNode.of,
        cursor=lambda item: encode_cursor(*stored.sort_key(item)),
        count=count,
    )


@strawberry.type
class ExperimentQuery:
    @field
    async def experiment(
        self, info: Info, uuid: Annotated[UUID, strawberry.argument(description="UUID of the A/B test.")]
    ) -> ExperimentNode | None:
        """An A/B test."""
        return ExperimentNode.of(await service.get(info.context.actor, uuid))
