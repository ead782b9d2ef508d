"""Who was exposed to an A/B test and who converted, and the counts of both, which change in the same transaction.

Counts are kept in shards, one per database connection as far as they go round, so that those who write at once do not
wait for one another. Users are locked in the order of their ids and the shard after them, so nobody waits in a circle.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.domain.ab_metrics import Tally
from app.domain.bucketing import Variant
from app.domain.experiments import Experiment
from app.domain.ingestion import UserTold
from app.storage import db

_SHARD: Final = "(pg_backend_pid() % 32)::smallint"
_COUNTS: Final = (
    "exposed",
    "converted",
    "exposures_repeated",
    "results_repeated",
    "quarantined",
    "valued",
    "value_sum",
    "value_squares",
)


def _adding(*counts: str) -> str:
    """Return what adds ``counts`` to those of a shard that is there already."""
    sums = ", ".join(f"{name} = tally.{name} + excluded.{name}" for name in counts)
    return f"ON CONFLICT (project_id, test_uuid, shard, variant) DO UPDATE SET {sums}"


_EXPOSE: Final = f"""
WITH given AS (
    SELECT * FROM unnest($3::text[], $4::text[], $5::boolean[], $6::int[])
        AS given (user_uuid, variant, contradicted, times)
), inserted AS (
    INSERT INTO experiment_exposure (project_id, test_uuid, user_uuid, variant, quarantined)
    SELECT $1, $2, user_uuid, variant, contradicted FROM given ORDER BY user_uuid COLLATE "C"
    ON CONFLICT DO NOTHING RETURNING user_uuid
), counted AS (
    INSERT INTO experiment_tally AS tally
        (project_id, test_uuid, shard, variant, exposed, exposures_repeated, quarantined)
    SELECT $1, $2, {_SHARD}, given.variant, count(inserted.user_uuid) FILTER (WHERE NOT contradicted),
        sum(times) - count(inserted.user_uuid), count(inserted.user_uuid) FILTER (WHERE contradicted)
    FROM given LEFT JOIN inserted USING (user_uuid) GROUP BY given.variant ORDER BY given.variant
    {_adding("exposed", "exposures_repeated", "quarantined")}
)
SELECT user_uuid FROM inserted
"""


async def expose(experiment: Experiment, users: Sequence[UserTold]) -> set[str]:
    """Record the first exposure of each user, count the others apart; return whose was the first.

    The test is held. First ones with a contradicted variant go to quarantine.
    """
    rows = await db.fetch(
        _EXPOSE,
        experiment.project_id,
        experiment.uuid,
        [user.user for user in users],
        [user.variant.value for user in users],
        [user.contradicted for user in users],
        [user.times for user in users],
    )
    return {row["user_uuid"] for row in rows}


# Users are looked up one by one, for whatever else the planner may think of reads the whole test. The lock keeps a
# user from going to quarantine until the result is committed, or has it wait until that is done.
_CONVERT: Final = f"""
WITH given AS (
    SELECT * FROM unnest($3::text[], $4::text[], $5::numeric[], $6::int[]) AS given (user_uuid, variant, value, times)
), known AS (
    SELECT given.*, exposure.quarantined FROM (SELECT * FROM given ORDER BY user_uuid COLLATE "C") given
    CROSS JOIN LATERAL (
        SELECT quarantined FROM experiment_exposure
        WHERE project_id = $1 AND test_uuid = $2 AND user_uuid = given.user_uuid LIMIT 1 FOR SHARE
    ) exposure
), inserted AS (
    INSERT INTO experiment_result (project_id, test_uuid, user_uuid, value)
    SELECT $1, $2, user_uuid, value FROM known
    ON CONFLICT DO NOTHING RETURNING user_uuid
), counted AS (
    INSERT INTO experiment_tally AS tally
        (project_id, test_uuid, shard, variant, converted, results_repeated, valued, value_sum, value_squares)
    SELECT $1, $2, {_SHARD}, known.variant, count(inserted.user_uuid) FILTER (WHERE NOT quarantined),
        sum(times) - count(inserted.user_uuid),
        count(value) FILTER (WHERE NOT quarantined AND inserted.user_uuid IS NOT NULL),
        coalesce(sum(value) FILTER (WHERE NOT quarantined AND inserted.user_uuid IS NOT NULL), 0),
        coalesce(sum(value * value) FILTER (WHERE NOT quarantined AND inserted.user_uuid IS NOT NULL), 0)
    FROM known LEFT JOIN inserted USING (user_uuid) GROUP BY known.variant ORDER BY known.variant
    {_adding("converted", "results_repeated", "valued", "value_sum", "value_squares")}
)
SELECT known.user_uuid, known.quarantined, inserted.user_uuid IS NOT NULL AS first
FROM known LEFT JOIN inserted USING (user_uuid)
"""


@dataclass(frozen=True, slots=True)
class Converted:
    """Whose results were taken: of the users ``known``, for whom it is the ``first``, and who count with it."""

    known: frozenset[str]
    first: frozenset[str]
    counted: frozenset[str]


async def convert(experiment: Experiment, users: Sequence[UserTold]) -> Converted:
    """Record the first result of each user who was exposed, count the others apart. The test is held."""
    rows = await db.fetch(
        _CONVERT,
        experiment.project_id,
        experiment.uuid,
        [user.user for user in users],
        [user.variant.value for user in users],
        [user.value for user in users],
        [user.times for user in users],
    )
    return Converted(
        known=frozenset(row["user_uuid"] for row in rows),
        first=frozenset(row["user_uuid"] for row in rows if row["first"]),
        counted=frozenset(row["user_uuid"] for row in rows if row["first"] and not row["quarantined"]),
    )


_ISOLATE: Final = """
UPDATE experiment_exposure exposure SET quarantined = true
FROM (
    SELECT user_uuid FROM experiment_exposure
    WHERE project_id = $1 AND test_uuid = $2 AND user_uuid = ANY ($3::text[]) AND NOT quarantined
    ORDER BY user_uuid FOR NO KEY UPDATE
) found
WHERE exposure.project_id = $1 AND exposure.test_uuid = $2 AND exposure.user_uuid = found.user_uuid
RETURNING exposure.user_uuid
"""
# A statement of its own, so that it sees the results of those whom the one above had to wait for.
_TAKE_OUT: Final = f"""
INSERT INTO experiment_tally AS tally
    (project_id, test_uuid, shard, variant, exposed, converted, quarantined, valued, value_sum, value_squares)
