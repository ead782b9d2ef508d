"""How long a request may take: whatever it waits for then is cancelled, statements in the database included."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar

from app.domain.serving_errors import DeadlineExceeded

seconds: float | None = 10.0
"""What requests of this process get; None if they may take for ever."""

_running: ContextVar[asyncio.Timeout | None] = ContextVar("deadline", default=None)


@asynccontextmanager
async def kept() -> AsyncIterator[None]:
    """Give the block its time. Raises DeadlineExceeded."""
    timeout = asyncio.timeout(seconds)
    token = _running.set(timeout)
    try:
        async with timeout:
            yield
    except TimeoutError:
        if timeout.expired():
            raise DeadlineExceeded from None
        raise
    finally:
        _running.reset(token)


def lift() -> None:
    """Let the current request take as long as it does: it streams, and is bounded in another way."""
    _move(None)


def extend(more: float) -> None:
    """Let the current request take ``more`` seconds from now on: it has begun something known to be long."""
    _move(asyncio.get_running_loop().time() + more)


def _move(when: float | None) -> None:
    timeout = _running.get()
    if timeout is None or timeout.when() is None:
        return
    # It may be over: what a request began can outlive it.
    with suppress(RuntimeError):
        timeout.reschedule(when)
