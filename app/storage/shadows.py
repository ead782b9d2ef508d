"""How far production is mirrored into environments, and what is left to be mirrored (semantics §9)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.domain.mirroring import Lag
from app.domain.patch import Patch, from_json
from app.storage import changes, db

BYTES_AT_ONCE: Final = 8 * 1024 * 1024
_FOUND_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Writes to production after a cursor, by entity and in order; all of them up to the version ``until``."""

    writes: Mapping[UUID, Sequence[Patch]]
    until: int
    is_last: bool


async def begin(project_id: int, env_uuid: UUID) -> None:
    """Have production mirrored into an environment from now on; the project's counter is locked until COMMIT.

    Every write to production has either committed by then and lies before the cursor, or sees that it is shadowed.
    """
    await db.execute(
        "WITH counted AS (UPDATE project_counter SET shadowed = true WHERE project_id = $1 RETURNING version)"
        " INSERT INTO shadow_cursor (project_id, env_uuid, version) SELECT $1, $2, version FROM counted"
        " ON CONFLICT (project_id, env_uuid) DO UPDATE SET version = EXCLUDED.version",
        project_id,
        env_uuid,
    )


async def lock_cursor(project_id: int, env_uuid: UUID) -> int | None:
    """Return up to which version an environment is mirrored, locked, so that mirrors of it follow one another."""
    version: int | None = await db.fetchval(
        "SELECT version FROM shadow_cursor WHERE project_id = $1 AND env_uuid = $2 FOR UPDATE", project_id, env_uuid
    )
    return version


async def move_cursor(project_id: int, env_uuid: UUID, version: int) -> None:
    """Say that a locked environment is mirrored up to ``version``."""
    await db.execute(
        "UPDATE shadow_cursor SET version = $3 WHERE project_id = $1 AND env_uuid = $2", project_id, env_uuid, version
    )


async def batch_after(project_id: int, production_uuid: UUID, version: int, at_once: int) -> Batch:
    """Return the first writes to production after ``version``, at most ``at_once``."""
    current = await changes.current_version(project_id)
    rows = await db.fetch(
        "SELECT version, entity_uuid, forward FROM (SELECT version, entity_uuid, forward, row_number() OVER list AS"
        "  place, sum(octet_length(forward::text)) OVER list AS bytes FROM (SELECT * FROM change WHERE project_id = $1"
        "  AND env_uuid = $2 AND version > $3 AND version <= $4 ORDER BY version LIMIT $5) next"
        "  WINDOW list AS (ORDER BY version)) sized WHERE place = 1 OR bytes <= $6 ORDER BY version",
        project_id,
        production_uuid,
        version,
        current,
        at_once,
        BYTES_AT_ONCE,
    )
    writes: dict[UUID, list[Patch]] = {}
    for row in rows:
        writes.setdefault(row["entity_uuid"], []).append(from_json(changes.flat(row["forward"])))
    left: bool = bool(rows) and await _has_written(project_id, production_uuid, rows[-1]["version"], current)
    return Batch(writes, rows[-1]["version"] if left else current, not left)


async def _has_written(project_id: int, production_uuid: UUID, after: int, until: int) -> bool:
    found: bool = await db.fetchval(
        "SELECT EXISTS (SELECT FROM change WHERE project_id = $1 AND env_uuid = $2 AND version > $3 AND version <= $4)",
        project_id,
        production_uuid,
        after,
        until,
    )
    return found


async def lags(project_id: int, env_uuids: Sequence[UUID]) -> dict[UUID, Lag]:
    """Return how far the environments among ``env_uuids`` that mirror production are behind it, in one statement."""
    rows = await db.fetch(
        "SELECT env_uuid, left_over.versions, left_over.seconds FROM shadow_cursor JOIN project USING (project_id)"
        " CROSS JOIN LATERAL (SELECT count(*) AS versions,"
        "  coalesce(greatest(extract(epoch FROM clock_timestamp() - min(created_at)), 0), 0)::float8 AS seconds"
        "  FROM change WHERE change.project_id = $1 AND change.env_uuid = project.production_uuid"
        "  AND change.version > shadow_cursor.version) left_over"
        " WHERE project_id = $1 AND env_uuid = ANY ($2::uuid[])",
        project_id,
        env_uuids,
    )
    return {row["env_uuid"]: Lag(row["versions"], round(row["seconds"], 3)) for row in rows}


async def take_promise(project_id: int) -> None:
    """Let the next write to production promise its mirroring anew; what committed before is mirrored after this."""
    await db.execute("UPDATE project_counter SET shadow_from = NULL WHERE project_id = $1", project_id)


async def mirroring(project_id: int) -> list[UUID]:
    """Return the project's environments into which production is mirrored now, by UUID."""
    rows = await db.fetch(
        "SELECT uuid FROM environment WHERE project_id = $1 AND shadow_writes AND status <> 'archived'"
        " AND status <> 'rolling_out' AND env_type <> 'production' ORDER BY uuid",
        project_id,
    )
    return [row["uuid"] for row in rows]


async def end_unused(project_id: int) -> None:
    """Let production's writes promise nothing any longer, if no environment wants them."""
    # Two statements: the second one sees what committed before the lock was had.
    await db.execute("SELECT FROM project_counter WHERE project_id = $1 FOR NO KEY UPDATE", project_id)
    await db.execute(
        "UPDATE project_counter SET shadowed = false WHERE project_id = $1 AND NOT EXISTS (SELECT FROM environment"
        " WHERE environment.project_id = $1 AND shadow_writes AND status <> 'archived')",
        project_id,
    )


async def behind() -> list[tuple[int, UUID]]:
    """Return project and UUID of the environments of all projects that could be mirrored further."""
    rows = await db.fetch(
        "SELECT env.project_id, env.uuid FROM environment env JOIN project ON project.project_id = env.project_id"
        " JOIN shadow_cursor ON shadow_cursor.project_id = env.project_id AND shadow_cursor.env_uuid = env.uuid"
        " WHERE env.shadow_writes AND env.status <> 'archived' AND env.status <> 'rolling_out'"
        " AND EXISTS (SELECT FROM change WHERE change.project_id = env.project_id"
        "  AND change.env_uuid = project.production_uuid AND change.version > shadow_cursor.version)"
        " ORDER BY env.project_id, env.uuid LIMIT $1",
        _FOUND_AT_ONCE,
    )
    return [(row["project_id"], row["uuid"]) for row in rows]
