"""A real receiver of webhooks on this machine: keeps what arrives, and answers as it is told."""

import asyncio
import hmac
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from app.storage.codec import loads

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def value(self) -> Any:
        return loads(self.body)

    def signed_with(self) -> Callable[[str], bool]:
        """Return whether one of the signatures was made with a secret, as Standard Webhooks says."""
        text = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body

        def check(secret: str) -> bool:
            key = b64decode(secret.removeprefix("whsec_"))
            expected = "v1," + b64encode(hmac.digest(key, text, sha256)).decode()
            return expected in self.headers["webhook-signature"].split(" ")

        return check


async def ok(writer: asyncio.StreamWriter) -> None:
    """Say that all is well."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def saying(status: str, text: bytes = b"no", headers: bytes = b"") -> Answer:
    """Return an answer with a status."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n".encode()
        writer.write(head + headers + b"\r\n" + text)

    return answer


async def silence(writer: asyncio.StreamWriter) -> None:
    """Say nothing, for longer than anybody waits."""
    await asyncio.sleep(60)


@dataclass
class Receiver:
    """``answers`` are given one after the other, the last one again and again."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=lambda: [ok])
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=receivers-own"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request and answer it."""
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *lines = head.rstrip("\r\n").split("\r\n")
            headers = {name.lower(): value for name, _, value in (item.partition(": ") for item in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            self.received.append(Received(line, headers, body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            await answer(writer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def until(self, count: int, seconds: float = 20) -> list[Received]:
        """Return what has arrived once there are ``count`` requests."""
        async with asyncio.timeout(seconds):
            while len(self.received) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return self.received


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Have a receiver for the block."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
