"""The queue of jobs: PgQueuer's tables, written in our own transactions.

PgQueuer's ``dedupe_key`` is not used. It also refuses a job while an equal one runs, which may have read already
what the new one is about; and where that refusal is an error, it ends the transaction.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from app.storage import db, wakes

_CLEANED_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class DeadJob:
    """Jobs of one kind that failed too often; ``failure`` is the kind of the last one's last error."""

    kind: str
    count: int
    since: datetime
    failure: str | None


async def hold_waiting(kind: str, payload: bytes) -> bool:
    """Return whether an equal job waits to be run now; it goes on waiting until the current transaction ends."""
    row = await db.fetchval(
        # A worker takes jobs with SKIP LOCKED, and so does not take this one.
        "SELECT id FROM pgqueuer WHERE entrypoint = $1 AND payload = $2 AND status = 'queued'"
        " AND execute_after <= now() LIMIT 1 FOR SHARE SKIP LOCKED",
        kind,
        payload,
    )
    return row is not None


async def is_known(kind: str, payload: bytes) -> bool:
    """Return whether an equal job waits, runs, or is to be tried again; not whether one is put off to a time."""
    known: bool = await db.fetchval(
        "SELECT EXISTS (SELECT FROM pgqueuer WHERE entrypoint = $1 AND payload = $2 AND ("
        " status = 'picked' OR (status = 'queued' AND (attempts > 0 OR execute_after <= now()))))",
        kind,
        payload,
    )
    return known


async def begun_in_vain(job_id: int) -> int:
    """Return how often a job was begun since it last ended in any way: more than once if its workers died of it."""
    count: int = await db.fetchval(
        "SELECT count(*) FROM pgqueuer_log WHERE job_id = $1 AND status = 'picked' AND id > coalesce("
        " (SELECT max(id) FROM pgqueuer_log WHERE job_id = $1 AND status IN ('queued', 'failed')), 0)",
        job_id,
    )
    return count


async def add(kind: str, payload: bytes, at: datetime | None = None) -> None:
    """Add a job to the current transaction, to be run at once or from ``at`` on."""
    await db.execute(
        "INSERT INTO pgqueuer (priority, status, entrypoint, payload, execute_after)"
        " VALUES (0, 'queued', $1, $2, coalesce($3, now()))",
        kind,
        payload,
        at,
    )
    wakes.promised()


def insertion(kind: str, payload: str, source: str) -> str:
    """Return ``INSERT INTO pgqueuer … SELECT`` of a job to be run at once, as a part of a statement that has its cause.

    ``payload`` is an expression, ``source`` what stands after it: FROM and WHERE. The caller wakes a worker.
    """
    columns = "priority, status, entrypoint, payload, execute_after"
    return f"INSERT INTO pgqueuer ({columns}) SELECT 0, 'queued', '{kind}', {payload}, now() {source}"


async def unfinished(kind: str, payload: bytes) -> bool:
    """Return whether an equal job has yet to begin, now or after a failure, or was laid aside."""
    found: bool = await db.fetchval(
        "SELECT EXISTS (SELECT FROM pgqueuer WHERE entrypoint = $1 AND payload = $2"
        " AND status IN ('queued', 'failed'))",
        kind,
        payload,
    )
    return found


async def dead() -> list[DeadJob]:
    """Return what was laid aside, by kind."""
    rows = await db.fetch(
        "SELECT entrypoint, count(*) AS count, min(created) AS since,"
        " (SELECT log.traceback ->> 'exception_message' FROM pgqueuer_log log"
        "  WHERE log.job_id = max(job.id) AND log.status = 'failed' ORDER BY log.created DESC LIMIT 1) AS failure"
        " FROM pgqueuer job WHERE status = 'failed' GROUP BY entrypoint ORDER BY min(created)"
    )
    return [DeadJob(row["entrypoint"], row["count"], row["since"], row["failure"]) for row in rows]


async def revive() -> int:
    """Put what was laid aside back into the queue."""
    revived = await db.execute(
        "UPDATE pgqueuer SET status = 'queued', attempts = 0, execute_after = now(), updated = now(),"
        " queue_manager_id = NULL, slot = NULL WHERE status = 'failed'"
    )
    wakes.promised()
    return revived


async def late(seconds: int) -> int:
    """Return how many jobs could have been run for ``seconds`` and were not: no worker is at work, or too few."""
    count: int = await db.fetchval(
        "SELECT count(*) FROM pgqueuer WHERE status = 'queued' AND execute_after < now() - make_interval(secs => $1)",
        seconds,
    )
    return count


async def clean() -> None:
    """Remove the log of jobs older than a day, but for those that were laid aside."""
    removed = _CLEANED_AT_ONCE
    while removed == _CLEANED_AT_ONCE:
        removed = await db.execute(
            "DELETE FROM pgqueuer_log WHERE id IN ("
            " SELECT id FROM pgqueuer_log log WHERE created < now() - interval '1 day'"
            "  AND NOT EXISTS (SELECT FROM pgqueuer job WHERE job.id = log.job_id AND job.status = 'failed')"
            " ORDER BY created LIMIT $1)",
            _CLEANED_AT_ONCE,
        )


async def connect(dsn: str) -> "asyncpg.Connection[asyncpg.Record]":
    """Open a worker's own connection, on which it takes jobs and listens."""
    settings = {"application_name": "strata worker", "statement_timeout": "5s", "lock_timeout": "2s", "timezone": "UTC"}
    return await asyncpg.connect(dsn, timeout=10, server_settings=settings)
