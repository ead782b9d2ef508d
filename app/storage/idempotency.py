"""Answers kept for repeated requests, in the transaction of what they answer."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from app.domain.audit import Action
from app.domain.errors import IdempotencyInProgress
from app.storage import db

KEPT_FOR: Final = "interval '24 hours'"
# Each new key removes more than one row that has expired, so the table does not grow for want of a sweep.
_SWEPT_EACH: Final = 2


@dataclass(frozen=True, slots=True)
class Scope:
    """One key of one caller for one operation. Of the key only a hash is known here."""

    principal_uuid: UUID
    action: Action
    key_hash: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """The first request, by its fingerprint, and its answer."""

    fingerprint: bytes
    project_id: int | None
    answer: str


async def reserve(scope: Scope, fingerprint: bytes) -> Kept | None:
    """Take the key, or return what was kept under it in the last 24 hours.

    Waits for a transaction that holds the key, for as long as for any lock. Raises IdempotencyInProgress.
    """
    try:
        taken = await db.fetchval(
            "WITH swept AS (DELETE FROM idempotency WHERE (principal_uuid, operation, key_hash) IN"
            "  (SELECT principal_uuid, operation, key_hash FROM idempotency WHERE expires_at <= now()"
            "   AND (principal_uuid, operation, key_hash) <> ($1, $2, $3)"
            f"   ORDER BY expires_at LIMIT {_SWEPT_EACH} FOR UPDATE SKIP LOCKED))"
            " INSERT INTO idempotency AS known"
            " (principal_uuid, operation, key_hash, fingerprint, created_at, expires_at)"
            f" VALUES ($1, $2, $3, $4, now(), now() + {KEPT_FOR}) ON CONFLICT (principal_uuid, operation, key_hash)"
            " DO UPDATE SET fingerprint = EXCLUDED.fingerprint, project_id = NULL, answer = NULL,"
            " created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at WHERE known.expires_at <= now()"
            " RETURNING true",
            *_key(scope),
            fingerprint,
        )
    except asyncpg.LockNotAvailableError:
        raise IdempotencyInProgress from None
    return None if taken else await _kept(scope)


async def _kept(scope: Scope) -> Kept:
    row = await db.fetchrow(
        "SELECT fingerprint, project_id, answer FROM idempotency"
        " WHERE principal_uuid = $1 AND operation = $2 AND key_hash = $3",
        *_key(scope),
    )
    if row is None:
        raise db.Retry
    return Kept(row["fingerprint"], row["project_id"], row["answer"])


async def keep(scope: Scope, project_id: int | None, answer: str) -> None:
    """Keep the answer under the key that this transaction took."""
    await db.execute(
        "UPDATE idempotency SET project_id = $4, answer = $5"
        " WHERE principal_uuid = $1 AND operation = $2 AND key_hash = $3",
        *_key(scope),
        project_id,
        answer,
    )


def _key(scope: Scope) -> tuple[UUID, str, bytes]:
    return scope.principal_uuid, scope.action.value, scope.key_hash


async def sweep(limit: int) -> int:
    """Remove up to ``limit`` rows that have expired; return how many there were."""
    return await db.execute(
        "DELETE FROM idempotency WHERE (principal_uuid, operation, key_hash) IN"
        " (SELECT principal_uuid, operation, key_hash FROM idempotency WHERE expires_at <= now()"
        "  ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit,
    )
