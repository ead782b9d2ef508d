"""Messages to webhooks: one row for each webhook and event, which says what is to be sent and how it went.

Who sends holds the webhook's lease, so that messages go out one after the other; a sender that died loses it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from app.domain.webhooks import RETRIED_FOR, Delivery, DeliveryStatus, Outcome
from app.storage import db, webhooks

LEASE: Final = timedelta(seconds=20)
"""Longer than an attempt can take."""

_COLUMNS: Final = (
    "project_id, uuid, webhook_uuid, message_id, version, type, body, status, attempts, next_attempt_at,"
    " last_attempt_at, response_code, duration, error, response_text, created_at"
)


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of a webhook while it is locked; ``busy_until`` is set while another sender holds its lease."""

    url: str
    secrets: tuple[bytes, ...]
    paused: bool
    busy_until: datetime | None
    wake_at: datetime | None


def _from_row(row: db.Record) -> Delivery:
    values = {name: row[name] for name in _COLUMNS.split(", ")}
    return Delivery(**{**values, "status": DeliveryStatus(row["status"])})


async def add(
    project_id: int, webhook_uuid: UUID, messages: Sequence[tuple[str, int | None, str, str]]
) -> list[Delivery]:
    """Add messages (id, version, type, body) to be sent at once; those of versions that are there already, not."""
    rows = await db.fetch(
        "INSERT INTO webhook_delivery (project_id, webhook_uuid, uuid, message_id, version, type, body, retry_until)"
        " SELECT $1, $2, new.uuid, new.message_id, new.version, new.type, new.body, now() + $8"
        " FROM unnest($3::uuid[], $4::text[], $5::bigint[], $6::text[], $7::text[])"
        "  AS new (uuid, message_id, version, type, body)"
        f" ON CONFLICT (project_id, webhook_uuid, version) DO NOTHING RETURNING {_COLUMNS}",
        project_id,
        webhook_uuid,
        [uuid4() for _ in messages],
        *([message[part] for message in messages] for part in range(4)),
        RETRIED_FOR,
    )
    return [_from_row(row) for row in rows]


async def get(project_id: int, webhook_uuid: UUID, uuid: UUID) -> Delivery | None:
    """Return a delivery of the webhook."""
    row = await db.fetchrow(
        f"SELECT {_COLUMNS} FROM webhook_delivery WHERE project_id = $1 AND webhook_uuid = $2 AND uuid = $3",
        project_id,
        webhook_uuid,
        uuid,
    )
    return _from_row(row) if row else None


async def list_page(
    project_id: int, webhook_uuid: UUID, status: DeliveryStatus | None, limit: int, before: tuple[int, UUID] | None
) -> list[Delivery]:
    """Return up to ``limit`` deliveries, the newest first; ``before`` is a sort key."""
    moment, uuid = before or (None, None)
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM webhook_delivery WHERE project_id = $1 AND webhook_uuid = $2"
        " AND ($3::text IS NULL OR status = $3)"
        " AND ($4::bigint IS NULL OR (created_at, uuid) <"
        "  (timestamptz 'epoch' + $4 * interval '1 microsecond', $5::uuid))"
        " ORDER BY created_at DESC, uuid DESC LIMIT $6",
        project_id,
        webhook_uuid,
        status.value if status else None,
        moment,
        uuid,
        limit,
    )
    return [_from_row(row) for row in rows]


def sort_key(delivery: Delivery) -> tuple[int, str]:
    """Return where ``list_page`` puts the delivery."""
    created = delivery.created_at
    return int(created.timestamp()) * 1_000_000 + created.microsecond, str(delivery.uuid)


async def count(project_id: int, webhook_uuid: UUID, status: DeliveryStatus | None) -> int:
    """Return how many deliveries, of a status if one is given, are on record."""
    number: int = await db.fetchval(
        "SELECT count(*) FROM webhook_delivery WHERE project_id = $1 AND webhook_uuid = $2"
        " AND ($3::text IS NULL OR status = $3)",
        project_id,
        webhook_uuid,
        status.value if status else None,
    )
    return number


async def again(delivery: Delivery) -> Delivery | None:
    """Have a message sent again at once, and tried as long as a new one."""
    row = await db.fetchrow(
        "UPDATE webhook_delivery SET status = 'pending', next_attempt_at = now(), retry_until = now() + $3"
        f" WHERE project_id = $1 AND uuid = $2 RETURNING {_COLUMNS}",
        delivery.project_id,
        delivery.uuid,
        RETRIED_FOR,
    )
    return _from_row(row) if row else None


async def hold(project_id: int, webhook_uuid: UUID, lease: UUID) -> Held | None:
    """Lock an enabled webhook and return what a sender with this lease has to know."""
    row = await db.fetchrow(
        "SELECT url, secret, CASE WHEN old_secret_until > clock_timestamp() THEN old_secret END AS old_secret, wake_at,"
        " coalesce(paused_until > clock_timestamp(), false) AS paused,"
        " CASE WHEN lease <> $3 AND leased_until > clock_timestamp() THEN leased_until END AS busy_until"
        " FROM webhook WHERE project_id = $1 AND uuid = $2 AND enabled FOR NO KEY UPDATE",
        project_id,
        webhook_uuid,
        lease,
    )
    if row is None:
        return None
    sealed = [secret for secret in (row["secret"], row["old_secret"]) if secret is not None]
    return Held(
        url=row["url"],
        secrets=tuple(webhooks.unseal(project_id, webhook_uuid, secret) for secret in sealed),
        paused=row["paused"],
        busy_until=row["busy_until"],
        wake_at=row["wake_at"],
    )


