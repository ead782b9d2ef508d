"""Giving up a read whose client has gone, and what it waits for in the database with it.

Writes go on: whoever sends one and goes may count on it.
"""

import asyncio
from contextvars import Context
from types import TracebackType
from typing import Final, Self

from litestar.types import HTTPReceiveMessage, Receive

from app.storage.giving_up import GivingUp

PATIENCE_SECONDS: Final = 0.25
"""A request that is answered sooner is not watched: that costs more than it saves."""

GONE: Final = 499
"""What figures and logs have for the status of a request that nobody waits for any more, as nginx calls it."""


class ClientGone(Exception):
    """Nobody waits for the answer."""


class Watched(GivingUp):
    """A block that is run until the client goes, and then raises ClientGone; ``receive`` is to be received from."""

    __slots__ = ("_beginning", "_receive", "_taken", "_watching")

    def __init__(self, receive: Receive) -> None:
        super().__init__(ClientGone)
        self._receive = receive
        self._taken: list[HTTPReceiveMessage] = []
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._beginning = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._begin)
        return self

    async def receive(self) -> HTTPReceiveMessage:
        """Return the next message of the client."""
        return self._taken.pop(0) if self._taken else await self._next()

    def _begin(self) -> None:
        self._watching = asyncio.get_running_loop().create_task(self._watch(), context=Context())

    async def _watch(self) -> None:
        while (message := await self._next())["type"] != "http.disconnect":
            self._taken.append(message)
        self.give_up()

    async def _next(self) -> HTTPReceiveMessage:
        message = await self._receive()
        assert message["type"] in ("http.request", "http.disconnect")
        return message

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._beginning.cancel()
        if self._watching is not None:
            self._watching.cancel()
        await super().__aexit__(kind, error, where)
