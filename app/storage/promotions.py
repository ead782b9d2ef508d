"""Promotion requests and approvals of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from app.domain.pointer import parse_pointer
from app.domain.promotion import (
    Approver,
    CarriedChange,
    Checks,
    DocumentConflict,
    DocumentResolution,
    Plan,
    Promotion,
    PromotionStatus,
)
from app.domain.protected import Protection
from app.domain.values import MISSING, State
from app.storage import db, protections, typed

_COLUMNS: Final = (
    "promotion.project_id, promotion.uuid, promotion.env_uuid, promotion.status, promotion.plan, promotion.checks,"
    " promotion.conflicts, promotion.carried, promotion.content_hash,"
    " promotion.required_approvals, promotion.message, promotion.reason, promotion.account_uuid, promotion.actor,"
    " promotion.release_uuid, promotion.step, promotion.step_started_at, promotion.previous_weight,"
    " promotion.created_at, promotion.approved_at, promotion.ended_at, promotion.expires_at,"
    " ARRAY(SELECT (approval.account_uuid, approval.actor, approval.created_at) FROM approval"
    "  WHERE approval.project_id = promotion.project_id AND approval.promotion_uuid = promotion.uuid"
    "  AND approval.voided_at IS NULL AND approval.step = 0 ORDER BY approval.created_at) AS approvers"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests are asked for; all that meet every condition given."""

    env_uuid: UUID | None = None
    statuses: Sequence[PromotionStatus] = ()
    ended: bool = False


def from_row(row: db.Record, protected: Protection) -> Promotion:
    """Return the promotion of a row, with markers where a value was kept before its place was protected."""
    return masked(_from_row(row), protected) if protected.active else _from_row(row)


async def mask_stored(project_id: int, protected: Protection) -> int:
    """Store markers where a value was kept before its place was protected; return in how many requests."""
    rows = await db.fetch(f"SELECT {_COLUMNS} FROM promotion WHERE project_id = $1 FOR NO KEY UPDATE", project_id)
    rewritten = 0
    for found in map(_from_row, rows):
        without = masked(found, protected)
        if without != found:
            await db.execute(
                "UPDATE promotion SET plan = $3, conflicts = $4, carried = $5 WHERE project_id = $1 AND uuid = $2",
                project_id,
                found.uuid,
                typed.dump(without.plan, Plan),
                typed.dump(without.conflicts, list[DocumentConflict]),
                typed.dump(without.carried, list[CarriedChange]),
            )
            rewritten += 1
    return rewritten


def masked(found: Promotion, protected: Protection) -> Promotion:
    """Return the promotion with markers for values at protected places that are not sealed."""

    def mask(item: DocumentConflict | CarriedChange | DocumentResolution, state: State) -> State:
        return state if state is MISSING else protected.of(item.kind).mask_plain(parse_pointer(item.path), state)

    conflicts = [
        replace(item, base=mask(item, item.base), ours=mask(item, item.ours), theirs=mask(item, item.theirs))
        for item in found.conflicts
    ]
    carried = [replace(item, ours=mask(item, item.ours), result=mask(item, item.result)) for item in found.carried]
    resolutions = [replace(item, state=mask(item, item.state)) for item in found.plan.resolutions]
    return replace(found, conflicts=conflicts, carried=carried, plan=replace(found.plan, resolutions=resolutions))


def _from_row(row: db.Record) -> Promotion:
    return Promotion(
        project_id=row["project_id"],
        uuid=row["uuid"],
        env_uuid=row["env_uuid"],
        plan=typed.load(row["plan"], Plan),
        status=PromotionStatus(row["status"]),
        checks=typed.load(row["checks"], Checks),
        conflicts=typed.load(row["conflicts"], list[DocumentConflict]),
        carried=typed.load(row["carried"], list[CarriedChange]),
        content_hash=row["content_hash"],
        required_approvals=row["required_approvals"],
        message=row["message"],
        reason=row["reason"],
        account_uuid=row["account_uuid"],
        actor=row["actor"],
        release_uuid=row["release_uuid"],
        step=row["step"],
        step_started_at=row["step_started_at"],
        previous_weight=row["previous_weight"],
        created_at=row["created_at"],
        approved_at=row["approved_at"],
        ended_at=row["ended_at"],
        expires_at=row["expires_at"],
        approvers=[Approver(*approval) for approval in row["approvers"]],
    )


async def get_many(project_id: int, uuids: Iterable[UUID]) -> dict[UUID, Promotion]:
    """Return those of ``uuids`` that are requests of the project."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM promotion WHERE project_id = $1 AND uuid = ANY ($2::uuid[])", project_id, list(uuids)
    )
    protected = await protections.everywhere(project_id)
    return {row["uuid"]: from_row(row, protected) for row in rows}


async def count(project_id: int, wanted: Wanted) -> int:
    """Return how many requests meet the conditions."""
    found: int = await db.fetchval(
        "SELECT count(*) FROM promotion WHERE project_id = $1 AND ($2::uuid IS NULL OR env_uuid = $2)"
        " AND (cardinality($3::text[]) = 0 OR status = ANY ($3))",
        project_id,
        wanted.env_uuid,
        [status.value for status in wanted.statuses],
    )
    return found


async def get(project_ids: Iterable[int], uuid: UUID) -> Promotion | None:
    """Return the request with ``uuid`` in one of the projects."""
    row = await db.fetchrow(
        f"SELECT {_COLUMNS} FROM promotion WHERE project_id = ANY ($1::int[]) AND uuid = $2", list(project_ids), uuid
    )
    return from_row(row, await protections.everywhere(row["project_id"])) if row else None


async def lock(project_id: int, uuid: UUID) -> Promotion | None:
    """Return the request, locked; its environment's anchor is locked before."""
    await db.execute("SELECT FROM promotion WHERE project_id = $1 AND uuid = $2 FOR NO KEY UPDATE", project_id, uuid)
    return await get([project_id], uuid)


