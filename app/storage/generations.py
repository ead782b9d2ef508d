"""Generations: the nodes of a project's tree."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final
from uuid import UUID

from app.domain.model import Environment, Generation, GenerationKind
from app.storage import db, environments

_NAMES: Final = (
    "project_id uuid number kind env_uuid parent_uuid ancestors path filter_uuid sealed label entity_count"
    " version created_at created_by replaces_version"
).split()
COLUMNS: Final = ", ".join(f"gen.{name} AS gen_{name}" for name in _NAMES)


def from_row(row: db.Record) -> Generation:
    """Return the generation of a row with ``COLUMNS``."""
    return Generation(
        project_id=row["gen_project_id"],
        uuid=row["gen_uuid"],
        number=row["gen_number"],
        kind=GenerationKind(row["gen_kind"]),
        env_uuid=row["gen_env_uuid"],
        parent_uuid=row["gen_parent_uuid"],
        ancestors=tuple(row["gen_ancestors"]),
        path=tuple(row["gen_path"]),
        filter_uuid=row["gen_filter_uuid"],
        sealed=row["gen_sealed"],
        label=row["gen_label"],
        entity_count=row["gen_entity_count"],
        version=row["gen_version"],
        created_at=row["gen_created_at"],
        created_by=row["gen_created_by"],
        replaces_version=row["gen_replaces_version"],
    )


async def get(project_ids: Iterable[int], uuid: UUID) -> Generation | None:
    """Return the generation with ``uuid`` in one of the projects."""
    row = await db.fetchrow(
        f"SELECT {COLUMNS} FROM generation gen WHERE gen.project_id = ANY($1::int[]) AND gen.uuid = $2",
        list(project_ids),
        uuid,
    )
    return from_row(row) if row else None


async def get_many(project_id: int, uuids: Iterable[UUID]) -> dict[UUID, Generation]:
    """Return those of ``uuids`` that are generations of the project."""
    rows = await db.fetch(
        f"SELECT {COLUMNS} FROM generation gen WHERE gen.project_id = $1 AND gen.uuid = ANY($2::uuid[])",
        project_id,
        list(uuids),
    )
    return {row["gen_uuid"]: from_row(row) for row in rows}


async def tree(project_id: int) -> list[Generation]:
    """Return all generations of the project's tree, parents before children."""
    rows = await db.fetch(
        f"SELECT {COLUMNS} FROM generation gen WHERE gen.project_id = $1 AND gen.kind IN ('line', 'checkpoint')"
        " ORDER BY cardinality(gen.ancestors), gen.version, gen.uuid",
        project_id,
    )
    return [from_row(row) for row in rows]


async def tree_with_environments(project_id: int, root_uuid: UUID | None) -> list[tuple[Generation, Environment]]:
    """Return the tree below ``root_uuid``, a generation or an anchor (default: all), each node with its anchor."""
    rows = await db.fetch(
        f"SELECT {COLUMNS}, {environments.COLUMNS} FROM generation gen"
        " JOIN environment env ON env.project_id = gen.project_id AND env.uuid = gen.env_uuid"
        " WHERE gen.project_id = $1 AND gen.kind IN ('line', 'checkpoint')"
        " AND ($2::uuid IS NULL OR $2 = ANY (gen.ancestors) OR gen.ancestors &&"
        "  ARRAY(SELECT own.uuid FROM generation own WHERE own.project_id = $1 AND own.env_uuid = $2))"
        " ORDER BY cardinality(gen.ancestors), gen.version, gen.uuid",
        project_id,
        root_uuid,
    )
    known: dict[UUID, Environment] = {}
    nodes = []
    for row in rows:
        env_uuid = row["env_uuid"]
        if env_uuid not in known:
            known[env_uuid] = environments.from_row(row)
        nodes.append((from_row(row), known[env_uuid]))
    return nodes


async def list_page(
    project_id: int,
    kind: GenerationKind,
    env_uuid: UUID | None,
    limit: int,
    before: tuple[str | int, ...] | None,
) -> list[Generation]:
    """Return up to ``limit`` snapshots of a kind, newest first; ``before`` is the sort key of the last one."""
    rows = await db.fetch(
        f"SELECT {COLUMNS} FROM generation gen WHERE gen.project_id = $1 AND gen.kind = $2"
        " AND ($3::uuid IS NULL OR gen.env_uuid = $3)"
        " AND ($4::bigint IS NULL OR (gen.version, gen.uuid::text) < ($4, $5::text))"
        " ORDER BY gen.version DESC, gen.uuid::text DESC LIMIT $6",
        project_id,
        kind.value,
        env_uuid,
        *(before or (None, None)),
        limit,
    )
    return [from_row(row) for row in rows]


