"""A block of code that can be given up from outside, with an error that says why.

What ``asyncio.timeout`` does, for whoever enters such a block with each request: it costs half of that.
"""

import asyncio
from types import TracebackType
from typing import Self


class GivingUp:
    """An asynchronous context manager; whatever its block waits for is cancelled by ``give_up``."""

    __slots__ = ("_before", "_error", "_given_up", "_over", "_task")

    def __init__(self, error: type[Exception]) -> None:
        self._error = error
        self._given_up = False
        self._over = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._before = task.cancelling()
        return self

    def give_up(self) -> None:
        """Have the block raise its error, unless it has been left."""
        if not self._given_up and not self._over:
            self._given_up = True
            self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._over = True
        # If somebody else cancelled as well, that comes first.
        cancelled = self._given_up and self._task.uncancel() <= self._before
        if cancelled and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise self._error from None
