"""The layers of an environment's line above production, and moving what stands on it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.domain.model import Entity, Environment, Generation
from app.domain.patch import Patch, to_json
from app.domain.protected import NOTHING_PROTECTED, Places, Protection
from app.storage import db, environments, generations, protections
from app.storage.codec import dumps
from app.storage.layers import Layer
from app.storage.lookups import entity_of, keyed
from app.storage.sealed import Sealer
from app.storage.stored_patch import patch_of

_NO_PLACES: Final = NOTHING_PROTECTED.of("")


@dataclass(frozen=True, slots=True)
class LineLayers:
    """One entity's layers on a line, uppermost first, below what ``root`` has of it (None: nothing).

    ``places`` are protected in the line.
    """

    entity: Entity
    root: Layer | None
    layers: Sequence[Layer]
    places: Places = _NO_PLACES

    def under(self, line: Protection, root: Protection) -> "LineLayers":
        """Return the layers with references for what is protected in the line, and at the root."""
        if not line.active:
            return self
        places, sealer = line.of(self.entity.kind), Sealer(self.entity.project_id, self.entity.uuid)
        raw = [patch_of(layer.form, layer.data) for layer in (*([self.root] if self.root else ()), *self.layers)]
        patches = sealer.patches(places, raw)[len(raw) - len(self.layers) :]
        layers = [
            layer.with_references(patch, places, sealer) for layer, patch in zip(self.layers, patches, strict=True)
        ]
        top = self.root
        if top is not None:
            at_root = root.of(self.entity.kind)
            top = top.with_references(sealer.patches(at_root, raw[:1])[0], at_root, sealer)
        return LineLayers(self.entity, top, layers, places)

    @property
    def all_layers(self) -> Sequence[Layer]:
        return [self.root, *self.layers] if self.root else self.layers


_TOUCHED: Final = (
    "SELECT DISTINCT layer.entity_uuid FROM layer WHERE layer.project_id = $1"
    " AND layer.generation_uuid = ANY ($2::uuid[])"
    " AND NOT (layer.form = 'patch' AND layer.data = '{\"set\": {}, \"unset\": []}')"
)
_HELD: Final = keyed(
    "layer",
    "layer.project_id = $1 AND layer.entity_uuid = touched.entity_uuid"
    " AND (layer.generation_uuid = ANY ($2::uuid[]) OR layer.generation_uuid = $3)",
)

Fingerprint = frozenset[tuple[UUID, UUID, int, str | None]]
"""What tells whether layers were written to or marked: (entity, generation, version, base) of each."""


def fingerprint(found: Iterable[tuple[Entity, Iterable[Layer]]]) -> Fingerprint:
    """Return that of layers, as they were read."""
    return frozenset(
        (entity.uuid, layer.generation_uuid, layer.version, layer.base) for entity, held in found for layer in held
    )


async def fingerprint_now(
    project_id: int, root_uuid: UUID, line: Sequence[UUID], entity_uuids: Sequence[UUID] | None = None
) -> Fingerprint:
    """Return that of the layers that generations hold of entities; None: of all that the line overrides."""
    touched = _TOUCHED if entity_uuids is None else "SELECT unnest($4::uuid[]) AS entity_uuid"
    rows = await db.fetch(
        f"WITH touched AS MATERIALIZED ({touched})"
        f" SELECT layer.entity_uuid, layer.generation_uuid, layer.version, layer.base FROM touched {_HELD}",
        project_id,
        line,
        root_uuid,
        *(() if entity_uuids is None else (entity_uuids,)),
    )
    return frozenset(tuple(row) for row in rows)


async def layers_of(
    root_uuid: UUID, line: Sequence[Generation], entity_uuids: Sequence[UUID] | None = None
) -> list[LineLayers]:
    """Return, by kind and key, the layers of every entity, or of those, that a line overrides, in one statement."""
    if not line:
        return []
    uuids = [generation.uuid for generation in line]
    chosen = "" if entity_uuids is None else " AND layer.entity_uuid = ANY ($4::uuid[])"
    rows = await db.fetch(
        f"WITH touched AS MATERIALIZED ({_TOUCHED}{chosen})"
        " SELECT entity.uuid AS entity_uuid, entity.kind, entity.key, layer.uuid, layer.generation_uuid, layer.form,"
        f" layer.data, layer.version, layer.base FROM touched {entity_of('touched')} {_HELD}"
        " ORDER BY entity.kind, entity.key, coalesce(array_position($2::uuid[], layer.generation_uuid), 0)",
        line[0].project_id,
        uuids,
        root_uuid,
        *([] if entity_uuids is None else [entity_uuids]),
    )
    entities: dict[UUID, Entity] = {}
    found: dict[UUID, list[Layer]] = {}
    for row in rows:
        uuid = row["entity_uuid"]
        entities.setdefault(uuid, Entity(line[0].project_id, uuid, row["kind"], row["key"]))
        found.setdefault(uuid, []).append(
            Layer(row["uuid"], row["generation_uuid"], row["form"], row["data"], row["version"], row["base"])
        )
    lowest = max(line, key=lambda generation: len(generation.ancestors))
    protected = await protections.of(lowest.project_id, lowest.uuid), await protections.of(lowest.project_id, root_uuid)
    return [_split(entities[uuid], layers, root_uuid).under(*protected) for uuid, layers in found.items()]


def _split(entity: Entity, layers: Sequence[Layer], root_uuid: UUID) -> LineLayers:
    if layers[0].generation_uuid == root_uuid:
        return LineLayers(entity, layers[0], layers[1:])
    return LineLayers(entity, None, layers)


async def carries(project_id: int, generation_uuids: Sequence[UUID]) -> bool:
    """Return whether any layer of the generations carries a change."""
    found: bool = await db.fetchval(
        "SELECT EXISTS (SELECT FROM layer WHERE project_id = $1 AND generation_uuid = ANY ($2::uuid[])"
        ' AND base IS NOT NULL AND base <> \'{"set": {}, "unset": []}\')',
        project_id,
        generation_uuids,
    )
    return found


async def clear_bases(project_id: int, line: Sequence[UUID], entity_uuids: Sequence[UUID]) -> None:
    """Let the layers that a line has of entities carry nothing any longer."""
    await db.execute(
        'UPDATE layer SET base = \'{"set": {}, "unset": []}\' WHERE project_id = $1'
        " AND generation_uuid = ANY ($2::uuid[]) AND entity_uuid = ANY ($3::uuid[])"
        ' AND base IS DISTINCT FROM \'{"set": {}, "unset": []}\'',
        project_id,
        line,
        entity_uuids,
    )


async def set_bases(project_id: int, bases: Mapping[UUID, Patch]) -> None:
    """Write anew what layers carry, by the layer's uuid."""
    await db.execute(
        "UPDATE layer SET base = wanted.base FROM unnest($2::uuid[], $3::jsonb[]) AS wanted (uuid, base)"
        " WHERE layer.project_id = $1 AND layer.uuid = wanted.uuid",
        project_id,
        list(bases),
        [dumps(to_json(base)) for base in bases.values()],
    )


