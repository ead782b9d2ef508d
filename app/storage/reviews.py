"""Approvals of promotion requests, and who may give them (semantics §3, §11.16)."""

from collections.abc import Sequence
from uuid import UUID

from app.domain.promotion import Promotion
from app.storage import db


async def approve(promotion: Promotion, account_uuid: UUID, actor: str, step: int = 0) -> bool:
    """Add an approval of what the request holds now; False if it was there."""
    added = await db.execute(
        "INSERT INTO approval (project_id, promotion_uuid, account_uuid, step, content_hash, actor)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (project_id, promotion_uuid, account_uuid, step, content_hash)"
        " DO UPDATE SET voided_at = NULL, created_at = clock_timestamp() WHERE approval.voided_at IS NOT NULL",
        promotion.project_id,
        promotion.uuid,
        account_uuid,
        step,
        promotion.content_hash,
        actor,
    )
    return added > 0


async def void(promotion: Promotion, account_uuids: Sequence[UUID] | None = None) -> int:
    """Take back the approvals of a request, or those of some who gave them; return how many."""
    return await db.execute(
        "UPDATE approval SET voided_at = clock_timestamp() WHERE project_id = $1 AND promotion_uuid = $2"
        " AND voided_at IS NULL AND ($3::uuid[] IS NULL OR account_uuid = ANY ($3))",
        promotion.project_id,
        promotion.uuid,
        account_uuids,
    )


async def editors(project_id: int, env_uuids: Sequence[UUID]) -> set[UUID]:
    """Return the accounts that wrote into environments, by themselves or with a key that they own.

    What they wrote before an environment was last promoted whole does not count: it is carried no longer, unless
    that release was undone.
    """
    rows = await db.fetch(
        "SELECT DISTINCT audit.account_uuid FROM unnest($2::uuid[]) AS env (uuid)"
        " CROSS JOIN LATERAL (SELECT coalesce(max(release.version), 0) AS version FROM release"
        "  JOIN promotion ON promotion.project_id = $1 AND promotion.uuid = release.promotion_uuid"
        "  WHERE release.project_id = $1 AND release.env_uuid = env.uuid AND promotion.plan ->> 'paths' IS NULL"
        "  AND NOT EXISTS (SELECT FROM release undoing WHERE undoing.project_id = $1"
        "   AND undoing.undoes_uuid = release.uuid)) last"
        " JOIN change ON change.project_id = $1 AND change.env_uuid = env.uuid AND change.version > last.version"
        " JOIN audit ON audit.project_id = $1 AND audit.first_version <= change.version"
        "  AND audit.last_version >= change.version"
        " WHERE change.origin IN ('write', 'revert') AND audit.account_uuid IS NOT NULL",
        project_id,
        env_uuids,
    )
    return {row["account_uuid"] for row in rows}


async def eligible_approvers(project_id: int) -> set[UUID]:
    """Return the accounts that may approve what goes to production: owners and admins."""
    rows = await db.fetch(
        "SELECT account_uuid FROM member WHERE project_id = $1 AND role IN ('owner', 'admin')", project_id
    )
    return {row["account_uuid"] for row in rows}
