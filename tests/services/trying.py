"""A project with a test between production and an environment, and what is counted of it by other means."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from app.domain.ab_metrics import Tally
from app.domain.bucketing import Variant
from app.domain.experiments import Experiment
from app.domain.ingestion import Ingested, Told
from app.domain.model import Actor, Project
from app.services import documents, environments, experiments, ingesting
from app.services.branching import ForkOptions
from app.services.experiments import Design
from app.storage import db, experiment_counts


@dataclass
class Trial:
    """A test whose side B, ``tried``, is to change a page."""

    actor: Actor
    project: Project
    tried: UUID
    test: Experiment

    @classmethod
    async def made(cls, actor: Actor, project: Project, split_pct: int = 50) -> "Trial":
        tried = await fork(actor, project, "tried")
        await documents.put(actor, project.id, "tried", "page", "a", {"title": "New"})
        design = Design(project.production_uuid, tried, split_pct, ab_seed="seed")
        return cls(actor, project, tried, await experiments.create(actor, design))

    async def now(self) -> Experiment:
        return await experiments.get(self.actor, self.test.uuid)

    async def expose(self, users: Iterable[str]) -> Ingested:
        return await ingesting.record_exposures(self.actor, self.test.uuid, [Told(user) for user in users])

    async def convert(self, users: Iterable[str], value: int | Decimal | None = None) -> Ingested:
        return await ingesting.record_results(self.actor, self.test.uuid, [Told(user, value) for user in users])

    async def tallies(self) -> dict[Variant, Tally]:
        """Return the counts that are kept; they are what stands in the tables."""
        kept = (await experiment_counts.tallies(self.project.id, [self.test.uuid]))[self.test.uuid]
        for variant, tally in kept.items():
            row = await db.fetchrow(_COUNTED, self.project.id, self.test.uuid, variant.value)
            assert row is not None
            assert dict(row) == {name: getattr(tally, name) for name in row.keys()}  # noqa: SIM118
        return kept

    def dealt(self, variant: Variant, number: int) -> list[str]:
        """Return so many users of one variant."""
        found = (user for user in (f"user {at}" for at in range(100 * number)) if self.test.variant_of(user) is variant)
        return [next(found) for _ in range(number)]


_COUNTED = """
SELECT count(*) FILTER (WHERE NOT quarantined) AS exposed,
    count(result.user_uuid) FILTER (WHERE NOT quarantined) AS converted,
    count(*) FILTER (WHERE quarantined) AS quarantined,
    count(result.value) FILTER (WHERE NOT quarantined) AS valued,
    coalesce(sum(result.value) FILTER (WHERE NOT quarantined), 0) AS value_sum,
    coalesce(sum(result.value * result.value) FILTER (WHERE NOT quarantined), 0) AS value_squares
FROM experiment_exposure LEFT JOIN experiment_result result USING (project_id, test_uuid, user_uuid)
WHERE project_id = $1 AND test_uuid = $2 AND variant = $3
"""


async def fork(actor: Actor, project: Project, name: str) -> UUID:
    return (await environments.fork(actor, project.id, ForkOptions(name))).environment.uuid