async def environments_around(project_id: int, env_uuids: Sequence[UUID], line: Sequence[UUID]) -> list[Environment]:
    """Return, by uuid, what a promotion has to hold still.

    That is production, the environment now live, those of ``env_uuids``, and all living ones that stand on the line.
    """
    rows = await db.fetch(
        f"SELECT {environments.COLUMNS} FROM environment env WHERE env.project_id = $1 AND (env.status = 'live'"
        " OR env.uuid = ANY ($2::uuid[]) OR (env.status <> 'archived' AND EXISTS (SELECT FROM generation head"
        "  WHERE head.project_id = $1 AND head.uuid = env.head_uuid AND head.ancestors && $3::uuid[])))"
        " ORDER BY env.uuid",
        project_id,
        env_uuids,
        line,
    )
    return [environments.from_row(row) for row in rows]


# Of pg_advisory locks the first number says what is locked; those of plans are 1 to 3, that of freezes is 4.
_LOCK: Final = 5


async def lock_releasing(project_id: int) -> None:
    """Wait for whoever else brings changes to production; to be called before anchors are locked.

    What a promotion has to lock depends on what is live, which another one changes.
    """
    await db.execute("SELECT pg_advisory_xact_lock($1, $2)", _LOCK, project_id)


async def lock_all(project_id: int, env_uuids: Sequence[UUID]) -> list[Environment]:
    """Lock anchors that are to be moved, in one order, and return them."""
    rows = await db.fetch(
        f"SELECT {environments.COLUMNS} FROM environment env WHERE env.project_id = $1 AND env.uuid = ANY ($2::uuid[])"
        " ORDER BY env.uuid FOR NO KEY UPDATE",
        project_id,
        env_uuids,
    )
    return [environments.from_row(row) for row in rows]


