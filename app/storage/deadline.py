"""How long a request may take: whatever it waits for then is cancelled, statements in the database included."""

import asyncio
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from app.domain.serving_errors import DeadlineExceeded
from app.storage.giving_up import GivingUp

seconds: float | None = 10.0
"""What requests of this process get; None if they may take for ever."""


class _Deadline(GivingUp):
    __slots__ = ("_due", "_token")

    def __init__(self) -> None:
        super().__init__(DeadlineExceeded)
        self._due: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._token: Token[_Deadline | None] = _running.set(self)
        if seconds is not None:
            self._due = asyncio.get_running_loop().call_later(seconds, self.give_up)
        return self

    def move(self, when: float | None) -> None:
        """Be due at ``when`` by the loop's clock, None for never; unless it never was, or is over."""
        if self._due is not None:
            self._due.cancel()
            self._due = None if when is None else asyncio.get_running_loop().call_at(when, self.give_up)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.move(None)
        _running.reset(self._token)
        await super().__aexit__(kind, error, where)


_running: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


def kept() -> _Deadline:
    """Give the block its time. Entering it raises nothing, leaving it DeadlineExceeded."""
    return _Deadline()


def lift() -> None:
    """Let the current request take as long as it does: it streams, and is bounded in another way."""
    running = _running.get()
    if running is not None:
        running.move(None)


def extend(more: float) -> None:
    """Let the current request take ``more`` seconds from now on: it has begun something known to be long."""
    running = _running.get()
    if running is not None:
        running.move(asyncio.get_running_loop().time() + more)
