"""Bulk writes: staged in temporary tables by COPY, then made layers and changes by a few statements.

The project's counter is locked only by the last of them, so that other writers of the project wait for that
one alone. All of it happens in the caller's transaction; the temporary tables end with it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.domain.patch import diff, to_json
from app.domain.values import Value
from app.storage import db, shadow_promises, wakes
from app.storage.codec import dumps, loads
from app.storage.layer_writes import LayerWrite, Place, sealed_writes
from app.storage.lookups import entity_of
from app.storage.stored_patch import stored_form

ATTEMPTS: Final = 5
_DOCUMENT_COLUMNS: Final = ("line", "kind", "key", "data", "fresh")
_WRITE_COLUMNS: Final = (
    "entity_uuid",
    "layer_uuid",
    "parent_uuid",
    "form",
    "data",
    "forward",
    "reverse",
    "layer_reverse",
    "base",
    "shown_delta",
)


@dataclass(frozen=True, slots=True)
class StagedDocument:
    """One line of an import: where it stood, and what it wants a document to be.

    ``fresh`` is the sealed list of the protected values that were taken out of it; None if it has nothing protected.
    """

    line: int
    kind: str
    key: str
    data: str
    fresh: bytes | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A staged line that names a document known before."""

    line: int
    entity_uuid: UUID
    data: Value
    fresh: bytes | None


@dataclass(frozen=True, slots=True)
class RepeatedName:
    kind: str
    key: str
    lines: Sequence[int]


async def prepare() -> None:
    """Make the temporary tables of this transaction."""
    await db.execute(
        'CREATE TEMPORARY TABLE staged_document (line integer, kind text COLLATE "C", key text COLLATE "C",'
        " data jsonb, fresh bytea, entity_uuid uuid) ON COMMIT DROP"
    )
    await db.execute(
        "CREATE TEMPORARY TABLE staged_write (position bigint GENERATED ALWAYS AS IDENTITY, entity_uuid uuid,"
        " layer_uuid uuid, parent_uuid uuid, form text, data jsonb, forward jsonb, reverse jsonb,"
        " layer_reverse jsonb, base jsonb, shown_delta integer, entity_version bigint) ON COMMIT DROP"
    )


async def stage_documents(documents: Iterable[StagedDocument]) -> None:
    """Add lines of an import."""
    rows = [(item.line, item.kind, item.key, item.data, item.fresh) for item in documents]
    await db.copy("staged_document", _DOCUMENT_COLUMNS, rows)


async def repeated_name() -> RepeatedName | None:
    """Return a document that two staged lines name, if there is one."""
    # Not of the documents: samples of them would stay in the catalogue for a while.
    await db.execute("ANALYZE staged_document (line, kind, key, entity_uuid)")
    row = await db.fetchrow(
        "SELECT kind, key, array_agg(line ORDER BY line) AS lines FROM staged_document GROUP BY kind, key"
        " HAVING count(*) > 1 ORDER BY min(line) LIMIT 1"
    )
    return RepeatedName(row["kind"], row["key"], row["lines"][:10]) if row else None


async def name_entities(place: Place) -> int:
    """Lock the entities that staged lines name, making those that are new; return how many are new.

    New ones get their layers staged at once: a document that nobody ever named has nothing to be merged with. Those
    with something protected in them only get a name, and then are known ones.
    """
    await db.execute(
        "INSERT INTO entity (project_id, uuid, kind, key) SELECT $1, gen_random_uuid(), kind, key FROM staged_document"
        " WHERE fresh IS NOT NULL ORDER BY kind, key ON CONFLICT (project_id, kind, key) DO NOTHING",
        place.project_id,
    )
    total = await db.fetchval("SELECT count(*) FROM staged_document")
    created = 0
    for _ in range(ATTEMPTS):
        locked = await _lock_known(place)
        added = await _add_entities(place)
        created += added
        if locked + created == total:
            return created
    raise db.Retry


async def _lock_known(place: Place) -> int:
    # By subquery and not by join: see app/storage/lookups.py.
    await db.execute(
        "UPDATE staged_document SET entity_uuid = (SELECT uuid FROM entity WHERE project_id = $1"
        " AND kind = staged_document.kind AND key = staged_document.key) WHERE entity_uuid IS NULL",
        place.project_id,
    )
    locked: int = await db.fetchval(
        "SELECT count(*) FROM (SELECT FROM entity WHERE project_id = $1 AND uuid = ANY ("
        " ARRAY(SELECT entity_uuid FROM staged_document WHERE entity_uuid IS NOT NULL))"
        " ORDER BY uuid FOR NO KEY UPDATE) known",
        place.project_id,
    )
    return locked