async def standing_on(project_id: int, line: Sequence[UUID], env_uuid: UUID) -> list[Generation]:
    """Return the generations of other environments that stand on a line, nearest first."""
    rows = await db.fetch(
        f"SELECT {generations.COLUMNS} FROM generation gen WHERE gen.project_id = $1 AND gen.ancestors && $2::uuid[]"
        " AND gen.env_uuid <> $3 AND gen.uuid <> ALL ($2::uuid[]) ORDER BY cardinality(gen.ancestors)",
        project_id,
        line,
        env_uuid,
    )
    return [generations.from_row(row) for row in rows]


async def move_to_root(project_id: int, root_uuid: UUID, line: Sequence[UUID], moved: Sequence[UUID]) -> None:
    """Take ``line`` out of the lines of the generations ``moved``; those that stood on it stand on production.

    Their uuids stay; ancestors, paths and numbers of all are recomputed in one statement (§11.12).
    """
    await db.execute(
        "INSERT INTO former_line (project_id, generation_uuid, until_version, ancestors, path)"
        " SELECT $1, uuid, (SELECT version FROM project_counter WHERE project_id = $1), ancestors, path"
        " FROM generation WHERE project_id = $1 AND uuid = ANY ($2::uuid[])",
        project_id,
        moved,
    )
    await db.execute(
        "UPDATE generation gen SET parent_uuid = CASE WHEN gen.parent_uuid = ANY ($3::uuid[]) THEN $2"
        "  ELSE gen.parent_uuid END,"
        " ancestors = ARRAY(SELECT item FROM unnest(gen.ancestors) WITH ORDINALITY AS list (item, place)"
        "  WHERE item <> ALL ($3::uuid[]) ORDER BY place),"
        " path = ARRAY(SELECT item FROM unnest(gen.path) WITH ORDINALITY AS list (item, place)"
        "  WHERE item <> ALL ($3::uuid[]) ORDER BY place),"
        " number = gen.number - (SELECT count(*) FROM unnest(gen.ancestors) AS item WHERE item = ANY ($3::uuid[]))"
        " WHERE gen.project_id = $1 AND gen.uuid = ANY ($4::uuid[])",
        project_id,
        root_uuid,
        line,
        moved,
    )
    await db.execute(
        "UPDATE layer SET parent_uuid = (SELECT root.uuid FROM layer root WHERE root.project_id = $1"
        "  AND root.generation_uuid = $2 AND root.entity_uuid = layer.entity_uuid)"
        " FROM layer above WHERE layer.project_id = $1 AND layer.generation_uuid = ANY ($4::uuid[])"
        " AND above.project_id = $1 AND above.uuid = layer.parent_uuid AND above.generation_uuid = ANY ($3::uuid[])",
        project_id,
        root_uuid,
        line,
        moved,
    )
    await db.execute(
        "UPDATE environment env SET parent_env_uuid = (SELECT root.env_uuid FROM generation root"
        "  WHERE root.project_id = $1 AND root.uuid = $2)"
        " FROM generation gen WHERE env.project_id = $1 AND gen.project_id = $1 AND gen.uuid = ANY ($3::uuid[])"
        " AND gen.env_uuid = env.uuid AND gen.parent_uuid = $2",
        project_id,
        root_uuid,
        moved,
    )


async def keep_filter(source: Generation, target: Generation) -> None:
    """Give ``target`` the users that the filter of ``source`` lets in, as empty layers; one statement."""
    if source.filter_uuid is None:
        return
    below = source.path[source.path.index(source.filter_uuid) :] if source.filter_uuid in source.path else source.path
    await db.execute(
        "INSERT INTO layer (project_id, entity_uuid, generation_uuid, uuid, form, data, version, base)"
        " SELECT $1, entity.uuid, $2, gen_random_uuid(), 'patch', '{\"set\": {}, \"unset\": []}', entity.version,"
        '  \'{"set": {}, "unset": []}\''
        f" FROM (SELECT DISTINCT layer.entity_uuid FROM layer WHERE layer.project_id = $1"
        f"  AND layer.generation_uuid = ANY ($3::uuid[])) seen {entity_of('seen')} WHERE entity.kind = 'user'"
        " ON CONFLICT DO NOTHING",
        source.project_id,
        target.uuid,
        list(below),
    )


async def other_rolling_out(project_id: int, env_uuid: UUID) -> str | None:
    """Return the name of another environment that is rolling out, if one is."""
    name: str | None = await db.fetchval(
        "SELECT name FROM environment WHERE project_id = $1 AND status = 'rolling_out' AND uuid <> $2",
        project_id,
        env_uuid,
    )
    return name
