"""What somebody waits for goes first: work that nobody waits for begins when nothing else is being changed.

One count per process, and never for long: a server that is always busy does its background work all the same.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LONGEST_WAIT_SECONDS: Final = 0.1


class Foreground:
    """How many changes are under way in this process that somebody waits for."""

    def __init__(self) -> None:
        self._under_way = 0
        self._waiting: list[asyncio.Future[None]] = []

    @contextmanager
    def change(self) -> Iterator[None]:
        """Count a change for as long as it lasts."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def idle(self) -> None:
        """Wait until nothing is under way, at most ``LONGEST_WAIT_SECONDS``."""
        if self._under_way:
            ended = asyncio.get_running_loop().create_future()
            self._waiting.append(ended)
            await asyncio.wait([ended], timeout=LONGEST_WAIT_SECONDS)


FOREGROUND: Final = Foreground()
