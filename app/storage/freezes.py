"""Freezes: added, lifted, read; and the lock between whoever freezes and whoever promotes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from app.domain.freezes import Freeze
from app.storage import db

# Of pg_advisory locks the first number says what is locked; those of plans are 1 to 3.
_LOCK: Final = 4
_COLUMNS: Final = "project_id, uuid, reason, owner, starts_at, ends_at, created_by, created_at, lifted_by, lifted_at"


def _from_row(row: db.Record) -> Freeze:
    return Freeze(**dict(row))


async def lock_exclusively(project_id: int) -> None:
    """Wait until nobody promotes, and keep everybody from promoting until this transaction has ended."""
    await db.execute("SELECT pg_advisory_xact_lock($1, $2)", _LOCK, project_id)


async def lock_shared(project_id: int) -> None:
    """Keep everybody from freezing until this transaction has ended."""
    await db.execute("SELECT pg_advisory_xact_lock_shared($1, $2)", _LOCK, project_id)


async def add(
    project_id: int, reason: str, owner: str, starts_at: datetime, ends_at: datetime | None, created_by: str
) -> Freeze:
    """Insert a freeze."""
    row = await db.fetchrow(
        "INSERT INTO production_freeze (project_id, reason, owner, starts_at, ends_at, created_by)"
        f" VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_COLUMNS}",
        project_id,
        reason,
        owner,
        starts_at,
        ends_at,
        created_by,
    )
    assert row is not None
    return _from_row(row)


async def project_of(project_ids: Sequence[int], uuid: UUID) -> int | None:
    """Return which of the projects has this freeze."""
    found: int | None = await db.fetchval(
        "SELECT project_id FROM production_freeze WHERE project_id = ANY($1::int[]) AND uuid = $2",
        list(project_ids),
        uuid,
    )
    return found


async def get(project_id: int, uuid: UUID) -> Freeze | None:
    """Return a freeze."""
    row = await db.fetchrow(
        f"SELECT {_COLUMNS} FROM production_freeze WHERE project_id = $1 AND uuid = $2", project_id, uuid
    )
    return _from_row(row) if row else None


async def lock(project_id: int, uuid: UUID) -> Freeze | None:
    """Return a freeze, which nobody else lifts until this transaction has ended."""
    row = await db.fetchrow(
        f"SELECT {_COLUMNS} FROM production_freeze WHERE project_id = $1 AND uuid = $2 FOR NO KEY UPDATE",
        project_id,
        uuid,
    )
    return _from_row(row) if row else None


async def lift(project_id: int, uuid: UUID, lifted_by: str) -> Freeze:
    """Mark a freeze that was locked as lifted."""
    row = await db.fetchrow(
        "UPDATE production_freeze SET lifted_by = $3, lifted_at = clock_timestamp() WHERE project_id = $1 AND uuid = $2"
        f" RETURNING {_COLUMNS}",
        project_id,
        uuid,
        lifted_by,
    )
    assert row is not None
    return _from_row(row)


async def living(project_ids: Sequence[int], now: datetime) -> dict[int, list[Freeze]]:
    """Return the freezes of each project that are in force or still to come, the first to start first."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM production_freeze WHERE project_id = ANY($1::int[]) AND lifted_at IS NULL"
        " AND (ends_at IS NULL OR ends_at > $2) ORDER BY project_id, starts_at, uuid",
        list(project_ids),
        now,
    )
    found: dict[int, list[Freeze]] = {project_id: [] for project_id in project_ids}
    for row in rows:
        found[row["project_id"]].append(_from_row(row))
    return found


async def list_page(project_id: int, limit: int, before: tuple[int, str] | None) -> list[Freeze]:
    """Return up to ``limit`` freezes, those that are over included, the newest first; ``before`` is a sort key."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM production_freeze WHERE project_id = $1 AND ($2::bigint IS NULL OR"
        " ((extract(epoch FROM created_at) * 1000000)::bigint, uuid::text) < ($2, $3))"
        " ORDER BY (extract(epoch FROM created_at) * 1000000)::bigint DESC, uuid::text DESC LIMIT $4",
        project_id,
        *(before or (None, None)),
        limit,
    )
    return [_from_row(row) for row in rows]


def sort_key(freeze: Freeze) -> tuple[int, str]:
    """Return where ``list_page`` puts the freeze."""
    return int(freeze.created_at.timestamp()) * 1_000_000 + freeze.created_at.microsecond, str(freeze.uuid)


async def since(project_id: int, moment: datetime) -> list[Freeze]:
    """Return the freezes, lifted ones included, that held at ``moment`` or later, or will."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM production_freeze WHERE project_id = $1"
        " AND coalesce(least(lifted_at, ends_at), 'infinity') > $2",
        project_id,
        moment,
    )
    return [_from_row(row) for row in rows]
