"""The one connection of a process that listens, outside the pool; it comes back by itself when it is lost."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import asyncpg

from app.storage.wakes import CHANNEL

FIRST_DELAY: Final = 0.05
LONGEST_DELAY: Final = 1.0
# A connection whose other end went without a word is noticed by asking.
_CHECK_SECONDS: Final = 15.0
_PATIENCE: Final = 5.0
_LOST: Final = (OSError, asyncio.TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Listener:
    """Calls ``woken`` with the id of each project that has news, ``connected`` whenever wakes may have been lost."""

    def __init__(self, dsn: str, woken: Callable[[int], None], connected: Callable[[], None]) -> None:
        self._dsn = dsn
        self._woken = woken
        self._connected = connected
        self.listens = False
        """Whether wakes are heard at the moment."""

    async def run(self) -> None:
        """Listen until cancelled."""
        delay = FIRST_DELAY
        while True:
            began = asyncio.get_running_loop().time()
            with suppress(*_LOST):
                await self._listen()
            delay = FIRST_DELAY if asyncio.get_running_loop().time() - began > LONGEST_DELAY else delay * 2
            await asyncio.sleep(min(delay, LONGEST_DELAY) * random.uniform(0.5, 1))  # noqa: S311

    async def _listen(self) -> None:
        lost = asyncio.Event()
        connection = await asyncpg.connect(
            self._dsn, timeout=_PATIENCE, server_settings={"application_name": "strata listening"}
        )
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, lambda *notice: self._woken(int(notice[3])))
            self.listens = True
            self._connected()
            while not lost.is_set():
                try:
                    await asyncio.wait_for(lost.wait(), _CHECK_SECONDS)
                except TimeoutError:
                    await connection.execute("SELECT 1", timeout=_PATIENCE)
        finally:
            self.listens = False
            connection.terminate()
