"""What waits in the database: jobs, messages to webhooks, events that they have yet to be told of."""

import asyncio
from dataclasses import dataclass
from typing import Final

from app.storage import db
from app.storage.codec import loads

_PATIENCE: Final = 1.5

_SQL: Final = """
SELECT (SELECT json_object_agg(status, number) FROM (
            SELECT status::text AS status, count(*) AS number FROM pgqueuer GROUP BY 1) job)::text AS jobs,
       coalesce((SELECT extract(epoch FROM now() - min(execute_after)) FROM pgqueuer
                 WHERE status = 'queued' AND execute_after <= now()), 0)::float8 AS job_seconds,
       (SELECT count(*) FROM webhook_delivery WHERE status = 'pending') AS messages,
       coalesce((SELECT extract(epoch FROM now() - min(created_at)) FROM webhook_delivery
                 WHERE status = 'pending'), 0)::float8 AS message_seconds,
       coalesce((SELECT max(counter.version - webhook.cursor) FROM webhook JOIN project_counter counter
                 USING (project_id) WHERE webhook.enabled), 0) AS outbox_lag
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """``jobs`` by status; ages are of the oldest that is due, in seconds; ``outbox_lag`` is in versions of a project.

    It is that of the webhook furthest behind.
    """

    jobs: dict[str, int]
    job_seconds: float
    messages: int
    message_seconds: float
    outbox_lag: int


async def read() -> Backlog:
    """Return what waits. Raises DatabaseUnavailable, Overloaded, TimeoutError."""
    async with asyncio.timeout(_PATIENCE):
        row = await db.fetchrow(_SQL)
    assert row is not None
    counted = loads(row["jobs"]) if row["jobs"] else {}
    assert isinstance(counted, dict)
    jobs = {status: int(str(number)) for status, number in counted.items()}
    return Backlog(jobs, row["job_seconds"], row["messages"], row["message_seconds"], row["outbox_lag"])
