"""The response of server-sent events: what keeps it open, and what ends it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from app import event_stream
from app.event_stream import EventStream, event


class Wire:
    """The other side of one response."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.ended = False
        self.closed = False
        self.gone = asyncio.Event()
        self.over = asyncio.Event()
        self.blocked = asyncio.Event()
        self.news: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def send(self, message: Any) -> None:
        if self.blocked.is_set():
            await asyncio.Event().wait()
        self.sent.append(message["body"])
        self.ended = not message["more_body"]

    async def receive(self) -> Any:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def source(self) -> AsyncGenerator[bytes]:
        try:
            while (chunk := await self.news.get()) is not None:
                yield chunk
        finally:
            await asyncio.sleep(0)
            self.closed = True

    def begin(self) -> "asyncio.Task[None]":
        response: Any = EventStream(self.source(), self.over.wait).to_asgi_response(None, None)
        return asyncio.create_task(response.send_body(self.send, self.receive))


def test_an_event_is_its_name_and_one_line_of_data() -> None:
    assert event("a.b", b'{"n":1}') == b'event: a.b\ndata: {"n":1}\n\n'
    assert event("a.b", b"{}", cursor="x") == b"id: x\nevent: a.b\ndata: {}\n\n"
    assert event_stream.retry_hint().startswith(b"retry: ")


async def test_a_quiet_stream_has_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_SECONDS", 0.05)
    wire = Wire()
    task = wire.begin()
    await asyncio.sleep(0.13)
    assert wire.sent == [b":\n\n"] * 2
    wire.news.put_nowait(b"first")
    wire.news.put_nowait(None)
    await asyncio.wait_for(task, 1)
    assert wire.sent[-2:] == [b"first", b""]
    assert (wire.ended, wire.closed) == (True, True)


@pytest.mark.parametrize(
    ("ending", "ended"),
    [(lambda wire: wire.over.set(), True), (lambda wire: wire.gone.set(), False)],
    ids=["no longer allowed", "gone"],
)
async def test_it_ends_from_either_side(ending: Callable[[Wire], None], ended: bool) -> None:
    wire = Wire()
    task = wire.begin()
    wire.news.put_nowait(b"first")
    await asyncio.sleep(0.02)
    ending(wire)
    await asyncio.wait_for(task, 1)
    assert (wire.ended, wire.closed) == (ended, True)


async def test_it_does_not_wait_for_who_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "SLOW_SECONDS", 0.05)
    wire = Wire()
    wire.blocked.set()
    task = wire.begin()
    wire.news.put_nowait(b"first")
    await asyncio.wait_for(task, 1)
    assert (wire.ended, wire.closed) == (False, True)
