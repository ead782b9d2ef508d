"""The id under which a request is answered and logged."""

import re
from typing import Final
from uuid import uuid4

from litestar.types import Message, Scope

HEADER: Final = "X-Request-Id"
_HEADER_BYTES: Final = HEADER.lower().encode()
_STATE_KEY: Final = "request_id"
# What goes into a log line and back into a header must not be able to break either.
_sane = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}").fullmatch


def request_id(scope: Scope) -> str:
    """Return the request's id: the caller's ``X-Request-Id`` if it is a sane one, else one of ours."""
    state = scope["state"]
    if _STATE_KEY not in state:
        given = next((value for name, value in scope["headers"] if name == _HEADER_BYTES), b"")
        state[_STATE_KEY] = given.decode() if _sane(given) else uuid4().hex
    known: str = state[_STATE_KEY]
    return known


async def send_request_id(message: Message, scope: Scope) -> None:
    """Put the id on every answer; a ``before_send`` hook, so that answers outside all routes have it too."""
    if message["type"] == "http.response.start":
        message["headers"] = [*message.get("headers", ()), (_HEADER_BYTES, request_id(scope).encode())]
