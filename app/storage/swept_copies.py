"""What is swept beside layers and changes: releases, answers kept for repeated requests, filters of forks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain.protected import Places, protection
from app.domain.values import MISSING, State, Value
from app.storage import db
from app.storage.changes import flat
from app.storage.codec import dumps, loads
from app.storage.lookups import entity_of
from app.storage.protections import OF_ROOT
from app.storage.sweeps import Sweep


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """What a release made of one document, as it is stored."""

    release_uuid: UUID
    entity_uuid: UUID
    env_uuid: UUID
    places: Places
    before: State
    after: State


async def releases_after(sweep: Sweep, limit: int) -> list[ReleaseRow]:
    """Return up to ``limit`` documents of releases that the pass has to look at still."""
    rows = await db.fetch(
        "SELECT touched.release_uuid, touched.entity_uuid, release.env_uuid, entity.kind, touched.before,"
        f" touched.after, {OF_ROOT} AS globs FROM release_entity touched"
        " JOIN release ON release.project_id = $1 AND release.uuid = touched.release_uuid"
        f" {entity_of('touched')} WHERE touched.project_id = $1"
        " AND ($2::uuid IS NULL OR (touched.release_uuid, touched.entity_uuid) > ($2, $3::uuid))"
        " ORDER BY touched.release_uuid, touched.entity_uuid LIMIT $4",
        sweep.project_id,
        sweep.generation_uuid,
        sweep.entity_uuid,
        limit,
    )
    return [
        ReleaseRow(
            row["release_uuid"],
            row["entity_uuid"],
            row["env_uuid"],
            protection(row["globs"]).of(row["kind"]),
            MISSING if row["before"] is None else loads(row["before"]),
            MISSING if row["after"] is None else loads(row["after"]),
        )
        for row in rows
    ]


async def rewrite_release(project_id: int, row: ReleaseRow, referred: Sequence[UUID]) -> None:
    """Store what a release made of a document with references; the database lets nothing else be changed in it."""
    await db.execute(
        "SELECT seal_release_entity($1, $2, $3, $4::jsonb, $5::jsonb, $6::uuid[])",
        project_id,
        row.release_uuid,
        row.entity_uuid,
        None if row.before is MISSING else dumps(row.before),
        None if row.after is MISSING else dumps(row.after),
        referred,
    )


async def answers(project_id: int) -> list[tuple[tuple[UUID, str, bytes], str]]:
    """Return the answers that are kept for repeated requests, with their keys, locked."""
    rows = await db.fetch(
        "SELECT principal_uuid, operation, key_hash, answer FROM idempotency WHERE project_id = $1"
        " AND answer IS NOT NULL FOR UPDATE",
        project_id,
    )
    return [((row["principal_uuid"], row["operation"], row["key_hash"]), row["answer"]) for row in rows]


async def rewrite_answer(key: tuple[UUID, str, bytes], answer: str) -> None:
    """Keep another answer in the place of one."""
    await db.execute(
        "UPDATE idempotency SET answer = $4 WHERE principal_uuid = $1 AND operation = $2 AND key_hash = $3",
        *key,
        answer,
    )


async def filters(project_id: int) -> list[tuple[UUID, dict[str, Value]]]:
    """Return the filters by rules that forks were made with."""
    rows = await db.fetch(
        "SELECT uuid, user_filter FROM manifest WHERE project_id = $1 AND user_filter ? 'rules'", project_id
    )
    return [(row["uuid"], flat(row["user_filter"])) for row in rows]


async def rewrite_filter(project_id: int, uuid: UUID, masked: Mapping[str, Value]) -> None:
    """Store a filter with markers for values; the database lets nothing else be changed in it."""
    await db.execute("SELECT mask_manifest($1, $2, $3::jsonb)", project_id, uuid, dumps(masked))
