"""Events: added in the transaction of what happened, read in the order of commits together with changes."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from app.domain.events import Event, EventType, document_data
from app.domain.model import Origin
from app.domain.values import Value
from app.storage import db, wakes
from app.storage.changes import flat
from app.storage.codec import dumps
from app.storage.lookups import entity_of

MAX_VERSION: Final = 2**63 - 1


async def add(
    project_id: int,
    type_: EventType,
    *,
    env_uuid: UUID | None,
    subject: UUID | None,
    data: Mapping[str, Value],
    actor: str | None,
    covers: int | None,
) -> int:
    """Add an event to the current transaction and return its version; the project's counter is locked until COMMIT."""
    version: int = await db.fetchval(
        "WITH counted AS (UPDATE project_counter SET version = version + 1 WHERE project_id = $1 RETURNING version)"
        " INSERT INTO event (project_id, version, type, env_uuid, subject, data, actor, first_version, created_at)"
        " SELECT $1, counted.version, $2, $3, $4, $5, $6, $7, clock_timestamp() FROM counted RETURNING version",
        project_id,
        type_.value,
        env_uuid,
        subject,
        dumps(data),
        actor,
        covers,
    )
    wakes.changed(project_id)
    return version


# What events cover is left out by ranges and not change by change, so that an import of 100,000 documents is stepped
# over. One statement, so that what is read of both tables is of one moment.
_PAGE: Final = f"""
WITH published AS (
    SELECT * FROM event WHERE project_id = $1 AND version > $2 ORDER BY version LIMIT $3
), covering AS (
    SELECT version, first_version FROM event WHERE project_id = $1 AND version > $2 AND first_version IS NOT NULL
    ORDER BY version LIMIT $3
), open_range AS (
    SELECT low, least(lead(first_version) OVER (ORDER BY low), (
               SELECT CASE WHEN count(*) = $3 THEN max(version) END FROM published)) AS high
    FROM (SELECT $2::bigint AS low, NULL::bigint AS first_version UNION ALL
          SELECT version, first_version FROM covering) bound
), changed AS (
    SELECT found.* FROM open_range CROSS JOIN LATERAL (
        SELECT * FROM change WHERE project_id = $1 AND version > open_range.low
            AND version < coalesce(open_range.high, {MAX_VERSION}) AND origin <> 'fork'
        ORDER BY version LIMIT $3) found
    ORDER BY version LIMIT $3
)
SELECT version, type, env_uuid, subject, data, actor, created_at, NULL::uuid AS generation_uuid,
    NULL::bigint AS entity_version, NULL AS origin, NULL AS kind, NULL AS key
FROM published
UNION ALL
SELECT changed.version, '{EventType.DOCUMENT_CHANGED}', changed.env_uuid, changed.entity_uuid, NULL, changed.actor,
    changed.created_at, changed.generation_uuid, changed.entity_version, changed.origin, entity.kind, entity.key
FROM changed {entity_of("changed")}
ORDER BY version LIMIT $3
"""


async def published(project_id: int, after: int, limit: int) -> list[Event]:
    """Return up to ``limit`` events as ``page`` does, but no changes of documents."""
    rows = await db.fetch(
        "SELECT * FROM event WHERE project_id = $1 AND version > $2 ORDER BY version LIMIT $3", project_id, after, limit
    )
    return [_from_row(project_id, row) for row in rows]


async def page(project_id: int, after: int, limit: int) -> list[Event]:
    """Return up to ``limit`` events of versions above ``after``, in order: those published, and changes of documents.

    Whoever goes on after the last of them misses nothing and gets nothing twice.
    """
    return [_from_row(project_id, row) for row in await db.fetch(_PAGE, project_id, after, limit)]


def _from_row(project_id: int, row: db.Record) -> Event:
    data: Mapping[str, Value]
    if row["data"] is None:
        data = document_data(
            kind=row["kind"],
            key=row["key"],
            entity_version=row["entity_version"],
            generation_uuid=row["generation_uuid"],
            origin=Origin(row["origin"]),
        )
    else:
        data = flat(row["data"])
    return Event(
        project_id=project_id,
        version=row["version"],
        type=EventType(row["type"]),
        env_uuid=row["env_uuid"],
        subject=row["subject"],
        data=data,
        actor=row["actor"],
        created_at=row["created_at"],
    )