SELECT $1, $2, {_SHARD}, exposure.variant, -count(*), -count(result.user_uuid), count(*), -count(result.value),
    -coalesce(sum(result.value), 0), -coalesce(sum(result.value * result.value), 0)
FROM experiment_exposure exposure
LEFT JOIN LATERAL (
    SELECT user_uuid, value FROM experiment_result
    WHERE project_id = $1 AND test_uuid = $2 AND user_uuid = exposure.user_uuid LIMIT 1
) result ON true
WHERE exposure.project_id = $1 AND exposure.test_uuid = $2 AND exposure.user_uuid = ANY ($3::text[])
GROUP BY exposure.variant ORDER BY exposure.variant
{_adding("exposed", "converted", "quarantined", "valued", "value_sum", "value_squares")}
"""


async def quarantine(experiment: Experiment, users: Sequence[str]) -> int:
    """Take users out of the counts who were exposed and seen in both variants; return how many were still in them."""
    if not users:
        return 0
    test = (experiment.project_id, experiment.uuid)
    isolated = [row["user_uuid"] for row in await db.fetch(_ISOLATE, *test, list(users))]
    if isolated:
        await db.execute(_TAKE_OUT, *test, isolated)
    return len(isolated)


_TALLIES: Final = (
    "SELECT test_uuid, variant, "
    + ", ".join(f"sum({name}){'' if name.startswith('value_') else '::bigint'} AS {name}" for name in _COUNTS)
    + " FROM experiment_tally WHERE project_id = $1 AND test_uuid = ANY ($2::uuid[]) GROUP BY test_uuid, variant"
)


async def tallies(project_id: int, test_uuids: Iterable[UUID]) -> dict[UUID, dict[Variant, Tally]]:
    """Return what was counted of both sides of each test, as committed."""
    wanted = list(test_uuids)
    found = {uuid: dict.fromkeys(Variant, Tally()) for uuid in wanted}
    for row in await db.fetch(_TALLIES, project_id, wanted):
        found[row["test_uuid"]][Variant(row["variant"])] = Tally(**{name: row[name] for name in _COUNTS})
    return found