async def _add_entities(place: Place) -> int:
    # By name, so that two imports that make the same documents wait for one another in one direction.
    return await db.execute(
        "WITH added AS (INSERT INTO entity (project_id, uuid, kind, key, version)"
        "  SELECT $1, gen_random_uuid(), kind, key, 1 FROM staged_document WHERE entity_uuid IS NULL ORDER BY kind, key"
        "  ON CONFLICT (project_id, kind, key) DO NOTHING RETURNING uuid, kind, key),"
        " taken AS (DELETE FROM staged_document staged USING added"
        "  WHERE staged.kind = added.kind AND staged.key = added.key RETURNING staged.line, staged.data, added.uuid)"
        " INSERT INTO staged_write (entity_uuid, layer_uuid, form, data, forward, reverse, layer_reverse, base,"
        "  shown_delta, entity_version)"
        " SELECT uuid, CASE WHEN $2 THEN uuid ELSE gen_random_uuid() END, 'whole', data,"
        "  jsonb_build_object('set', jsonb_build_object('', data), 'unset', '[]'::jsonb),"
        '  \'{"set": {}, "unset": [""]}\', CASE WHEN $2 THEN NULL ELSE \'{"set": {}, "unset": [""]}\'::jsonb END,'
        ' CASE WHEN $2 THEN NULL ELSE \'{"set": {}, "unset": [""]}\'::jsonb END,'
        "  1, 1 FROM taken ORDER BY line",
        place.project_id,
        place.is_root,
    )


async def staged_known(after: int, limit: int) -> list[Wanted]:
    """Return the lines after a line that name documents known before."""
    rows = await db.fetch(
        "SELECT line, entity_uuid, data, fresh FROM staged_document WHERE entity_uuid IS NOT NULL AND line > $1"
        " ORDER BY line LIMIT $2",
        after,
        limit,
    )
    return [Wanted(row["line"], row["entity_uuid"], loads(row["data"]), row["fresh"]) for row in rows]


async def stage_writes(place: Place, writes: Sequence[LayerWrite]) -> None:
    """Add layers to be written; their entities are locked."""
    rows = []
    for write in await sealed_writes(place, writes):
        above = write.stack.above
        rows.append(
            (
                write.stack.entity.uuid,
                write.layer_uuid_in(place),
                above[-1].uuid if above else None,
                *stored_form(write.patch),
                dumps(to_json(diff(write.before, write.after))),
                dumps(to_json(diff(write.after, write.before))),
                write.layer_reverse(place),
                write.stored_base,
                write.shown_delta,
            )
        )
    await db.copy("staged_write", _WRITE_COLUMNS, rows)


async def record_staged(place: Place, list_version: int) -> int | None:
    """Write what is staged, in the order it was staged; return the first version, None if nothing is.

    Raises Retry if lists of protected fields have changed more than ``list_version`` times.
    """
    await db.execute("ANALYZE staged_write (position, entity_uuid, form, shown_delta, entity_version)")
    await db.execute(
        "UPDATE entity SET version = version + 1 WHERE project_id = $1 AND uuid = ANY (ARRAY("
        "SELECT entity_uuid FROM staged_write WHERE entity_version IS NULL))",
        place.project_id,
    )
    await db.execute(
        "UPDATE staged_write SET entity_version = (SELECT version FROM entity WHERE project_id = $1"
        " AND uuid = staged_write.entity_uuid) WHERE entity_version IS NULL",
        place.project_id,
    )
    await db.execute(
        "INSERT INTO layer (project_id, entity_uuid, generation_uuid, uuid, parent_uuid, form, data, version, base)"
        " SELECT $1, entity_uuid, $2, coalesce(layer_uuid, gen_random_uuid()), parent_uuid, form, data,"
        "  entity_version, base FROM staged_write ORDER BY position"
        " ON CONFLICT (project_id, entity_uuid, generation_uuid)"
        " DO UPDATE SET form = EXCLUDED.form, data = EXCLUDED.data, version = EXCLUDED.version, base = EXCLUDED.base",
        place.project_id,
        place.generation_uuid,
    )
    row = await db.fetchrow(
        "WITH counted AS (UPDATE project_counter SET version = version + (SELECT count(*) FROM staged_write),"
        f"  {shadow_promises.noting('$8')} WHERE project_id = $1 AND protection = $7 RETURNING version, shadow_from),"
        f" promised AS ({shadow_promises.promising('$8', '(SELECT count(*) FROM staged_write)')}),"
        " shown AS (UPDATE generation SET entity_count = entity_count + delta.entities,"
        "  user_count = user_count + delta.users"
        "  FROM counted CROSS JOIN (SELECT coalesce(sum(shown_delta), 0) AS entities,"
        "   coalesce(sum(shown_delta) FILTER (WHERE entity.kind = 'user'), 0) AS users"
        f"  FROM staged_write {entity_of('staged_write')}) delta"
        "  WHERE $6 AND generation.project_id = $1 AND generation.uuid = $2),"
        " written AS (INSERT INTO change (project_id, version, env_uuid, generation_uuid, entity_uuid, entity_version,"
        "  forward, reverse, layer_reverse, origin, actor, created_at)"
        "  SELECT $1, counted.version - (SELECT count(*) FROM staged_write) + row_number() OVER (ORDER BY position),"
        "   $3, $2, entity_uuid, entity_version, forward, reverse, layer_reverse, $4, $5, clock_timestamp()"
        "  FROM counted CROSS JOIN staged_write ORDER BY position RETURNING version)"
        " SELECT min(version) AS first, (SELECT count(*) FROM promised) AS promised FROM written",
        place.project_id,
        place.generation_uuid,
        place.env_uuid,
        place.origin.value,
        place.actor,
        place.is_root,
        list_version,
        shadow_promises.payload(place.project_id, is_production=place.is_root),
    )
    first: int | None = row["first"] if row else None
    if first is None and await db.fetchval("SELECT EXISTS (SELECT FROM staged_write)"):
        raise db.Retry
    wakes.changed(place.project_id)
    if row and row["promised"]:
        wakes.promised()
    return first
