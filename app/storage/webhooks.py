"""Webhooks: kept with their sealed secrets, found by what is to be done for them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from app.domain.webhooks import OLD_SECRET_LIFE, DisabledReason, Webhook, wants_documents
from app.storage import db, master_key

_PURPOSE: Final = "webhook secret"
_COLUMNS: Final = (
    "project_id, uuid, url, description, events, enabled, disabled_reason, failing_since, old_secret_until, cursor,"
    " created_at, updated_at"
)


def _from_row(row: db.Record) -> Webhook:
    reason = row["disabled_reason"]
    return Webhook(
        project_id=row["project_id"],
        uuid=row["uuid"],
        url=row["url"],
        description=row["description"],
        events=tuple(row["events"]),
        enabled=row["enabled"],
        disabled_reason=DisabledReason(reason) if reason else None,
        failing_since=row["failing_since"],
        old_secret_until=row["old_secret_until"],
        cursor=row["cursor"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def seal(project_id: int, uuid: UUID, secret: bytes) -> bytes:
    """Return a secret as the database keeps it; it opens for this webhook only."""
    return master_key.current().encrypt(_PURPOSE, secret, _owner(project_id, uuid))


def unseal(project_id: int, uuid: UUID, sealed: bytes) -> bytes:
    """Return what ``seal`` was given. Raises MasterKeyError."""
    return master_key.current().decrypt(_PURPOSE, sealed, _owner(project_id, uuid))


def _owner(project_id: int, uuid: UUID) -> bytes:
    return f"{project_id}/{uuid}".encode()


async def list_all(project_id: int) -> list[Webhook]:
    """Return the webhooks of a project, the oldest first."""
    rows = await db.fetch(f"SELECT {_COLUMNS} FROM webhook WHERE project_id = $1 ORDER BY created_at, uuid", project_id)
    return [_from_row(row) for row in rows]


async def get(project_id: int, uuid: UUID) -> Webhook | None:
    """Return a webhook of the project."""
    row = await db.fetchrow(f"SELECT {_COLUMNS} FROM webhook WHERE project_id = $1 AND uuid = $2", project_id, uuid)
    return _from_row(row) if row else None


async def lock(project_id: int, uuid: UUID) -> Webhook | None:
    """Return a webhook, locked."""
    row = await db.fetchrow(
        f"SELECT {_COLUMNS} FROM webhook WHERE project_id = $1 AND uuid = $2 FOR NO KEY UPDATE", project_id, uuid
    )
    return _from_row(row) if row else None


async def lock_enabled(project_id: int) -> list[Webhook]:
    """Return the project's enabled webhooks, locked."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM webhook WHERE project_id = $1 AND enabled ORDER BY uuid FOR NO KEY UPDATE", project_id
    )
    return [_from_row(row) for row in rows]


async def add(
    project_id: int,
    uuid: UUID,
    *,
    url: str,
    description: str,
    events: Sequence[str],
    secret: bytes,
    cursor: int,
) -> Webhook:
    """Add a webhook; it gets what happens after the version ``cursor``. ``secret`` is sealed."""
    row = await db.fetchrow(
        "INSERT INTO webhook (project_id, uuid, url, description, events, wants_documents, secret, cursor)"
        f" VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {_COLUMNS}",
        project_id,
        uuid,
        url,
        description,
        list(events),
        wants_documents(events),
        secret,
        cursor,
    )
    if row is None:
        raise LookupError("no webhook was added")
    return _from_row(row)


async def save(webhook: Webhook) -> Webhook:
    """Write back what may change of a locked webhook."""
    row = await db.fetchrow(
        "UPDATE webhook SET url = $3, description = $4, events = $5, wants_documents = $6, enabled = $7,"
        " disabled_reason = $8, failing_since = $9::timestamptz, cursor = $10,"
        " failures = CASE WHEN $9::timestamptz IS NULL THEN 0 ELSE failures END,"
        " paused_until = CASE WHEN $9::timestamptz IS NULL THEN NULL ELSE paused_until END,"
        " updated_at = clock_timestamp()"
        f" WHERE project_id = $1 AND uuid = $2 RETURNING {_COLUMNS}",
        webhook.project_id,
        webhook.uuid,
        webhook.url,
        webhook.description,
        list(webhook.events),
        wants_documents(webhook.events),
        webhook.enabled,
        webhook.disabled_reason.value if webhook.disabled_reason else None,
        webhook.failing_since,
        webhook.cursor,
    )
    if row is None:
        raise LookupError(f"webhook {webhook.uuid} is gone")
    return _from_row(row)


