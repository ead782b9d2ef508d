"""Waking whoever waits for news of a project, in any process: by NOTIFY, after the commit, and never with the news.

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

_changed: set[int] = set()
_sending: asyncio.Task[None] | None = None


def changed(project_id: int) -> None:
    """Wake those who wait for the project when the current transaction has committed."""
    after_commit(partial(_wake, project_id))


def _wake(project_id: int) -> None:
    global _sending
    _changed.add(project_id)
    loop = asyncio.get_running_loop()
    if _sending is None or _sending.done() or _sending.get_loop() is not loop:
        _sending = loop.create_task(_send(), context=Context())


async def _send() -> None:
    while _changed:
        project_ids = sorted(_changed)
        _changed.clear()
        try:
            await db.execute("SELECT pg_notify($1, id::text) FROM unnest($2::int[]) id", CHANNEL, project_ids)
        except DatabaseUnavailable:
            return


async def sent() -> None:
    """Wait until every wake has been sent; to be called before the pool is closed."""
    if _sending is not None and _sending.get_loop() is asyncio.get_running_loop():
        await asyncio.wait([_sending])
