"""Whole-document copies of what a generation shows, and what two generations may differ in."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from app.domain.layers import resolve
from app.domain.model import USER_KIND, Entity, Generation
from app.domain.patch import REMOVE, Patch, Replace
from app.domain.values import MISSING
from app.storage import db
from app.storage.layers import IN_SIGHT, SHOWN, Stack, group
from app.storage.lookups import entity_of, keyed
from app.storage.stored_patch import stored_form

# One statement, so that all of it is read at one moment: what has one whole layer is copied by the database,
# what has to be merged comes back, and under a filter what shows nothing.
_LAYERS: Final = (
    "layer.project_id = $1 AND layer.entity_uuid = stack.entity_uuid AND layer.generation_uuid = ANY (gen.path)"
)
_COPY: Final = f"""
WITH stack AS MATERIALIZED (
    SELECT layer.entity_uuid, count(*) = 1 AND bool_and(layer.form = 'whole') AS is_plain
    FROM generation gen JOIN layer ON layer.project_id = $1 AND layer.generation_uuid = ANY (gen.path)
    {entity_of("layer")}
    WHERE gen.project_id = $1 AND gen.uuid = $2 AND {IN_SIGHT}
    GROUP BY layer.entity_uuid, gen.filter_uuid
    HAVING count(*) > 1 OR bool_and(layer.form = 'whole') OR gen.filter_uuid IS NOT NULL
), copied AS (
    INSERT INTO layer (project_id, entity_uuid, generation_uuid, uuid, parent_uuid, form, data, version)
    SELECT $1, layer.entity_uuid, $3, gen_random_uuid(), layer.uuid, 'whole', layer.data, layer.version
    FROM generation gen JOIN stack ON stack.is_plain {keyed("layer", _LAYERS)}
    WHERE gen.project_id = $1 AND gen.uuid = $2
    RETURNING 1
)
SELECT (SELECT count(*) FROM copied) AS copied, entity.uuid AS entity_uuid, entity.kind, entity.key,
       gen.uuid AS gen_uuid, layer.uuid AS layer_uuid, layer.generation_uuid, layer.form, layer.data, layer.version,
       true AS in_sight, NULL::text[] AS globs, 0 AS list_version