async def take(project_id: int, webhook_uuid: UUID, lease: UUID) -> Delivery | None:
    """Return the message of a locked webhook that is to be sent next, and take or prolong the lease for it."""
    row = await db.fetchrow(
        f"SELECT {_COLUMNS} FROM webhook_delivery WHERE project_id = $1 AND webhook_uuid = $2 AND status = 'pending'"
        " AND next_attempt_at <= clock_timestamp() ORDER BY version NULLS FIRST, created_at LIMIT 1",
        project_id,
        webhook_uuid,
    )
    if row is None:
        return None
    await db.execute(
        "UPDATE webhook SET lease = $3, leased_until = clock_timestamp() + $4 WHERE project_id = $1 AND uuid = $2",
        project_id,
        webhook_uuid,
        lease,
        LEASE,
    )
    return _from_row(row)


async def settle(delivery: Delivery, outcome: Outcome, delay: timedelta) -> DeliveryStatus | None:
    """Record an attempt; one that failed is followed by another after ``delay``, unless its time is over.

    Returns the status then; None if the delivery is gone.
    """
    status: str | None = await db.fetchval(
        "UPDATE webhook_delivery SET attempts = attempts + 1, last_attempt_at = clock_timestamp(), response_code = $3,"
        " duration = $4, error = $5, response_text = $6, status = next.status,"
        " next_attempt_at = CASE WHEN next.status = 'pending' THEN least(clock_timestamp() + $9, retry_until) END"
        " FROM (SELECT CASE WHEN $7 THEN 'delivered' WHEN $8 OR retry_until <= clock_timestamp() THEN 'failed'"
        "       ELSE 'pending' END AS status FROM webhook_delivery WHERE project_id = $1 AND uuid = $2) AS next"
        " WHERE project_id = $1 AND uuid = $2 RETURNING webhook_delivery.status",
        delivery.project_id,
        delivery.uuid,
        outcome.response_code,
        outcome.duration,
        outcome.error,
        outcome.response_text,
        outcome.delivered,
        outcome.gone,
        delay,
    )
    return DeliveryStatus(status) if status else None


async def note_success(project_id: int, webhook_uuid: UUID) -> None:
    """Note that the webhook's receiver works."""
    await db.execute(
        "UPDATE webhook SET failures = 0, failing_since = NULL, paused_until = NULL"
        " WHERE project_id = $1 AND uuid = $2 AND (failures > 0 OR failing_since IS NOT NULL)",
        project_id,
        webhook_uuid,
    )


async def note_failure(project_id: int, webhook_uuid: UUID) -> tuple[int, bool]:
    """Note a failed attempt; return how many there were in a row, and whether they go back further than retries do."""
    row = await db.fetchrow(
        "UPDATE webhook SET failures = failures + 1, failing_since = coalesce(failing_since, clock_timestamp())"
        " WHERE project_id = $1 AND uuid = $2"
        " RETURNING failures, failing_since <= clock_timestamp() - $3::interval AS long",
        project_id,
        webhook_uuid,
        RETRIED_FOR,
    )
    return (row["failures"], row["long"]) if row else (1, False)


async def pause(project_id: int, webhook_uuid: UUID, length: timedelta) -> None:
    """Send nothing to a webhook for a while."""
    await db.execute(
        "UPDATE webhook SET paused_until = clock_timestamp() + $3 WHERE project_id = $1 AND uuid = $2",
        project_id,
        webhook_uuid,
        length,
    )


async def release(project_id: int, webhook_uuid: UUID, lease: UUID) -> tuple[datetime, bool] | None:
    """Give back the lease of a locked webhook; return when something is to be sent next, and whether that is now."""
    await db.execute(
        "UPDATE webhook SET lease = NULL, leased_until = NULL WHERE project_id = $1 AND uuid = $2 AND lease = $3",
        project_id,
        webhook_uuid,
        lease,
    )
    row = await db.fetchrow(
        "SELECT at, at <= clock_timestamp() AS due FROM ("
        " SELECT greatest(min(next_attempt_at), max(paused_until)) AS at"
        " FROM webhook_delivery delivery JOIN webhook USING (project_id)"
        " WHERE project_id = $1 AND webhook.uuid = $2 AND webhook_uuid = $2 AND status = 'pending') next"
        " WHERE at IS NOT NULL",
        project_id,
        webhook_uuid,
    )
    return (row["at"], row["due"]) if row else None


async def wake_at(project_id: int, webhook_uuid: UUID, moment: datetime) -> bool:
    """Note that a locked webhook's sender is promised for ``moment``; return False if an earlier one is already."""
    return (
        await db.execute(
            "UPDATE webhook SET wake_at = $3 WHERE project_id = $1 AND uuid = $2"
            " AND (wake_at IS NULL OR wake_at <= clock_timestamp() OR wake_at > $3)",
            project_id,
            webhook_uuid,
            moment,
        )
        > 0
    )


async def forget_old() -> None:
    """Remove the log of what was made 30 days ago."""
    removed = 5_000
    while removed == 5_000:
        removed = await db.execute(
            "DELETE FROM webhook_delivery WHERE (project_id, uuid) IN (SELECT project_id, uuid FROM webhook_delivery"
            " WHERE created_at < now() - interval '30 days' ORDER BY created_at LIMIT 5000)"
        )