async def add(generation: Generation) -> Generation:
    """Insert a generation and return it as it is stored; its clock is the database's."""
    row = await db.fetchrow(
        "INSERT INTO generation AS gen (project_id, uuid, number, kind, env_uuid, parent_uuid, ancestors, path,"
        " filter_uuid, sealed, label, entity_count, version, created_at, created_by, replaces_version)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, clock_timestamp(), $14, $15)"
        f" RETURNING {COLUMNS}",
        generation.project_id,
        generation.uuid,
        generation.number,
        generation.kind.value,
        generation.env_uuid,
        generation.parent_uuid,
        list(generation.ancestors),
        list(generation.path),
        generation.filter_uuid,
        generation.sealed,
        generation.label,
        generation.entity_count,
        generation.version,
        generation.created_by,
        generation.replaces_version,
    )
    if row is None:
        raise LookupError("INSERT returned nothing")
    return from_row(row)


async def complete_snapshot(project_id: int, uuid: UUID, entity_count: int, version: int) -> Generation:
    """Set what is known of a snapshot only once it is taken."""
    row = await db.fetchrow(
        "UPDATE generation gen SET entity_count = $3, version = $4, user_count = (SELECT count(*) FROM layer"
        "  JOIN entity ON entity.project_id = layer.project_id AND entity.uuid = layer.entity_uuid"
        "  WHERE layer.project_id = $1 AND layer.generation_uuid = $2 AND layer.form = 'whole'"
        "  AND entity.kind = 'user')"
        f" WHERE gen.project_id = $1 AND gen.uuid = $2 RETURNING {COLUMNS}",
        project_id,
        uuid,
        entity_count,
        version,
    )
    if row is None:
        raise LookupError(f"generation {uuid} is gone")
    return from_row(row)


async def set_version(project_id: int, uuid: UUID, version: int) -> None:
    """Date a generation to the change that opened it."""
    await db.execute(
        "UPDATE generation SET version = $3 WHERE project_id = $1 AND uuid = $2", project_id, uuid, version
    )


async def mark_automatic(project_id: int, uuid: UUID) -> None:
    """Mark a checkpoint that the server took by itself: no plan counts it."""
    await db.execute("UPDATE generation SET automatic = true WHERE project_id = $1 AND uuid = $2", project_id, uuid)


async def seal(project_id: int, uuid: UUID) -> None:
    """Close a generation to writes for ever."""
    await db.execute(
        "UPDATE generation SET sealed = true WHERE project_id = $1 AND uuid = $2 AND NOT sealed",
        project_id,
        uuid,
    )


async def delete(project_id: int, uuid: UUID) -> None:
    """Remove a snapshot and its layers."""
    await db.execute("DELETE FROM layer WHERE project_id = $1 AND generation_uuid = $2", project_id, uuid)
    await db.execute("DELETE FROM generation WHERE project_id = $1 AND uuid = $2", project_id, uuid)


async def at_version(project_id: int, env_uuid: UUID, version: int) -> Generation | None:
    """Return what was the head of an environment at a project version, on the line where it stood then.

    None before its birth.
    """
    row = await db.fetchrow(
        f"SELECT {COLUMNS}, former.ancestors AS former_ancestors, former.path AS former_path FROM generation gen"
        " LEFT JOIN LATERAL (SELECT ancestors, path FROM former_line WHERE former_line.project_id = $1"
        "  AND former_line.generation_uuid = gen.uuid AND until_version > $3"
        "  ORDER BY until_version LIMIT 1) former ON true"
        " WHERE gen.project_id = $1 AND gen.env_uuid = $2 AND gen.version <= $3"
        " AND (gen.kind = 'line' OR (gen.kind = 'checkpoint' AND EXISTS (SELECT FROM environment env"
        "      WHERE env.project_id = $1 AND env.uuid = $2 AND env.env_type <> 'production')))"
        " ORDER BY gen.version DESC, gen.created_at DESC LIMIT 1",
        project_id,
        env_uuid,
        version,
    )
    if row is None:
        return None
    generation = from_row(row)
    if row["former_path"] is None:
        return generation
    return replace(generation, ancestors=tuple(row["former_ancestors"]), path=tuple(row["former_path"]))