FROM generation gen
LEFT JOIN stack ON NOT stack.is_plain
LEFT {entity_of("stack")}
{keyed("layer", _LAYERS, "LEFT JOIN")}
WHERE gen.project_id = $1 AND gen.uuid = $2
ORDER BY array_position(gen.path, layer.generation_uuid)
"""
_COLUMNS: Final = (
    "project_id",
    "entity_uuid",
    "generation_uuid",
    "uuid",
    "parent_uuid",
    "form",
    "data",
    "version",
)


async def copy_shown(source: Generation, target: Generation) -> int:
    """Copy what ``source`` shows into the snapshot ``target``; return how many entities that are."""
    rows = await db.fetch(_COPY, source.project_id, source.uuid, target.uuid)
    copied: int = rows[0]["copied"]
    stacks = group(source.project_id, (row for row in rows if row["entity_uuid"] is not None)).values()
    merged = [(stack, patch) for stack in stacks if (patch := _frozen(source, stack)) is not None]
    await db.copy("layer", _COLUMNS, _copies(target, merged))
    return copied + sum(patch is not REMOVE for _, patch in merged)


def _frozen(source: Generation, stack: Stack) -> Patch | None:
    state = resolve(layer.patch for layer in stack.layers)
    if state is not MISSING:
        return Replace(state)
    # A user deleted in a filtered line must stay deleted, and not look like one that the filter left outside.
    return REMOVE if source.filter_uuid is not None and stack.entity.kind == USER_KIND else None


def _copies(target: Generation, merged: Iterable[tuple[Stack, Patch]]) -> Iterator[tuple[object, ...]]:
    for stack, patch in merged:
        version = max(layer.version for layer in stack.layers)
        yield (
            target.project_id,
            stack.entity.uuid,
            target.uuid,
            uuid4(),
            stack.layers[-1].uuid,
            *stored_form(patch),
            version,
        )


async def add_matching_users(source: Generation, target: Generation, keys: Sequence[str]) -> int:
    """Give each user among ``keys`` that ``source`` shows an empty layer in ``target``, in one statement.

    Returns how many they are.
    """
    return await db.execute(
        "INSERT INTO layer (project_id, entity_uuid, generation_uuid, uuid, form, data, version, base)"
        " SELECT $1, entity.uuid, $3, gen_random_uuid(), 'patch', '{\"set\": {}, \"unset\": []}', entity.version,"
        '  \'{"set": {}, "unset": []}\''
        " FROM generation gen JOIN entity ON entity.project_id = gen.project_id AND entity.kind = 'user'"
        f" WHERE gen.project_id = $1 AND gen.uuid = $2 AND entity.key = ANY ($4::text[]) AND {SHOWN} AND {IN_SIGHT}",
        source.project_id,
        source.uuid,
        target.uuid,
        keys,
    )


# What the base of the path shows is counted as it changes; the line below it makes a difference only where a
# layer does not merge. Under a filter, the users are those that have a row.
_COUNT: Final = f"""
WITH gen AS (SELECT $4::uuid[] AS path), touched AS (
    SELECT DISTINCT entity.project_id, entity.uuid FROM layer {entity_of("layer")}
    WHERE layer.project_id = $1 AND layer.generation_uuid = ANY ($3::uuid[]) AND layer.form <> 'patch'
      AND (cardinality($5::uuid[]) = 0 OR entity.kind <> 'user')
), selected AS (
    SELECT DISTINCT entity.project_id, entity.uuid FROM layer {entity_of("layer")}
    WHERE layer.project_id = $1 AND layer.generation_uuid = ANY ($5::uuid[]) AND entity.kind = 'user'
)
SELECT base.entity_count - CASE WHEN cardinality($5::uuid[]) > 0 THEN base.user_count ELSE 0 END
    + (SELECT coalesce(sum(coalesce({SHOWN}, false)::int - EXISTS (SELECT FROM layer WHERE layer.project_id = $1
           AND layer.entity_uuid = entity.uuid AND layer.generation_uuid = $2 AND layer.form = 'whole')::int), 0)
       FROM touched entity CROSS JOIN gen)
    + (SELECT count(*) FROM selected entity CROSS JOIN gen WHERE {SHOWN})
