"""Small work that an answer does not wait for, and that may be lost: it is only begun, never promised."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Final

from app.services.failures import log_failure

_PATIENCE: Final = 5.0
_running: set[asyncio.Task[None]] = set()


def begin(work: Coroutine[None, None, None]) -> None:
    """Run ``work`` beside the caller, outside its transaction."""
    task = asyncio.get_running_loop().create_task(_logged(work), context=Context())
    _running.add(task)
    task.add_done_callback(_running.discard)


async def finish() -> None:
    """Wait for what is still running, so that the pool can close."""
    if _running:
        await asyncio.wait(_running, timeout=_PATIENCE)


async def _logged(work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except Exception as error:
        log_failure(error, "background")
