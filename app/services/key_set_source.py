"""Fetching an issuer's JWK set: from the configured address only, without redirects or proxies, within bounds."""

import http.client
import json
import ssl
import time
from typing import Any, Final
from urllib.parse import urlsplit

MAX_BYTES: Final = 256 * 1024
_SECONDS: Final = 5.0


class KeySetUnavailable(Exception):
    """The keys cannot be had at the moment; the text says why."""


def fetch_key_set(url: str) -> dict[str, Any]:
    """Return the JSON object at ``url``. Blocks, for some seconds at most. Raises KeySetUnavailable."""
    try:
        return _parsed(_fetched(url))
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise KeySetUnavailable(f"{type(error).__name__}: {error}") from error


def _fetched(url: str) -> bytes:
    parts = urlsplit(url)
    host, deadline = parts.hostname or "", time.monotonic() + _SECONDS
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=_SECONDS, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=_SECONDS)
    )
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"Accept": "application/jwk-set+json, application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError(f"the answer is {answer.status}")
        return _read(answer, deadline)
    finally:
        connection.close()


def _read(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    content = b""
    while chunk := answer.read1(65_536):
        content += chunk
        if len(content) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer takes too long")
    return content


def _parsed(content: bytes) -> dict[str, Any]:
    value = json.loads(content)
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value
