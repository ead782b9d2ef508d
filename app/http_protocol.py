"""HTTP/1.1 for clients that send too much before there is a request, or take too long over it.

uvicorn's own bounds neither: a head of any size is kept in memory, and a connection that sends none stays open.
"""

import asyncio
from typing import Any, Final
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.rest.request_id import HEADER
from app.storage.codec import encode

MOST_HEAD_BYTES: Final = 64 * 1024
HEAD_SECONDS: Final = 10.0


def _refusal(status: str, code: str, message: str) -> bytes:
    """Return an answer, with the one body that errors have, after which the connection is closed."""
    request_id = uuid4().hex
    body = encode({"error": code, "message": message, "request_id": request_id})
    head = (
        f"HTTP/1.1 {status}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"{HEADER.lower()}: {request_id}",
        "connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol with a bound on a request's head: ``MOST_HEAD_BYTES``, within ``HEAD_SECONDS``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_bytes = 0
        self._in_head = True
        self._due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._due = self.loop.call_later(HEAD_SECONDS, self._refuse_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_due()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if self._due is None:
                self._due = self.loop.call_later(HEAD_SECONDS, self._refuse_slow)
        super().data_received(data)
        # What came with the end of a head may be a body, which others bound.
        if self._in_head and self._head_bytes > MOST_HEAD_BYTES:
            self._close(
                _refusal(
                    "431 Request Header Fields Too Large",
                    "headers_too_large",
                    f"The head of a request has at most {MOST_HEAD_BYTES:,} bytes.",
                )
            )

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._forget_due()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read as a request."""
        self._close(_refusal("400 Bad Request", "bad_request", "This is no HTTP request that can be read."))

    def _refuse_slow(self) -> None:
        self._close(_refusal("408 Request Timeout", "request_timeout", "The head of the request took too long."))

    def _forget_due(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _close(self, answer: bytes) -> None:
        self._forget_due()
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
