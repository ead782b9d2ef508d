"""Answers as JSON with exact numbers, and with a tag by which a reader asks whether anything has changed."""

from hashlib import blake2b
from typing import Any, Final, TypeVar

from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse
from litestar.serialization import default_serializer
from litestar.types import Serializer

from app.rest.preconditions import is_known
from app.storage.codec import encode

T = TypeVar("T")
_TAG_BYTES: Final = 16
# For this reader alone, and to be asked for again each time; another environment may give another answer.
_CACHING: Final = {"cache-control": "private, no-cache", "vary": "x-agentstack-env"}


class JsonResponse(Response[T]):
    """A response whose JSON has decimals as numbers; Litestar's own writes them as strings."""

    def render(self, content: Any, media_type: str, enc_hook: Serializer = default_serializer) -> bytes:
        """Return the body; bytes go out as they are."""
        return content if isinstance(content, bytes) else encode(content)

    def to_asgi_response(self, app: Litestar | None, request: Request[Any, Any, Any], **options: Any) -> ASGIResponse:
        """Return the answer; what was read has a weak ``ETag`` of its content, 304 where the reader has that."""
        answer = super().to_asgi_response(app, request, **options)
        if request.method == "GET" and answer.status_code == 200 and "etag" not in answer.headers:
            version = blake2b(answer.body, digest_size=_TAG_BYTES).hexdigest()
            headers = {**_CACHING, "etag": f'W/"{version}"'}
            if is_known(version, request.headers.get("if-none-match")):
                return ASGIResponse(status_code=304, headers=headers)
            for name, value in headers.items():
                answer.headers.setdefault(name, value)
        return answer
