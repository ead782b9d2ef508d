"""A/B tests: read, added, ended; and the lock between whoever ends one and whoever counts for it."""

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from app.domain.bucketing import Variant
from app.domain.experiments import Experiment, ExperimentStatus
from app.storage import db

# Of pg_advisory locks the first number says what is locked; those of plans are 1 to 3, of freezes 4, of lines 5.
_LOCK: Final = 6
_COLUMNS: Final = (
    "project_id, uuid, env_a_uuid, env_b_uuid, split_pct, ab_seed, metric, status, winner, declared, promotion_uuid,"
    " reason, created_by, created_at, ended_at"
)


def _from_row(row: db.Record) -> Experiment:
    values = dict(row)
    winner, declared = (values[name] and Variant(values[name]) for name in ("winner", "declared"))
    return Experiment(**values | {"status": ExperimentStatus(row["status"]), "winner": winner, "declared": declared})


async def active(project_id: int) -> list[Experiment]:
    """Return the tests of the project that run, the oldest first."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM experiment WHERE project_id = $1 AND status = 'active' ORDER BY created_at, uuid",
        project_id,
    )
    return [_from_row(row) for row in rows]


async def active_with(project_id: int, env_uuid: UUID) -> list[Experiment]:
    """Return the tests that run with the environment as a side, in the order in which they are locked."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM experiment WHERE project_id = $1 AND status = 'active'"
        " AND $2 IN (env_a_uuid, env_b_uuid) ORDER BY uuid",
        project_id,
        env_uuid,
    )
    return [_from_row(row) for row in rows]


async def get(project_ids: Sequence[int], uuid: UUID) -> Experiment | None:
    """Return the test with ``uuid`` in one of the projects."""
    row = await db.fetchrow(
        f"SELECT {_COLUMNS} FROM experiment WHERE project_id = ANY ($1::int[]) AND uuid = $2", list(project_ids), uuid
    )
    return _from_row(row) if row else None


async def get_many(project_id: int, uuids: Iterable[UUID]) -> dict[UUID, Experiment]:
    """Return those of ``uuids`` that are tests of the project."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM experiment WHERE project_id = $1 AND uuid = ANY ($2::uuid[])", project_id, list(uuids)
    )
    return {row["uuid"]: _from_row(row) for row in rows}


async def list_page(
    project_id: int, statuses: Sequence[ExperimentStatus], limit: int, before: tuple[int, str] | None
) -> list[Experiment]:
    """Return up to ``limit`` tests, the newest first; ``before`` is a sort key."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM experiment WHERE project_id = $1"
        " AND (cardinality($2::text[]) = 0 OR status = ANY ($2)) AND ($3::bigint IS NULL OR"
        " ((extract(epoch FROM created_at) * 1000000)::bigint, uuid::text) < ($3, $4))"
        " ORDER BY (extract(epoch FROM created_at) * 1000000)::bigint DESC, uuid::text DESC LIMIT $5",
        project_id,
        [status.value for status in statuses],
        *(before or (None, None)),
        limit,
    )
    return [_from_row(row) for row in rows]


def sort_key(experiment: Experiment) -> tuple[int, str]:
    """Return where ``list_page`` puts the test."""
    created = experiment.created_at
    return int(created.timestamp()) * 1_000_000 + created.microsecond, str(experiment.uuid)


async def count(project_id: int, statuses: Sequence[ExperimentStatus]) -> int:
    """Return how many tests of these statuses a project has; of all, if none are named."""
    found: int = await db.fetchval(
        "SELECT count(*) FROM experiment WHERE project_id = $1 AND (cardinality($2::text[]) = 0 OR status = ANY ($2))",
        project_id,
        [status.value for status in statuses],
    )
    return found


async def add(experiment: Experiment) -> Experiment:
    """Insert a test that runs; its clock is the database's."""
    row = await db.fetchrow(
        "INSERT INTO experiment (project_id, uuid, env_a_uuid, env_b_uuid, split_pct, ab_seed, metric, created_by)"
        f" VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {_COLUMNS}",
        experiment.project_id,
        experiment.uuid,
        experiment.env_a_uuid,
        experiment.env_b_uuid,
        experiment.split_pct,
        experiment.ab_seed,
        experiment.metric,
        experiment.created_by,
    )
    assert row is not None
    return _from_row(row)


async def hold_counting(project_id: int, uuid: UUID) -> Experiment | None:
    """Return the test as it is now, and keep everybody from ending it until this transaction has ended.

    An advisory lock, for those wait in a queue: whoever ends a test gets its turn however many count for it.
    """
    await db.execute("SELECT pg_advisory_xact_lock_shared($1, hashtext($2))", _LOCK, str(uuid))
    return await get([project_id], uuid)


async def hold(project_id: int, uuid: UUID) -> Experiment | None:
    """Return the test as it is now; nobody counts for it, ends or declares it until this transaction has ended."""
    await db.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", _LOCK, str(uuid))
    return await get([project_id], uuid)


async def save(experiment: Experiment) -> Experiment:
    """Write back what may change of a test that is held; it has ended from now on if it is no longer active."""
    row = await db.fetchrow(
        "UPDATE experiment SET status = $3, winner = $4, declared = $5, promotion_uuid = $6, reason = $7,"
        " ended_at = CASE WHEN $3 <> 'active' THEN coalesce(ended_at, clock_timestamp()) END"
        f" WHERE project_id = $1 AND uuid = $2 RETURNING {_COLUMNS}",
        experiment.project_id,
        experiment.uuid,
        experiment.status.value,
        experiment.winner.value if experiment.winner else None,
        experiment.declared.value if experiment.declared else None,
        experiment.promotion_uuid,
        experiment.reason,
    )
    if row is None:
        raise LookupError(f"experiment {experiment.uuid} is gone")
    return _from_row(row)


async def declared_by(project_id: int, promotion_uuid: UUID) -> UUID | None:
    """Return the test that runs and whose winner the promotion was asked for."""
    found: UUID | None = await db.fetchval(
        "SELECT uuid FROM experiment WHERE project_id = $1 AND promotion_uuid = $2 AND status = 'active'",
        project_id,
        promotion_uuid,
    )
    return found