FROM generation base WHERE base.project_id = $1 AND base.uuid = $2
"""


async def count_shown(generation: Generation) -> int:
    """Return how many entities a generation shows; the time does not depend on what its base holds (§11.32)."""
    path, filter_uuid = generation.path, generation.filter_uuid
    filtered = path[path.index(filter_uuid) :] if filter_uuid in path else ()
    return int(await db.fetchval(_COUNT, generation.project_id, path[0], path[1:], path, filtered))


async def removable_layers(project_id: int, env_uuid: UUID) -> int:
    """Delete the layers of an archived environment that nothing else stands on, or did; return how many (§11.9).

    What a living environment stood on before a promotion moved it, it still shows at an earlier version.
    """
    return await db.execute(
        "DELETE FROM layer USING generation gen WHERE gen.project_id = $1 AND gen.env_uuid = $2 AND gen.kind = 'line'"
        " AND layer.project_id = $1 AND layer.generation_uuid = gen.uuid AND NOT EXISTS ("
        "  SELECT FROM generation lower JOIN environment env"
        "   ON env.project_id = lower.project_id AND env.uuid = lower.env_uuid"
        "  WHERE lower.project_id = $1 AND (gen.uuid = ANY (lower.ancestors)"
        "   OR EXISTS (SELECT FROM former_line former WHERE former.project_id = $1"
        "    AND former.generation_uuid = lower.uuid AND gen.uuid = ANY (former.ancestors)))"
        "   AND (lower.kind IN ('checkpoint', 'pin') OR env.status <> 'archived'))",
        project_id,
        env_uuid,
    )


async def has_descendants(project_id: int, generation_uuid: UUID) -> bool:
    """Return whether another generation stands on this one, or an environment has it as its head."""
    found: bool = await db.fetchval(
        "SELECT EXISTS (SELECT FROM generation WHERE project_id = $1 AND parent_uuid = $2)"
        " OR EXISTS (SELECT FROM environment WHERE project_id = $1 AND head_uuid = $2)"
        " OR EXISTS (SELECT FROM change WHERE project_id = $1 AND generation_uuid = $2)"
        " OR EXISTS (SELECT FROM manifest WHERE project_id = $1 AND source_generation_uuid = $2)",
        project_id,
        generation_uuid,
    )
    return found


async def may_differ(a: Generation, b: Generation, *, in_sight: bool = True) -> list[Entity]:
    """Return, by kind and key, the entities that two generations may show differently.

    Only layers on one of the two paths can make a difference. Where each side has one whole layer, equal to the
    digit, there is none; ``in_sight=False`` returns those too, for who asks what a filter hides.
    """
    only_a = [uuid for uuid in a.path if uuid not in b.path]
    only_b = [uuid for uuid in b.path if uuid not in a.path]
    rows = await db.fetch(
        "WITH candidate AS MATERIALIZED (SELECT layer.entity_uuid FROM layer"
        "  WHERE layer.project_id = $1 AND layer.generation_uuid = ANY ($2::uuid[] || $3::uuid[])"
        "  GROUP BY layer.entity_uuid HAVING NOT ($4 AND count(*) = 2 AND bool_and(layer.form = 'whole')"
        "   AND count(*) FILTER (WHERE layer.generation_uuid = ANY ($2::uuid[])) = 1"
        "   AND count(DISTINCT layer.data::text) = 1))"
        f" SELECT entity.uuid, entity.kind, entity.key FROM candidate {entity_of('candidate')}"
        " ORDER BY entity.kind, entity.key",
        a.project_id,
        only_a,
        only_b,
        in_sight,
    )
    return [Entity(a.project_id, row["uuid"], row["kind"], row["key"]) for row in rows]


@dataclass(frozen=True, slots=True)
class Located:
    """What a UUID names: a generation, and an entity where it names a layer or a document.

    ``is_removed`` says that the generation's layers went when its environment was archived.
    """

    project_id: int
    generation_uuid: UUID
    entity: Entity | None
    is_removed: bool


async def locate(project_ids: Sequence[int], uuid: UUID) -> Located | None:
    """Return what ``uuid`` names in one of the projects: anchor, generation, snapshot, layer or entity."""
    row = await db.fetchrow(
        "SELECT named.project_id, generation_uuid, entity_uuid, named.kind, key,"
        " gen.kind = 'line' AND env.status = 'archived' AS is_removed FROM ("
        " SELECT project_id, head_uuid AS generation_uuid, NULL::uuid AS entity_uuid, NULL AS kind, NULL AS key"
        "  FROM environment WHERE project_id = ANY ($1::int[]) AND uuid = $2"
        " UNION ALL SELECT project_id, uuid, NULL, NULL, NULL FROM generation"
        "  WHERE project_id = ANY ($1::int[]) AND uuid = $2"
        " UNION ALL SELECT layer.project_id, layer.generation_uuid, entity.uuid, entity.kind, entity.key FROM layer"
        "  JOIN entity ON entity.project_id = layer.project_id AND entity.uuid = layer.entity_uuid"
        "  WHERE layer.project_id = ANY ($1::int[]) AND layer.uuid = $2"
        " UNION ALL SELECT entity.project_id, env.head_uuid, entity.uuid, entity.kind, entity.key FROM entity"
        "  JOIN environment env ON env.project_id = entity.project_id AND env.env_type = 'production'"
        "  WHERE entity.project_id = ANY ($1::int[]) AND entity.uuid = $2) named"
        " JOIN generation gen ON gen.project_id = named.project_id AND gen.uuid = named.generation_uuid"
        " JOIN environment env ON env.project_id = named.project_id AND env.uuid = gen.env_uuid LIMIT 1",
        project_ids,
        uuid,
    )
    if row is None:
        return None
    entity = Entity(row["project_id"], row["entity_uuid"], row["kind"], row["key"]) if row["entity_uuid"] else None
    return Located(row["project_id"], row["generation_uuid"], entity, row["is_removed"])
