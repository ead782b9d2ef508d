"""What was written before its place was protected: how far it has been looked for, and rewriting it.

Every way to change a row of the history is a function of the schema's owner that lets nothing but references and
markers take the place of values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from app.domain.model import Generation
from app.domain.patch import to_json
from app.domain.protected import Places, protection
from app.domain.values import Value
from app.storage import db, generations
from app.storage.changes import flat
from app.storage.codec import dumps
from app.storage.layers import Stack
from app.storage.lookups import entity_of
from app.storage.protections import of_generation
from app.storage.stored_patch import patch_of, stored_form

_COLUMNS: Final = "project_id, list_version, stage, floor, started, depth, generation_uuid, entity_uuid, change_version"


@dataclass(frozen=True, slots=True)
class Sweep:
    """How far a project is swept for the lists of ``list_version``.

    Rows up to the project's version ``started`` are looked at; of generations, those that a former pass has left
    (``floor``, 0 for all). The last members say where the stage goes on.
    """

    project_id: int
    list_version: int
    stage: str
    floor: int
    started: int
    depth: int | None = None
    generation_uuid: UUID | None = None
    entity_uuid: UUID | None = None
    change_version: int = 0


async def lock(project_id: int, first_stage: str) -> Sweep | None:
    """Return the sweep of the project's present lists, locked, and begun if it is new; None if there are no lists."""
    list_version, version = await _versions(project_id)
    if list_version == 0:
        return None
    await db.execute(
        f"INSERT INTO protection_sweep ({_COLUMNS}) VALUES ($1, 0, $2, 0, 0, NULL, NULL, NULL, 0)"
        " ON CONFLICT (project_id) DO NOTHING",
        project_id,
        first_stage,
    )
    row = await db.fetchrow(f"SELECT {_COLUMNS} FROM protection_sweep WHERE project_id = $1 FOR UPDATE", project_id)
    if row is None:
        raise db.Retry
    found = Sweep(*row)
    # The counter is read again: what committed while others swept belongs to this pass.
    list_version, version = await _versions(project_id)
    return found if found.list_version == list_version else Sweep(project_id, list_version, first_stage, 0, version)


async def _versions(project_id: int) -> tuple[int, int]:
    row = await db.fetchrow(
        "SELECT protection AS list_version, version FROM project_counter WHERE project_id = $1", project_id
    )
    return (row["list_version"], row["version"]) if row else (0, 0)


async def again(sweep: Sweep, first_stage: str) -> Sweep:
    """Return the pass that looks at what has come since this one began."""
    _, version = await _versions(sweep.project_id)
    return Sweep(sweep.project_id, sweep.list_version, first_stage, sweep.started, version)


async def save(sweep: Sweep) -> None:
    """Note how far the sweep has come."""
    await db.execute(
        "UPDATE protection_sweep SET list_version = $2, stage = $3, floor = $4, started = $5, depth = $6,"
        " generation_uuid = $7, entity_uuid = $8, change_version = $9 WHERE project_id = $1",
        sweep.project_id,
        sweep.list_version,
        sweep.stage,
        sweep.floor,
        sweep.started,
        sweep.depth,
        sweep.generation_uuid,
        sweep.entity_uuid,
        sweep.change_version,
    )


async def unswept(last_stage: str) -> list[int]:
    """Return the projects whose lists in force have not been swept for to the end."""
    rows = await db.fetch(
        "SELECT project_id FROM project_counter counted WHERE protection > 0 AND NOT EXISTS ("
        " SELECT FROM protection_sweep sweep WHERE sweep.project_id = counted.project_id"
        "  AND sweep.list_version = counted.protection AND sweep.stage = $1) ORDER BY project_id",
        last_stage,
    )
    return [row["project_id"] for row in rows]


async def next_generation(sweep: Sweep) -> Generation | None:
    """Return the generation that the sweep is in, or the next: those that stand on others come before those."""
    row = await db.fetchrow(
        f"SELECT {generations.COLUMNS} FROM generation gen WHERE gen.project_id = $1"
        " AND ($2::bigint = 0 OR (gen.kind <> 'line' AND gen.version > $2))"
        " AND ($3::int IS NULL OR (-cardinality(gen.ancestors), gen.uuid) >= (-$3, $4::uuid))"
        " ORDER BY -cardinality(gen.ancestors), gen.uuid LIMIT 1",
        sweep.project_id,
        sweep.floor,
        sweep.depth,
        sweep.generation_uuid,
    )
    return generations.from_row(row) if row else None


