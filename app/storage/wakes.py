"""Waking whoever waits for news of a project, or for work, in any process: by NOTIFY, after the commit.

A wake never carries the news.
A transaction that sends NOTIFY commits under one lock of the whole server, so it is sent by a transaction of its
own, for all projects that changed meanwhile. A wake can get lost with its process; who waits looks by himself, too.
"""

import asyncio
from contextvars import Context
from functools import partial
from typing import Final

from app.domain.errors import DatabaseUnavailable
from app.storage import db
from app.storage.after_commit import after_commit

CHANNEL: Final = "strata_event"
_WORK_CHANNEL: Final = "ch_pgqueuer"

# The last one is what PgQueuer understands.
_NOTIFY: Final = """
SELECT pg_notify($1, id::text) FROM unnest($2::int[]) id
UNION ALL
SELECT pg_notify($3::text, json_build_object('type', 'table_changed_event', 'channel', $3::text, 'table', 'pgqueuer',
    'operation', 'insert', 'sent_at', now())::text) WHERE $4::boolean
"""

_changed: set[int] = set()
_promised = False
_sending: asyncio.Task[None] | None = None


def changed(project_id: int) -> None:
    """Wake those who wait for the project when the current transaction has committed."""
    after_commit(partial(_wake, project_id))


def promised() -> None:
    """Wake a worker for a job that the current transaction adds, when it has committed."""
    after_commit(partial(_wake, None))


def _wake(project_id: int | None) -> None:
    global _promised, _sending
    if project_id is None:
        _promised = True
    else:
        _changed.add(project_id)
    loop = asyncio.get_running_loop()
    if _sending is None or _sending.done() or _sending.get_loop() is not loop:
        _sending = loop.create_task(_send(), context=Context())


async def _send() -> None:
    global _promised
    while _changed or _promised:
        project_ids, promised_ = sorted(_changed), _promised
        _changed.clear()
        _promised = False
        try:
            await db.execute(_NOTIFY, CHANNEL, project_ids, _WORK_CHANNEL, promised_)
        except DatabaseUnavailable:
            return


async def sent() -> None:
    """Wait until every wake has been sent; to be called before the pool is closed."""
    if _sending is not None and _sending.get_loop() is asyncio.get_running_loop():
        await asyncio.wait([_sending])
