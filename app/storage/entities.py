"""Entities: the names of documents, ``(kind, key)``, and the rows that writers of one document queue at."""

from collections.abc import Sequence
from uuid import UUID

from app.domain.model import Entity
from app.storage import db


async def lock(project_id: int, kind: str, key: str) -> Entity:
    """Return the entity, locked against other writers of its document; made if it is named the first time."""
    entity = await _lock_existing(project_id, kind, key)
    if entity is None:
        await db.execute(
            "INSERT INTO entity (project_id, uuid, kind, key) VALUES ($1, gen_random_uuid(), $2, $3)"
            " ON CONFLICT (project_id, kind, key) DO NOTHING",
            project_id,
            kind,
            key,
        )
        entity = await _lock_existing(project_id, kind, key)
    if entity is None:
        raise db.Retry
    return entity


async def _lock_existing(project_id: int, kind: str, key: str) -> Entity | None:
    uuid = await db.fetchval(
        "SELECT uuid FROM entity WHERE project_id = $1 AND kind = $2 AND key = $3 FOR NO KEY UPDATE",
        project_id,
        kind,
        key,
    )
    return Entity(project_id, uuid, kind, key) if uuid else None


async def lock_many(project_id: int, uuids: Sequence[UUID]) -> dict[UUID, Entity]:
    """Return the entities, locked in the order of their UUIDs."""
    rows = await db.fetch(
        "SELECT uuid, kind, key FROM entity WHERE project_id = $1 AND uuid = ANY($2::uuid[])"
        " ORDER BY uuid FOR NO KEY UPDATE",
        project_id,
        uuids,
    )
    return {row["uuid"]: Entity(project_id, row["uuid"], row["kind"], row["key"]) for row in rows}


async def find(project_id: int, kind: str, key: str) -> Entity | None:
    """Return the entity of that name, whether or not anything shows it."""
    uuid = await db.fetchval(
        "SELECT uuid FROM entity WHERE project_id = $1 AND kind = $2 AND key = $3", project_id, kind, key
    )
    return Entity(project_id, uuid, kind, key) if uuid else None


async def kind_exists(project_id: int, kind: str) -> bool:
    """Return whether any entity of the project is or was of that kind."""
    found: bool = await db.fetchval(
        "SELECT EXISTS (SELECT FROM entity WHERE project_id = $1 AND kind = $2)", project_id, kind
    )
    return found


async def kinds(project_id: int, limit: int) -> list[str]:
    """Return up to ``limit`` kinds that entities of the project have or had, in order: one step of the index each."""
    rows = await db.fetch(
        "WITH RECURSIVE found(kind) AS ("
        "  (SELECT kind FROM entity WHERE project_id = $1 ORDER BY kind LIMIT 1)"
        "  UNION ALL"
        "  SELECT (SELECT kind FROM entity WHERE project_id = $1 AND kind > found.kind ORDER BY kind LIMIT 1)"
        "  FROM found WHERE found.kind IS NOT NULL"
        ") SELECT kind FROM found WHERE kind IS NOT NULL LIMIT $2",
        project_id,
        limit,
    )
    return [row["kind"] for row in rows]
