"""Clients cheap enough not to be what an ASGI server benchmark measures."""

import asyncio
import contextlib
import re
import shutil
import statistics
import time
from collections.abc import AsyncIterator
from typing import NamedTuple, cast

HTTP_CONNECTIONS = 32


def request(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: bench", *headers, "", ""]).encode()


def handshake(path: str) -> bytes:
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    return request(path, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key)


def masked(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame; the mask is zero, so the payload (below 126 bytes) stays as it is."""
    return bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload


class ClosedLoop(asyncio.Protocol):
    """One connection that sends its request again as soon as the whole reply is in; latencies in seconds."""

    def __init__(self, opening: bytes, payload: bytes, reply_size: int) -> None:
        self.opening, self.payload, self.reply_size = opening, payload, reply_size
        self.latencies: list[float] = []
        self.ready = asyncio.get_running_loop().create_future()
        self.missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        if self.opening:
            self.transport.write(self.opening)
        else:
            self.ready.set_result(None)

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            self.ready.set_result(None)
            return
        self.missing -= len(data)
        if self.missing <= 0:
            self.latencies.append(time.perf_counter() - self.sent)
            self.send()

    def send(self) -> None:
        self.missing, self.sent = self.reply_size, time.perf_counter()
        self.transport.write(self.payload)


class Load(NamedTuple):
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float


async def closed_loop(port: int, clients: list[ClosedLoop], seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
        await asyncio.wait_for(client.ready, 5)
    began = time.perf_counter()
    for client in clients:
        client.send()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    latencies = [latency * 1e3 for client in clients for latency in client.latencies]
    for client in clients:
        client.transport.abort()
    cuts = statistics.quantiles(latencies, n=100)
    return Load(len(latencies), len(latencies) / took, cuts[49], cuts[98])


async def load_http(port: int, seconds: float) -> Load:
    """Keep 32 connections busy with ``wrk``, or with a Python client where there is no ``wrk``."""
    if shutil.which("wrk") is None:
        ask = request("/json")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ask)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        length = re.search(rb"content-length: (\d+)", head.lower())
        assert length is not None
        clients = [ClosedLoop(b"", ask, len(head) + int(length[1])) for _ in range(HTTP_CONNECTIONS)]
        return await closed_loop(port, clients, seconds)
    wrk = [
        "wrk",
        "-t1",
        f"-c{HTTP_CONNECTIONS}",
        f"-d{seconds:.0f}s",
        "--latency",
        f"http://127.0.0.1:{port}/json",
    ]
    process = await asyncio.create_subprocess_exec(*wrk, stdout=asyncio.subprocess.PIPE)
    said = (await process.communicate())[0].decode()
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    scale = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    p50, p99 = (float(value) * scale[unit] for value, unit in re.findall(r"(?:50|99)%\s+([\d.]+)(us|ms|s)", said))
    rate, count = re.search(r"Requests/sec:\s+([\d.]+)", said), re.search(r"(\d+) requests in", said)
    assert rate is not None
    assert count is not None
    return Load(int(count[1]), float(rate[1]), p50, p99)


class Subscriber(asyncio.Protocol):
    """A client of ``/feed``: its last text and the code it was closed with (1006: no close frame)."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.open, self.closed = loop.create_future(), loop.create_future()
        self.awaited: asyncio.Future[None] = loop.create_future()
        self.last_text, self.buffer, self.code = b"", b"", 1006

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self.transport.write(handshake("/feed"))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.open.done():
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self.buffer = rest
            self.open.set_result(head.startswith(b"HTTP/1.1 101"))
        while len(self.buffer) >= 2 and len(self.buffer) >= (size := 2 + self.buffer[1]):
            frame, self.buffer = self.buffer[:size], self.buffer[size:]
            self.on_frame(frame[0] & 0x0F, frame[2:])

    def next_text(self) -> asyncio.Future[None]:
        self.awaited = asyncio.get_running_loop().create_future()
        return self.awaited

    def on_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == 1:
            self.last_text = payload
            if not self.awaited.done():
                self.awaited.set_result(None)
        elif opcode == 8:
            self.code = int.from_bytes(payload[:2], "big") if payload else 1005
            self.transport.write(masked(8, payload[:2]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(self.code)


@contextlib.asynccontextmanager
async def subscribed(port: int, count: int) -> AsyncIterator[list[Subscriber]]:
    loop = asyncio.get_running_loop()
    clients: list[Subscriber] = []
    try:
        for _ in range(0, count, 50):
            batch = [loop.create_connection(Subscriber, "127.0.0.1", port) for _ in range(min(50, count))]
            clients += [client for _, client in await asyncio.gather(*batch)]
            async with asyncio.timeout(10):
                assert all(await asyncio.gather(*(client.open for client in clients)))
        yield clients
    finally:
        for client in clients:
            client.transport.abort()


async def fetch(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(path, "Connection: close"))
    answer = await reader.read()
    writer.close()
    return answer


async def broadcast(port: int, clients: list[Subscriber]) -> float:
    """Return the seconds from the request to publish until every client has one text more."""
    heard = asyncio.gather(*(client.next_text() for client in clients))
    began = time.perf_counter()
    publishing = asyncio.create_task(fetch(port, "/publish"))
    await asyncio.wait_for(heard, 15)
    took = time.perf_counter() - began
    await publishing
    return took
