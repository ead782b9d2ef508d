"""Changes: the append-only record of writes, made in the statement that writes the layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from app.domain.audit import Entry
from app.domain.model import USER_KIND, Change, Entity, Origin
from app.domain.patch import apply, diff, from_json, to_json
from app.domain.protected import protection
from app.domain.values import MISSING, State, Value
from app.storage import audit, db, replica, shadow_promises, wakes
from app.storage.codec import dumps, loads
from app.storage.layer_writes import LayerWrite as LayerWrite
from app.storage.layer_writes import Place as Place
from app.storage.layer_writes import layer_value as layer_value
from app.storage.layer_writes import sealed_writes
from app.storage.layers import Stack
from app.storage.lookups import entity_of
from app.storage.protections import of_generation
from app.storage.stored_patch import stored_form

COLUMNS: Final = (
    "change.version, change.entity_version, change.generation_uuid, change.env_uuid, change.forward,"
    " change.reverse, change.origin, change.actor, change.created_at, entity.uuid AS entity_uuid, entity.kind,"
    f" entity.key, {of_generation('change.generation_uuid')} AS globs"
)
FROM: Final = f"FROM change {entity_of('change')}"


_WRITTEN: Final = f"""
WITH input AS (
    SELECT * FROM unnest($7::uuid[], $8::uuid[], $9::uuid[], $10::text[], $11::jsonb[], $12::jsonb[], $13::jsonb[],
                         $14::jsonb[], $16::jsonb[])
    WITH ORDINALITY AS input (entity_uuid, layer_uuid, parent_uuid, form, data, forward, reverse, layer_reverse,
                              base, position)
), versioned AS (
    UPDATE entity SET version = entity.version + 1 FROM input
    WHERE entity.project_id = $1 AND entity.uuid = ANY ($7::uuid[]) AND entity.uuid = input.entity_uuid
    RETURNING entity.uuid, entity.version
), written AS (
    INSERT INTO layer (project_id, entity_uuid, generation_uuid, uuid, parent_uuid, form, data, version, base)
    SELECT $1, input.entity_uuid, $2, coalesce(input.layer_uuid, gen_random_uuid()), input.parent_uuid, input.form,
           input.data, versioned.version, input.base
    FROM input JOIN versioned ON versioned.uuid = input.entity_uuid
    ON CONFLICT (project_id, entity_uuid, generation_uuid)
    DO UPDATE SET form = EXCLUDED.form, data = EXCLUDED.data, version = EXCLUDED.version, base = EXCLUDED.base
    RETURNING layer.entity_uuid, layer.uuid
), counted AS (
    UPDATE project_counter SET version = version + (SELECT count(*) FROM written),
        {shadow_promises.noting("$18")}
    WHERE project_id = $1 AND protection = $17 RETURNING version, shadow_from, clock_timestamp() AS time
), promised AS (
    {shadow_promises.promising("$18", "(SELECT count(*) FROM input)")}
), shown AS (
    UPDATE generation SET entity_count = entity_count + $6::bigint, user_count = user_count + $15::bigint
    FROM counted WHERE ($6::bigint <> 0 OR $15::bigint <> 0) AND generation.project_id = $1 AND generation.uuid = $2
)"""
_CHANGED: Final = """
INSERT INTO change (project_id, version, env_uuid, generation_uuid, entity_uuid, entity_version, forward, reverse,
                    layer_reverse, origin, actor, created_at)
SELECT $1, counted.version - (SELECT count(*) FROM input) + input.position, $3, $2, input.entity_uuid,
       versioned.version, input.forward, input.reverse, input.layer_reverse, $4, $5, counted.time
FROM counted CROSS JOIN input JOIN versioned ON versioned.uuid = input.entity_uuid
    JOIN written ON written.entity_uuid = input.entity_uuid
RETURNING version, entity_version, entity_uuid, created_at,
    (SELECT written.uuid FROM written WHERE written.entity_uuid = change.entity_uuid) AS layer_uuid,
    (SELECT count(*) FROM promised) AS promised
