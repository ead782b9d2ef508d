"""Releases: what went to production, with the state of each document before and after."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from app.domain.model import Entity
from app.domain.protected import protection
from app.domain.values import MISSING, State
from app.storage import db, replica
from app.storage.codec import dumps, loads
from app.storage.lookups import entity_of
from app.storage.protections import OF_ROOT
from app.storage.sealed import Sealer

CHUNK: Final = 500
_COLUMNS: Final = (
    "project_id, uuid, number, env_uuid, promotion_uuid, undoes_uuid, message, entity_count, version, actor, created_at"
)


@dataclass(frozen=True, slots=True)
class Release:
    """Something that went to production: a promotion, or the undoing of release ``undoes_uuid``.

    ``number`` counts from 1 in each project; ``version`` is the project version that it left.
    """

    project_id: int
    uuid: UUID
    number: int
    env_uuid: UUID
    promotion_uuid: UUID | None
    undoes_uuid: UUID | None
    message: str | None
    entity_count: int
    version: int
    actor: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ReleasedEntity:
    """What a release made of one document, with references in the place of protected values."""

    entity: Entity
    before: State
    after: State


def _from_row(row: db.Record) -> Release:
    return Release(**dict(row))


async def get_many(project_id: int, uuids: Iterable[UUID]) -> dict[UUID, Release]:
    """Return those of ``uuids`` that are releases of the project."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM release WHERE project_id = $1 AND uuid = ANY ($2::uuid[])", project_id, list(uuids)
    )
    return {row["uuid"]: _from_row(row) for row in rows}


async def count_all(project_id: int) -> int:
    """Return how many releases a project has."""
    found: int = await db.fetchval("SELECT count(*) FROM release WHERE project_id = $1", project_id)
    return found


async def get(project_ids: Iterable[int], uuid: UUID) -> Release | None:
    """Return the release with ``uuid`` in one of the projects."""
    row = await db.fetchrow(
        f"SELECT {_COLUMNS} FROM release WHERE project_id = ANY ($1::int[]) AND uuid = $2", list(project_ids), uuid
    )
    return _from_row(row) if row else None


async def list_page(project_id: int, limit: int, before: int | None) -> list[Release]:
    """Return up to ``limit`` releases, newest first, with numbers below ``before``."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM release WHERE project_id = $1 AND ($2::int IS NULL OR number < $2)"
        " ORDER BY number DESC LIMIT $3",
        project_id,
        before,
        limit,
    )
    return [_from_row(row) for row in rows]


@dataclass(frozen=True, slots=True)
class NewRelease:
    project_id: int
    uuid: UUID
    env_uuid: UUID
    promotion_uuid: UUID | None
    undoes_uuid: UUID | None
    message: str | None
    actor: str


async def add(new: NewRelease, touched: Sequence[ReleasedEntity]) -> Release:
    """Insert a release with what it did, and let the project point to it; production's anchor is locked.

    To be called after the changes were recorded: its version is the counter's.
    """
    row = await db.fetchrow(
        "INSERT INTO release (project_id, uuid, number, env_uuid, promotion_uuid, undoes_uuid, message, entity_count,"
        " version, actor) SELECT $1, $2, coalesce(max(number), 0) + 1, $3, $4, $5, $6, $7,"
        "  (SELECT version FROM project_counter WHERE project_id = $1), $8 FROM release WHERE project_id = $1"
        f" RETURNING {_COLUMNS}",
        new.project_id,
        new.uuid,
        new.env_uuid,
        new.promotion_uuid,
        new.undoes_uuid,
        new.message,
        len(touched),
        new.actor,
    )
    if row is None:
        raise LookupError("INSERT returned nothing")
    for start in range(0, len(touched), CHUNK):
        await _add_entities(new, touched[start : start + CHUNK])
    await db.execute("UPDATE project SET release_uuid = $2 WHERE project_id = $1", new.project_id, new.uuid)
    return _from_row(row)


async def _add_entities(new: NewRelease, touched: Sequence[ReleasedEntity]) -> None:
    await db.execute(
        "INSERT INTO release_entity (project_id, release_uuid, entity_uuid, before, after)"
        " SELECT $1, $2, entity_uuid, before, after FROM unnest($3::uuid[], $4::jsonb[], $5::jsonb[])"
        " AS touched (entity_uuid, before, after)",
        new.project_id,
        new.uuid,
        [item.entity.uuid for item in touched],
        [_stored(item.before) for item in touched],
        [_stored(item.after) for item in touched],
    )


def _stored(state: State) -> str | None:
    return None if state is MISSING else dumps(state)


@replica.may_answer
async def entities_of(
    project_id: int, release_uuid: UUID, limit: int | None = None, after: tuple[str, str] | None = None
) -> list[ReleasedEntity]:
    """Return up to ``limit`` (None: all) of the documents that a release touched, by kind and key."""
    rows = await db.fetch(
        f"SELECT entity.uuid, entity.kind, entity.key, touched.before, touched.after, {OF_ROOT} AS globs"
        " FROM release_entity touched"
        f" {entity_of('touched')} WHERE touched.project_id = $1 AND touched.release_uuid = $2"
        " AND ($3::text IS NULL OR (entity.kind, entity.key) > ($3, $4::text))"
        " ORDER BY entity.kind, entity.key LIMIT $5",
        project_id,
        release_uuid,
        *(after or (None, None)),
        limit,
    )
    return [_touched(Entity(project_id, row["uuid"], row["kind"], row["key"]), row) for row in rows]


def _touched(entity: Entity, row: db.Record) -> ReleasedEntity:
    places, sealer = protection(row["globs"]).of(entity.kind), Sealer(entity.project_id, entity.uuid)
    before, after = (sealer.state(places, _state(row[name])) for name in ("before", "after"))
    return ReleasedEntity(entity, before, after)


def _state(text: str | None) -> State:
    return MISSING if text is None else loads(text)


async def touched_between(project_id: int, root_uuid: UUID, after: int, until: int) -> list[Entity]:
    """Return, by kind and key, the documents of production that changed after one version, up to another."""
    rows = await db.fetch(
        "SELECT entity.uuid, entity.kind, entity.key FROM (SELECT DISTINCT change.entity_uuid FROM change"
        "  WHERE change.project_id = $1 AND change.generation_uuid = $2 AND change.version > $3"
        f"  AND change.version <= $4) touched {entity_of('touched')} ORDER BY entity.kind, entity.key",
        project_id,
        root_uuid,
        after,
        until,
    )
    return [Entity(project_id, row["uuid"], row["kind"], row["key"]) for row in rows]
