"""Reads for many rows of one level of a GraphQL selection: one statement, whatever the number of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain.model import Change, EnvStatus, EnvType, Generation, GenerationKind
from app.storage import changes, db, generations, layers
from app.storage.layers import Stack
from app.storage.lookups import entity_of


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Which page of documents: those of ``kind`` with keys above ``after``, at most ``limit``."""

    kind: str
    limit: int
    after: str | None


async def document_pages(
    project_id: int, generation_uuids: Sequence[UUID], page: DocumentPage
) -> dict[UUID, list[Stack]]:
    """Return the same page of the documents that each generation shows, by key."""
    rows = await db.fetch(
        f"SELECT {layers.STACK_COLUMNS} FROM unnest($2::uuid[]) AS wanted (generation)"
        " JOIN generation gen ON gen.project_id = $1 AND gen.uuid = wanted.generation"
        " CROSS JOIN LATERAL (SELECT entity.* FROM entity WHERE entity.project_id = gen.project_id"
        "  AND entity.kind = $3 AND ($4::text IS NULL OR entity.key > $4)"
        f"  AND {layers.SHOWN} AND {layers.IN_SIGHT} ORDER BY entity.key LIMIT $5) entity"
        f" {layers.LAYERS_ON_PATH} ORDER BY entity.key, {layers.BY_DEPTH}",
        project_id,
        generation_uuids,
        page.kind,
        page.after,
        page.limit,
    )
    pages: dict[UUID, list[Stack]] = {uuid: [] for uuid in generation_uuids}
    for (generation_uuid, _), stack in layers.group(project_id, rows).items():
        pages[generation_uuid].append(stack)
    return pages


async def count_documents(project_id: int, generation_uuids: Sequence[UUID], kind: str) -> dict[UUID, int]:
    """Return how many documents of a kind each generation shows."""
    rows = await db.fetch(
        "SELECT gen.uuid, count(*) AS number FROM generation gen JOIN entity ON entity.project_id = gen.project_id"
        " WHERE gen.project_id = $1 AND gen.uuid = ANY($2::uuid[]) AND entity.kind = $3"
        f" AND {layers.SHOWN} AND {layers.IN_SIGHT} GROUP BY gen.uuid",
        project_id,
        generation_uuids,
        kind,
    )
    return dict.fromkeys(generation_uuids, 0) | {row["uuid"]: row["number"] for row in rows}


async def count_layers(project_id: int, generation_uuids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many entities each generation itself says something about."""
    rows = await db.fetch(
        "SELECT generation_uuid, count(*) AS number FROM layer"
        " WHERE project_id = $1 AND generation_uuid = ANY($2::uuid[]) GROUP BY generation_uuid",
        project_id,
        generation_uuids,
    )
    return dict.fromkeys(generation_uuids, 0) | {row["generation_uuid"]: row["number"] for row in rows}


async def change_pages(
    project_id: int, env_uuids: Sequence[UUID], limit: int, before: int | None
) -> dict[UUID, list[Change]]:
    """Return up to ``limit`` changes of each environment, newest first, with versions below ``before``."""
    rows = await db.fetch(
        f"SELECT {changes.COLUMNS} FROM unnest($2::uuid[]) AS wanted (env_uuid)"
        " CROSS JOIN LATERAL (SELECT * FROM change WHERE change.project_id = $1"
        "  AND change.env_uuid = wanted.env_uuid AND ($3::bigint IS NULL OR change.version < $3)"
        "  ORDER BY change.version DESC LIMIT $4) change"
        f" {entity_of('change')} ORDER BY change.version DESC",
        project_id,
        env_uuids,
        before,
        limit,
    )
    pages: dict[UUID, list[Change]] = {uuid: [] for uuid in env_uuids}
    for row in rows:
        pages[row["env_uuid"]].append(changes.from_row(project_id, row))
    return pages


async def count_changes_in(project_id: int, env_uuids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many changes each environment has."""
    rows = await db.fetch(
        "SELECT env_uuid, count(*) AS number FROM change WHERE project_id = $1 AND env_uuid = ANY($2::uuid[])"
        " GROUP BY env_uuid",
        project_id,
        env_uuids,
    )
    return dict.fromkeys(env_uuids, 0) | {row["env_uuid"]: row["number"] for row in rows}


async def checkpoint_pages(
    project_id: int, env_uuids: Sequence[UUID], limit: int, before: tuple[int, str] | None
) -> dict[UUID, list[Generation]]:
    """Return up to ``limit`` checkpoints of each environment, newest first, below the sort key ``before``."""
    rows = await db.fetch(
        f"SELECT {generations.COLUMNS} FROM unnest($2::uuid[]) AS wanted (env_uuid)"
        " CROSS JOIN LATERAL (SELECT * FROM generation WHERE generation.project_id = $1"
        "  AND generation.env_uuid = wanted.env_uuid AND generation.kind = 'checkpoint'"
        "  AND ($3::bigint IS NULL OR (generation.version, generation.uuid::text) < ($3, $4::text))"
        "  ORDER BY generation.version DESC, generation.uuid::text DESC LIMIT $5) gen"
        " ORDER BY gen.version DESC, gen.uuid::text DESC",
        project_id,
        env_uuids,
        *(before or (None, None)),
        limit,
    )
    pages: dict[UUID, list[Generation]] = {uuid: [] for uuid in env_uuids}
    for row in rows:
        found = generations.from_row(row)
        pages[found.env_uuid].append(found)
    return pages


async def count_checkpoints_of(project_id: int, env_uuids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many checkpoints each environment has."""
    rows = await db.fetch(
        "SELECT env_uuid, count(*) AS number FROM generation"
        " WHERE project_id = $1 AND env_uuid = ANY($2::uuid[]) AND kind = 'checkpoint' GROUP BY env_uuid",
        project_id,
        env_uuids,
    )
    return dict.fromkeys(env_uuids, 0) | {row["env_uuid"]: row["number"] for row in rows}


async def count_changes(project_id: int, kind: str | None, key: str | None) -> int:
    """Return how many changes a kind, a document or the project has."""
    number: int = await db.fetchval(
        f"SELECT count(*) {changes.FROM} WHERE change.project_id = $1"
        " AND ($2::text IS NULL OR entity.kind = $2) AND ($3::text IS NULL OR entity.key = $3)",
        project_id,
        kind,
        key,
    )
    return number


async def count_environments(project_id: int, statuses: Sequence[EnvStatus], types: Sequence[EnvType]) -> int:
    """Return how many environments of those statuses and types the project has; none given means any."""
    number: int = await db.fetchval(
        "SELECT count(*) FROM environment WHERE project_id = $1"
        " AND (cardinality($2::text[]) = 0 OR status = ANY($2))"
        " AND (cardinality($3::text[]) = 0 OR env_type = ANY($3))",
        project_id,
        [status.value for status in statuses],
        [env_type.value for env_type in types],
    )
    return number


async def count_snapshots(project_id: int, kind: GenerationKind) -> int:
    """Return how many checkpoints, pins or backups the project has."""
    number: int = await db.fetchval(
        "SELECT count(*) FROM generation WHERE project_id = $1 AND kind = $2", project_id, kind.value
    )
    return number