async def following_generation(sweep: Sweep, generation: Generation) -> Generation | None:
    """Return the generation after ``generation``."""
    row = await db.fetchrow(
        f"SELECT {generations.COLUMNS} FROM generation gen WHERE gen.project_id = $1"
        " AND ($2::bigint = 0 OR (gen.kind <> 'line' AND gen.version > $2))"
        " AND (-cardinality(gen.ancestors), gen.uuid) > (-$3::int, $4::uuid)"
        " ORDER BY -cardinality(gen.ancestors), gen.uuid LIMIT 1",
        sweep.project_id,
        sweep.floor,
        len(generation.ancestors),
        generation.uuid,
    )
    return generations.from_row(row) if row else None


def at(sweep: Sweep, generation: Generation, entity_uuid: UUID | None) -> Sweep:
    """Return the sweep as it goes on in ``generation`` after an entity."""
    return replace(sweep, depth=len(generation.ancestors), generation_uuid=generation.uuid, entity_uuid=entity_uuid)


async def entities_in(generation: Generation, after: UUID | None, limit: int) -> list[UUID]:
    """Return up to ``limit`` entities that a generation has layers of, by UUID."""
    rows = await db.fetch(
        "SELECT entity_uuid FROM layer WHERE project_id = $1 AND generation_uuid = $2"
        " AND ($3::uuid IS NULL OR entity_uuid > $3) ORDER BY entity_uuid LIMIT $4",
        generation.project_id,
        generation.uuid,
        after,
        limit,
    )
    return [row["entity_uuid"] for row in rows]


async def rewrite_layer(stack: Stack) -> bool:
    """Store a stack's own layer with references; return whether it was stored without."""
    own = stack.own
    if own is None or own.sealed is None:
        return False
    data, base = stored_form(own.sealed)[1], own.base
    if own.sealed_base is not None:
        base = dumps(to_json(own.sealed_base))
    former = stored_form(patch_of(own.form, own.data))[1]
    former_base = dumps(to_json(patch_of("patch", own.base))) if own.base else own.base
    if (data, base) == (former, former_base):
        return False
    await db.execute(
        "UPDATE layer SET data = $3, base = $4 WHERE project_id = $1 AND uuid = $2",
        stack.entity.project_id,
        own.uuid,
        data,
        base,
    )
    return True


async def has_new_snapshots(sweep: Sweep) -> bool:
    """Return whether a snapshot was taken since the pass began; none is being taken meanwhile."""
    found: bool = await db.fetchval(
        "SELECT EXISTS (SELECT FROM generation WHERE project_id = $1 AND kind <> 'line' AND version > $2)",
        sweep.project_id,
        sweep.started,
    )
    return found


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A change as it is stored, and what is protected in documents of its kind where it was made."""

    version: int
    entity_uuid: UUID
    env_uuid: UUID
    places: Places
    forward: Mapping[str, Value]
    reverse: Mapping[str, Value]
    layer_reverse: Mapping[str, Value] | None


async def changes_after(sweep: Sweep, limit: int) -> list[ChangeRow]:
    """Return up to ``limit`` changes that the pass has to look at still, oldest first."""
    rows = await db.fetch(
        "SELECT change.version, change.entity_uuid, change.env_uuid, entity.kind, change.forward, change.reverse,"
        f" change.layer_reverse, {of_generation('change.generation_uuid')} AS globs"
        f" FROM change {entity_of('change')} WHERE change.project_id = $1 AND change.version > $2"
        " AND change.version <= $3 ORDER BY change.version LIMIT $4",
        sweep.project_id,
        sweep.change_version,
        sweep.started,
        limit,
    )
    return [
        ChangeRow(
            version=row["version"],
            entity_uuid=row["entity_uuid"],
            env_uuid=row["env_uuid"],
            places=protection(row["globs"]).of(row["kind"]),
            forward=flat(row["forward"]),
            reverse=flat(row["reverse"]),
            layer_reverse=flat(row["layer_reverse"]) if row["layer_reverse"] else None,
        )
        for row in rows
    ]


async def rewrite_change(project_id: int, row: ChangeRow, referred: Sequence[UUID]) -> None:
    """Store a change with references; the database lets nothing else be changed in it."""
    await db.execute(
        "SELECT seal_change($1, $2, $3::jsonb, $4::jsonb, $5::jsonb, $6::uuid[])",
        project_id,
        row.version,
        dumps(row.forward),
        dumps(row.reverse),
        None if row.layer_reverse is None else dumps(row.layer_reverse),
        referred,
    )
