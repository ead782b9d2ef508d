"""What the ASGI server benchmark serves, and how each server is started in its own process.

``python -m tests.bench.asgi_served NAME PORT [--closing-first]`` serves until SIGTERM.
"""

import argparse
import asyncio
import contextlib
import signal
import socket
from typing import Any

import uvicorn
import uvloop
from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.server.embed import Server as EmbeddedGranian
from litestar import Litestar, WebSocket, get, websocket
from litestar.exceptions import WebSocketDisconnect

MAX_CONNECTIONS = 4_096
DOCUMENT: dict[str, dict[str, str | int]] = {
    f"key_{n}": {"name": f"feature {n}", "enabled": True, "weight": n} for n in range(17)
}
UVICORN_SOCKETS = {
    "uvicorn sansio": "websockets-sansio",
    "uvicorn legacy": "websockets",
    "uvicorn wsproto": "wsproto",
}
EMBEDDED, ONE_WORKER = "granian embedded", "granian 1 worker"

AnySocket = WebSocket[Any, Any, Any]


class Hub:
    """The subscribers of ``/feed``; closing it sends each a last ``complete`` and close code 1001."""

    def __init__(self) -> None:
        self.inboxes: set[asyncio.Queue[str | None]] = set()
        self.left = asyncio.Event()

    def leave(self, inbox: asyncio.Queue[str | None]) -> None:
        self.inboxes.discard(inbox)
        self.left.set()

    def publish(self, text: str | None) -> None:
        for inbox in self.inboxes:
            inbox.put_nowait(text)

    async def close(self) -> None:
        self.publish(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                while self.inboxes:
                    self.left.clear()
                    await self.left.wait()


hub = Hub()


@get("/json")
async def read_document() -> dict[str, dict[str, str | int]]:
    return DOCUMENT


@get("/slow")
async def answer_late() -> str:
    await asyncio.sleep(1)
    return "late but whole"


@get("/publish")
async def publish() -> str:
    hub.publish("x" * 100)
    return "sent"


@websocket("/echo")
async def echo(socket: AnySocket) -> None:
    await socket.accept()
    async for text in socket.iter_data("text"):
        await socket.send_text(text)


async def forward(socket: AnySocket, inbox: asyncio.Queue[str | None]) -> None:
    while (text := await inbox.get()) is not None:
        await socket.send_text(text)
    with contextlib.suppress(Exception):  # each server has its own error for "already closed"
        await socket.send_text("complete")
        await socket.close(1001)
    hub.leave(inbox)


@websocket("/feed")
async def feed(socket: AnySocket) -> None:
    await socket.accept()
    inbox: asyncio.Queue[str | None] = asyncio.Queue()
    hub.inboxes.add(inbox)
    writer = asyncio.create_task(forward(socket, inbox))
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()
    hub.leave(inbox)
    writer.cancel()


app = Litestar(
    [read_document, answer_late, publish, echo, feed],
    on_shutdown=[hub.close],
    openapi_config=None,
    logging_config=None,
)


class ClosingFirst(uvicorn.Server):
    """uvicorn that lets the application end its subscriptions before the sockets are closed."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await hub.close()
        await super().shutdown(sockets)


def serve_uvicorn(name: str, port: int, closing_first: bool) -> None:
    config = uvicorn.Config(
        app,
        port=port,
        loop="uvloop",
        http="httptools",
        ws=UVICORN_SOCKETS[name],
        ws_per_message_deflate=False,
        access_log=False,
        log_level="critical",
        lifespan="on",
    )
    (ClosingFirst if closing_first else uvicorn.Server)(config).run()


async def serve_embedded(port: int, closing_first: bool) -> None:
    server = EmbeddedGranian(
        app,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        backlog=2048,
        backpressure=MAX_CONNECTIONS,  # bounds kept-alive connections, not work
        log_enabled=False,
    )
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    serving = asyncio.create_task(server.serve())
    await stopping.wait()
    if closing_first:
        await hub.close()
    server.stop()  # type: ignore[no-untyped-call]
    await serving


def serve(name: str, port: int, closing_first: bool) -> None:
    if name in UVICORN_SOCKETS:
        serve_uvicorn(name, port, closing_first)
    elif name == EMBEDDED:
        uvloop.run(serve_embedded(port, closing_first))
    else:
        Granian(
            "tests.bench.asgi_served:app",
            port=port,
            interface=Interfaces.ASGI,
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            backlog=2048,
            backpressure=MAX_CONNECTIONS,
            log_enabled=False,
        ).serve()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=[*UVICORN_SOCKETS, EMBEDDED, ONE_WORKER])
    parser.add_argument("port", type=int)
    parser.add_argument("--closing-first", action="store_true")
    options = parser.parse_args()
    serve(options.name, options.port, options.closing_first)