"""
_RECORD: Final = _WRITTEN + _CHANGED
# The trail's row comes after the counter was locked, as all that writes both does.
_FIRST: Final = "coalesce($19::bigint, version - (SELECT count(*) FROM input) + 1)"
_RECORD_AND_AUDIT: Final = f"{_WRITTEN}, audited AS ({audit.insertion(20, _FIRST, 'version')} FROM counted){_CHANGED}"


@dataclass(frozen=True, slots=True)
class Recorded:
    change: Change
    layer_uuid: UUID


async def record(
    place: Place, writes: Sequence[LayerWrite], entry: Entry | None = None, first: int | None = None
) -> list[Recorded]:
    """Write layers, bump versions and append the changes, in one statement; the entities are locked already.

    The project's counter is locked here, last before COMMIT, so that versions are in commit order (§11.31). The same
    statement promises that what is written to production is mirrored. With ``entry`` it adds the trail's row, for the
    changes from version ``first`` or the first of these. Raises Retry if a list of protected fields has changed since
    the stacks were read.
    """
    if not writes:
        return []
    writes = await sealed_writes(place, writes)
    forward = [to_json(diff(write.before, write.after)) for write in writes]
    reverse = [to_json(diff(write.after, write.before)) for write in writes]
    forms = [stored_form(write.patch) for write in writes]
    counted = writes if place.is_root else ()
    rows = await db.fetch(
        _RECORD_AND_AUDIT if entry else _RECORD,
        place.project_id,
        place.generation_uuid,
        place.env_uuid,
        place.origin.value,
        place.actor,
        sum(write.shown_delta for write in counted),
        [write.stack.entity.uuid for write in writes],
        [write.layer_uuid_in(place) for write in writes],
        [write.stack.above[-1].uuid if write.stack.above else None for write in writes],
        [form for form, _ in forms],
        [data for _, data in forms],
        [dumps(patch) for patch in forward],
        [dumps(patch) for patch in reverse],
        [write.layer_reverse(place) for write in writes],
        sum(write.shown_delta for write in counted if write.stack.entity.kind == USER_KIND),
        [write.stored_base for write in writes],
        _list_version(writes),
        shadow_promises.payload(place.project_id, is_production=place.is_root),
        *((first, *audit.arguments(entry)) if entry else ()),
    )
    wakes.changed(place.project_id)
    if rows and rows[0]["promised"]:
        wakes.promised()
    by_entity = {row["entity_uuid"]: row for row in rows}
    if len(by_entity) != len(writes):
        raise db.Retry
    return [
        _recorded(place, write.stack, by_entity[write.stack.entity.uuid], forward[index], reverse[index])
        for index, write in enumerate(writes)
    ]


def _list_version(writes: Sequence[LayerWrite]) -> int:
    versions = {write.stack.list_version for write in writes}
    if len(versions) != 1:
        raise db.Retry
    return versions.pop()


def _recorded(
    place: Place, stack: Stack, row: db.Record, forward: dict[str, Value], reverse: dict[str, Value]
) -> Recorded:
    entity, places = stack.entity, stack.places
    change = Change(
        version=row["version"],
        entity=entity,
        entity_version=row["entity_version"],
        generation_uuid=place.generation_uuid,
        env_uuid=place.env_uuid,
        forward=places.mask_flat(forward),
        reverse=places.mask_flat(reverse),
        origin=place.origin,
        actor=place.actor,
        created_at=row["created_at"],
    )
    return Recorded(change, row["layer_uuid"])


async def next_version(project_id: int) -> int:
    """Take the next project version; to be called last before COMMIT."""
    version: int = await db.fetchval(
        "UPDATE project_counter SET version = version + 1 WHERE project_id = $1 RETURNING version", project_id
    )
    wakes.changed(project_id)
    return version


async def current_version(project_id: int) -> int:
    """Return the version of the last change that was committed."""
    version: int = await db.fetchval("SELECT version FROM project_counter WHERE project_id = $1", project_id)
    return version


async def current_versions(project_ids: Sequence[int]) -> dict[int, int]:
    """Return the version of each project."""
    rows = await db.fetch(
        "SELECT project_id, version FROM project_counter WHERE project_id = ANY ($1::int[])", project_ids
    )
    return {row["project_id"]: row["version"] for row in rows}


async def last_shown(project_id: int, entity_uuids: Sequence[UUID], generation_uuid: UUID) -> dict[UUID, State]:
    """Return, by entity, what a generation showed last of entities that it no longer shows."""
    rows = await db.fetch(
        "SELECT DISTINCT ON (entity_uuid) entity_uuid, reverse FROM change"
        " WHERE project_id = $1 AND entity_uuid = ANY ($2::uuid[]) AND generation_uuid = $3"
        " AND forward -> 'unset' ? '' ORDER BY entity_uuid, version DESC",
        project_id,
        entity_uuids,
        generation_uuid,
    )
    return {row["entity_uuid"]: apply(MISSING, from_json(flat(row["reverse"]))) for row in rows}


async def version_of(entity: Entity, entity_version: int) -> int:
    """Return the project version of the change that gave ``entity`` that version of its own."""
    version: int = await db.fetchval(
        "SELECT version FROM change WHERE project_id = $1 AND entity_uuid = $2 AND entity_version = $3",
        entity.project_id,
        entity.uuid,
        entity_version,
    )
    return version


async def version_at(project_id: int, time: datetime) -> int | None:
    """Return the version of the last change at or before ``time``, or None if the project has none so old."""
    version: int | None = await db.fetchval(
        "SELECT max(version) FROM change WHERE project_id = $1 AND created_at <= $2", project_id, time
    )
    return version


def from_row(project_id: int, row: db.Record) -> Change:
    """Return a change as readers see it."""
    places = protection(row["globs"]).of(row["kind"])
    return Change(
        version=row["version"],
        entity=Entity(project_id, row["entity_uuid"], row["kind"], row["key"]),
        entity_version=row["entity_version"],
        generation_uuid=row["generation_uuid"],
        env_uuid=row["env_uuid"],
        forward=places.mask_flat(flat(row["forward"])),
        reverse=places.mask_flat(flat(row["reverse"])),
        origin=Origin(row["origin"]),
        actor=row["actor"],
        created_at=row["created_at"],
    )


def flat(text: str) -> dict[str, Value]:
    """Return a stored JSON object."""
    value = loads(text)
    if not isinstance(value, dict):
        raise ValueError("what is stored is no object")
    return value


@replica.may_answer
async def list_page(
    project_id: int,
    *,
    env_uuid: UUID | None,
    kind: str | None,
    entity_uuid: UUID | None,
    limit: int,
    before: int | None,
) -> list[Change]:
    """Return up to ``limit`` changes, newest first, of an environment, a kind or an entity, or all of them."""
    wanted = {"change.env_uuid = ": env_uuid, "entity.kind = ": kind, "change.entity_uuid = ": entity_uuid}
    arguments: list[object] = [project_id, limit]
    conditions = ["change.project_id = $1"]
    for condition, value in {**wanted, "change.version < ": before}.items():
        if value is not None:
            arguments.append(value)
            conditions.append(f"{condition}${len(arguments)}")
    rows = await db.fetch(
        f"SELECT {COLUMNS} {FROM} WHERE {' AND '.join(conditions)} ORDER BY change.version DESC LIMIT $2", *arguments
    )
    return [from_row(project_id, row) for row in rows]


async def last_touching(
    project_id: int, entity_uuid: UUID, generation_uuid: UUID, pointer: str, until: int | None
) -> Change | None:
    """Return the last change of one layer that set or removed ``pointer``, something in it or around it."""
    row = await db.fetchrow(
        f"SELECT {COLUMNS} {FROM} WHERE change.project_id = $1 AND change.entity_uuid = $2"
        " AND change.generation_uuid = $3 AND ($5::bigint IS NULL OR change.version <= $5)"
        " AND EXISTS (SELECT FROM (SELECT jsonb_object_keys(change.forward -> 'set') UNION ALL"
        "  SELECT jsonb_array_elements_text(change.forward -> 'unset')) AS touched (pointer)"
        "  WHERE touched.pointer = $4 OR starts_with($4, touched.pointer || '/')"
        "  OR starts_with(touched.pointer, $4 || '/')) ORDER BY change.version DESC LIMIT 1",
        project_id,
        entity_uuid,
        generation_uuid,
        pointer,
        until,
    )
    return from_row(project_id, row) if row else None