async def open_of(project_id: int, env_uuid: UUID) -> Promotion | None:
    """Return the request of an environment that is pending or rolling out."""
    row = await db.fetchrow(
        f"SELECT {_COLUMNS} FROM promotion WHERE project_id = $1 AND env_uuid = $2 AND ended_at IS NULL",
        project_id,
        env_uuid,
    )
    return from_row(row, await protections.everywhere(row["project_id"])) if row else None


async def list_page(
    project_id: int, wanted: Wanted, limit: int, before: tuple[str | int, ...] | None, offset: int = 0
) -> list[Promotion]:
    """Return up to ``limit`` requests, newest first; ``before`` is the sort key of the last one."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM promotion WHERE project_id = $1 AND ($2::uuid IS NULL OR env_uuid = $2)"
        " AND (cardinality($3::text[]) = 0 OR status = ANY ($3))"
        " AND ($4::bigint IS NULL OR ((extract(epoch FROM created_at) * 1000000)::bigint, uuid::text)"
        "      < ($4, $5::text))"
        " AND (NOT $7 OR ended_at IS NOT NULL)"
        " ORDER BY (extract(epoch FROM created_at) * 1000000)::bigint DESC, uuid::text DESC LIMIT $6 OFFSET $8",
        project_id,
        wanted.env_uuid,
        [status.value for status in wanted.statuses],
        *(before or (None, None)),
        limit,
        wanted.ended,
        offset,
    )
    protected = await protections.everywhere(project_id)
    return [from_row(row, protected) for row in rows]


def sort_key(promotion: Promotion) -> tuple[int, str]:
    """Return where ``list_page`` puts a request."""
    created = promotion.created_at
    return int(created.timestamp()) * 1_000_000 + created.microsecond, str(promotion.uuid)


async def add(promotion: Promotion) -> Promotion:
    """Insert a request and return it as it stands; its clock is the database's."""
    await db.execute(
        "INSERT INTO promotion (project_id, uuid, env_uuid, strategy, status, plan, checks, conflicts,"
        " carried, content_hash, required_approvals, message, reason, account_uuid, actor, release_uuid, step,"
        " step_started_at, previous_weight, approved_at, ended_at, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,"
        " CASE WHEN $5 IN ('rolling_out', 'pending_approval') THEN NULL ELSE clock_timestamp() END, $21)",
        promotion.project_id,
        promotion.uuid,
        promotion.env_uuid,
        promotion.plan.strategy.value,
        *_state(promotion),
    )
    return await _again(promotion)


def _state(promotion: Promotion) -> tuple[object, ...]:
    return (
        promotion.status.value,
        typed.dump(promotion.plan, Plan),
        typed.dump(promotion.checks, Checks),
        typed.dump(promotion.conflicts, list[DocumentConflict]),
        typed.dump(promotion.carried, list[CarriedChange]),
        promotion.content_hash,
        promotion.required_approvals,
        promotion.message,
        promotion.reason,
        promotion.account_uuid,
        promotion.actor,
        promotion.release_uuid,
        promotion.step,
        promotion.step_started_at,
        promotion.previous_weight,
        promotion.approved_at,
        promotion.expires_at,
    )


async def save(promotion: Promotion) -> Promotion:
    """Write back a locked request; one that is no longer open ends now."""
    await db.execute(
        "UPDATE promotion SET status = $3, plan = $4, checks = $5, conflicts = $6, carried = $7, content_hash = $8,"
        " required_approvals = $9, message = $10, reason = $11, account_uuid = $12, actor = $13, release_uuid = $14,"
        " step = $15, step_started_at = $16, previous_weight = $17, approved_at = $18, expires_at = $19,"
        " ended_at = CASE WHEN $3 IN ('rolling_out', 'pending_approval') THEN NULL"
        "  ELSE coalesce(ended_at, clock_timestamp()) END"
        " WHERE project_id = $1 AND uuid = $2",
        promotion.project_id,
        promotion.uuid,
        *_state(promotion),
    )
    return await _again(promotion)


async def _again(promotion: Promotion) -> Promotion:
    found = await get([promotion.project_id], promotion.uuid)
    if found is None:
        raise LookupError(f"promotion {promotion.uuid} is gone")
    return found


async def overdue() -> list[tuple[int, UUID]]:
    """Return project and UUID of requests of all projects that wait longer than they may."""
    rows = await db.fetch(
        "SELECT project_id, uuid FROM promotion WHERE status = 'pending_approval' AND expires_at <= now()"
        " ORDER BY expires_at LIMIT 1000"
    )
    return [(row["project_id"], row["uuid"]) for row in rows]
