"""WebSocket clients of a served process that can also do what a well-behaved client never does."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.processes.served import Served

PROTOCOL: Final = "graphql-transport-ws"
EVENTS: Final = """
    subscription ($p: Int!, $after: String) { environmentEvents(projectId: $p, after: $after) { cursor type } }
"""
SECONDS: Final = 10.0

Message = dict[str, Any]


class Socket:
    """A connection that sends and gets messages of the protocol one by one."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, *messages: Mapping[str, Any] | str | bytes) -> None:
        for message in messages:
            await self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def get(self, seconds: float = SECONDS) -> Message:
        message: Message = json.loads(await asyncio.wait_for(self.connection.recv(), seconds))
        return message

    async def begin(self, token: str) -> "Socket":
        await self.send({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
        assert await self.get() == {"type": "connection_ack"}
        return self

    async def subscribe(self, name: str, query: str, **variables: Any) -> "Socket":
        await self.send({"id": name, "type": "subscribe", "payload": {"query": query, "variables": variables}})
        return self

    async def closed(self, seconds: float = SECONDS) -> tuple[int, str, list[Message]]:
        """Return the code and the reason with which the server closes, and what comes before."""
        got: list[Message] = []
        with suppress(ConnectionClosed):
            while True:
                got.append(await self.get(seconds))
        return self.connection.close_code or 0, self.connection.close_reason or "", got


@asynccontextmanager
async def opened(server: Served, *protocols: str, **options: Any) -> AsyncIterator[Socket]:
    """Connect to the server's GraphQL door."""
    address = server.url.replace("http://", "ws://") + "/graphql"
    names = [Subprotocol(name) for name in protocols or (PROTOCOL,)]
    async with connect(address, subprotocols=names, open_timeout=SECONDS, **options) as connection:
        yield Socket(connection)