async def rotate(project_id: int, uuid: UUID, secret: bytes) -> Webhook:
    """Make ``secret``, sealed, the secret of a locked webhook; the one before is good for a while."""
    row = await db.fetchrow(
        "UPDATE webhook SET old_secret = secret, old_secret_until = clock_timestamp() + $4, secret = $3,"
        f" updated_at = clock_timestamp() WHERE project_id = $1 AND uuid = $2 RETURNING {_COLUMNS}",
        project_id,
        uuid,
        secret,
        OLD_SECRET_LIFE,
    )
    if row is None:
        raise LookupError(f"webhook {uuid} is gone")
    return _from_row(row)


async def disable(project_id: int, uuid: UUID, reason: DisabledReason) -> Webhook | None:
    """Stop a locked webhook; None if it was stopped already."""
    row = await db.fetchrow(
        "UPDATE webhook SET enabled = false, disabled_reason = $3, updated_at = clock_timestamp()"
        f" WHERE project_id = $1 AND uuid = $2 AND enabled RETURNING {_COLUMNS}",
        project_id,
        uuid,
        reason.value,
    )
    return _from_row(row) if row else None


async def forget_old_secrets() -> None:
    """Remove the secrets with which nothing is signed any more."""
    await db.execute(
        "UPDATE webhook SET old_secret = NULL, old_secret_until = NULL WHERE old_secret_until <= clock_timestamp()"
    )


async def remove(project_id: int, uuid: UUID) -> None:
    """Delete a webhook with the log of its deliveries."""
    await db.execute("DELETE FROM webhook WHERE project_id = $1 AND uuid = $2", project_id, uuid)


async def advance(project_id: int, uuid: UUID, cursor: int) -> None:
    """Note up to which version a locked webhook's events were handed to it."""
    await db.execute("UPDATE webhook SET cursor = $3 WHERE project_id = $1 AND uuid = $2", project_id, uuid, cursor)


async def any_enabled(project_id: int) -> bool:
    """Return whether the project has a webhook that gets events."""
    found: bool = await db.fetchval("SELECT EXISTS (SELECT FROM webhook WHERE project_id = $1 AND enabled)", project_id)
    return found


async def with_news(project_ids: Sequence[int] | None = None) -> list[int]:
    """Return the projects, of these or of all, that have a webhook which has not seen the newest version.

    Of these: only for webhooks that want changes of single documents; other events promise their own job.
    """
    rows = await db.fetch(
        "SELECT DISTINCT project_id FROM webhook JOIN project_counter counter USING (project_id)"
        " WHERE enabled AND cursor < counter.version"
        " AND ($1::int[] IS NULL OR (wants_documents AND project_id = ANY($1)))",
        None if project_ids is None else list(project_ids),
    )
    return [row["project_id"] for row in rows]


async def overdue(moment: datetime | None = None) -> list[tuple[int, UUID]]:
    """Return the webhooks with messages that should have been tried by now, and with nobody at work on them."""
    rows = await db.fetch(
        "SELECT DISTINCT project_id, webhook.uuid FROM webhook_delivery JOIN webhook USING (project_id)"
        " WHERE webhook_uuid = webhook.uuid AND status = 'pending' AND enabled"
        " AND greatest(next_attempt_at, coalesce(paused_until, next_attempt_at),"
        "              coalesce(leased_until, next_attempt_at)) < coalesce($1, now() - interval '30 seconds')",
        moment,
    )
    return [(row["project_id"], row["uuid"]) for row in rows]
