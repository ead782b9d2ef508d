"""Whether those who are connected may still be: asked for all of them at once."""

from collections.abc import Collection
from uuid import UUID

from app.storage import db


async def members_among(pairs: Collection[tuple[int, UUID]]) -> set[tuple[int, UUID]]:
    """Return those of the pairs of a project and an account of which the account is a member of the project."""
    rows = await db.fetch(
        "SELECT project_id, account_uuid FROM unnest($1::int[], $2::uuid[]) asked (project_id, account_uuid)"
        " WHERE EXISTS (SELECT FROM member WHERE member.project_id = asked.project_id"
        "  AND member.account_uuid = asked.account_uuid)",
        [project_id for project_id, _ in pairs],
        [account_uuid for _, account_uuid in pairs],
    )
    return {(row["project_id"], row["account_uuid"]) for row in rows}


async def usable_among(keys: Collection[tuple[int, UUID]]) -> set[UUID]:
    """Return those of the API keys, each named by its project and its UUID, that are neither revoked nor expired."""
    rows = await db.fetch(
        "SELECT asked.uuid FROM unnest($1::int[], $2::uuid[]) asked (project_id, uuid)"
        " WHERE EXISTS (SELECT FROM api_key WHERE api_key.project_id = asked.project_id AND api_key.uuid = asked.uuid"
        "  AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp()))",
        [project_id for project_id, _ in keys],
        [uuid for _, uuid in keys],
    )
    return {row["uuid"] for row in rows}
