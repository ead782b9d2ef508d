"""The id under which a request is answered and logged."""

import re
from typing import Final
from uuid import uuid4

from litestar.types import Scope

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


def request_id_header(scope: Scope) -> tuple[bytes, bytes]:
    """Return the header that says the id."""
    return _HEADER_BYTES, request_id(scope).encode()
