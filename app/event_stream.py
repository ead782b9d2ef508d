"""Server-sent events (WHATWG HTML, "Server-sent events"): their text, and the response that carries them."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Send

from app.storage import deadline

MEDIA_TYPE: Final = "text/event-stream"
HEARTBEAT_SECONDS: Final = 15.0
SLOW_SECONDS: Final = 10.0
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_HEARTBEAT: Final = b":\n\n"


def event(name: str, data: bytes, *, cursor: str | None = None) -> bytes:
    """Return the text of one event; ``data`` is JSON, and so one line."""
    head = b"" if cursor is None else b"id: " + cursor.encode() + b"\n"
    return head + b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


def retry_hint() -> bytes:
    """Return how long a client is to wait before it comes back, so that not all of them come at once."""
    return f"retry: {random.randint(1_000, 5_000)}\n\n".encode()  # noqa: S311


class EventStream(Response[bytes]):
    """A response that sends what a generator yields, and a comment where that is silent for long.

    It ends with the generator, when ``over`` returns, when the client goes, or when the client takes nothing for
    ``SLOW_SECONDS``.
    """

    def __init__(self, source: AsyncGenerator[bytes], over: Callable[[], Awaitable[object]]) -> None:
        super().__init__(b"", media_type=MEDIA_TYPE, headers=_HEADERS)
        self._source = source
        self._over = over

    def to_asgi_response(self, *_: object, **given: Any) -> ASGIResponse:
        headers = {**self.headers, **(given.get("headers") or {})}
        return _Streaming(self._source, self._over, headers=headers, media_type=MEDIA_TYPE, status_code=200)


class _Streaming(ASGIResponse):
    _should_set_content_length = False

    def __init__(self, source: AsyncGenerator[bytes], over: Callable[[], Awaitable[object]], **options: Any) -> None:
        super().__init__(**options)
        self._source = source
        self._over = over

    async def send_body(self, send: Send, receive: Receive) -> None:
        deadline.lift()
        # Not by Litestar's own stream: its cancellation does not let a generator clean up.
        sending, over = asyncio.ensure_future(self._stream(send)), asyncio.ensure_future(self._over())
        tasks = [sending, over, asyncio.ensure_future(_until_gone(receive))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if over.done() and not sending.done():
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                await _end(send)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._source.aclose()

    async def _stream(self, send: Send) -> None:
        following = asyncio.ensure_future(anext(self._source))
        try:
            while True:
                done, _ = await asyncio.wait([following], timeout=HEARTBEAT_SECONDS)
                if not done:
                    await _send(send, _HEARTBEAT)
                    continue
                await _send(send, following.result())
                following = asyncio.ensure_future(anext(self._source))
        except StopAsyncIteration:
            await _end(send)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _send(send: Send, chunk: bytes) -> None:
    async with asyncio.timeout(SLOW_SECONDS):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _end(send: Send) -> None:
    async with asyncio.timeout(SLOW_SECONDS):
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
