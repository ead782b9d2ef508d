"""Login sessions: each row is a family of refresh tokens, of which only the latest one counts."""

from typing import Final
from uuid import UUID

from app.storage import db

MAX_SESSIONS: Final = 100
"""Sessions that an account keeps; logging in once more ends the oldest."""


async def add(uuid: UUID, account_uuid: UUID, secret_hash: bytes, seconds: int) -> None:
    """Insert a session that ends in ``seconds``, with its first refresh token."""
    await db.execute(
        "DELETE FROM login_session WHERE uuid IN (SELECT uuid FROM login_session WHERE account_uuid = $1"
        " AND (expires_at < now() OR uuid NOT IN (SELECT uuid FROM login_session WHERE account_uuid = $1"
        "   ORDER BY created_at DESC LIMIT $2)) FOR UPDATE SKIP LOCKED)",
        account_uuid,
        MAX_SESSIONS - 1,
    )
    await db.execute(
        "INSERT INTO login_session (uuid, account_uuid, number, secret_hash, expires_at)"
        " VALUES ($1, $2, 1, $3, now() + make_interval(secs => $4))",
        uuid,
        account_uuid,
        secret_hash,
        float(seconds),
    )


async def advance(uuid: UUID, number: int, secret_hash: bytes, next_hash: bytes) -> UUID | None:
    """Exchange the session's refresh token for its next one and return the account.

    None, and nothing is changed, if the session has ended or the token is not its latest; of two that try at
    once, one gets None.
    """
    account: UUID | None = await db.fetchval(
        "UPDATE login_session SET number = number + 1, secret_hash = $4, refreshed_at = now()"
        " WHERE uuid = $1 AND number = $2 AND secret_hash = $3 AND revoked_at IS NULL AND expires_at > now()"
        " RETURNING account_uuid",
        uuid,
        number,
        secret_hash,
        next_hash,
    )
    return account


async def exchanged_lately(uuid: UUID, number: int, seconds: float) -> UUID | None:
    """Return the account of a living session whose latest refresh token replaced ``number`` within ``seconds``."""
    account: UUID | None = await db.fetchval(
        "SELECT account_uuid FROM login_session WHERE uuid = $1 AND number = $2 + 1 AND revoked_at IS NULL"
        " AND expires_at > now() AND refreshed_at > now() - make_interval(secs => $3)",
        uuid,
        number,
        seconds,
    )
    return account


async def end(uuid: UUID, *, used: int | None = None) -> UUID | None:
    """Revoke a session and return its account; None if it had ended before.

    With ``used``, only if its refresh token of that number has been exchanged already.
    """
    account: UUID | None = await db.fetchval(
        "UPDATE login_session SET revoked_at = now() WHERE uuid = $1 AND revoked_at IS NULL"
        " AND ($2::integer IS NULL OR number > $2) RETURNING account_uuid",
        uuid,
        used,
    )
    return account


async def end_all(account_uuid: UUID) -> list[UUID]:
    """Revoke all sessions of the account and return which they were."""
    rows = await db.fetch(
        "UPDATE login_session SET revoked_at = now() WHERE account_uuid = $1 AND revoked_at IS NULL RETURNING uuid",
        account_uuid,
    )
    return [row["uuid"] for row in rows]
