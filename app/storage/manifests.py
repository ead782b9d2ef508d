"""Manifests: what forks were made of."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from app.domain.model import Generation
from app.domain.values import Value
from app.storage import db
from app.storage.codec import loads


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a fork was made of. ``forked_count`` is the number of entities that it started with.

    ``user_filter`` is None where it shows all users, else an object of ``user_uuids`` or ``rules``, of the segment's
    ``segment_id`` and ``name`` if it was one, and of the number ``matching``; older ones lack that.
    """

    project_id: int
    uuid: UUID
    env_uuid: UUID
    generation_uuid: UUID
    source_generation_uuid: UUID
    forked_count: int
    user_filter: dict[str, Value] | None
    actor: str
    created_at: datetime


_COLUMNS: Final = (
    "project_id, uuid, env_uuid, generation_uuid, source_generation_uuid, forked_count, user_filter, actor, created_at"
)


async def get(project_ids: list[int], uuid: UUID) -> Manifest | None:
    """Return a manifest of one of the projects, or None."""
    row = await db.fetchrow(
        f"SELECT {_COLUMNS} FROM manifest WHERE project_id = ANY ($1::int[]) AND uuid = $2", project_ids, uuid
    )
    return _manifest(row) if row else None


async def of_environments(project_id: int, env_uuids: list[UUID]) -> dict[UUID, Manifest]:
    """Return the manifests of environments; production has none."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM manifest WHERE project_id = $1 AND env_uuid = ANY ($2::uuid[])", project_id, env_uuids
    )
    return {row["env_uuid"]: _manifest(row) for row in rows}


def _manifest(row: db.Record) -> Manifest:
    found = loads(row["user_filter"]) if row["user_filter"] is not None else None
    return Manifest(**{**dict(row), "user_filter": found if isinstance(found, dict) else None})


async def add(
    generation: Generation,
    source: Generation,
    forked_count: int,
    user_filter: str | None,
    actor: str,
    *,
    beyond_limit: bool,
) -> UUID:
    """Record what a fork was made of, and whether beyond the plan's limit; return the manifest's UUID."""
    uuid = uuid4()
    await db.execute(
        "INSERT INTO manifest (project_id, uuid, env_uuid, generation_uuid, source_generation_uuid, forked_count,"
        " user_filter, actor, beyond_limit) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        generation.project_id,
        uuid,
        generation.env_uuid,
        generation.uuid,
        source.uuid,
        forked_count,
        user_filter,
        actor,
        beyond_limit,
    )
    return uuid
