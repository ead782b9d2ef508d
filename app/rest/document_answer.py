"""Answering with a document: bare, as bytes, its version as ``ETag``."""

from typing import Final

from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from app.domain.errors import PathNotFound
from app.domain.pointer import Path, format_pointer
from app.domain.values import MISSING, State, lookup
from app.rest.preconditions import etag, is_known
from app.services.documents import Written
from app.storage.codec import encode_document

_JSON_TYPE: Final = (b"content-type", b"application/json")
# For this reader alone, and to be asked for again each time; another environment has another document.
CACHING: Final = ((b"cache-control", b"private, no-cache"), (b"vary", b"x-agentstack-env"))

_NO_CACHING: Final = ((b"cache-control", b"no-store"), (b"vary", b"x-agentstack-env"))


class DocumentResponse(ASGIResponse):
    """A document as it goes out, or 304. The busiest answer: it does nothing that is not needed for it."""

    def __init__(self, content: bytes, version: str, if_none_match: str | None, *, secret: bool = False) -> None:
        self.body = content
        self.secret = secret
        self.version = version
        self.status_code = 304 if is_known(version, if_none_match) else 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the document with its version."""
        headers = [(b"etag", etag(self.version).encode()), *(_NO_CACHING if self.secret else CACHING)]
        if self.status_code == 304:
            self.body = b""
        else:
            headers += (_JSON_TYPE, (b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def at_path(state: State, path: Path) -> bytes:
    """Return the JSON of what stands at ``path``. Raises PathNotFound."""
    found = lookup(state, path)
    if found is MISSING:
        raise PathNotFound(format_pointer(path))
    return encode_document(found)


def write_answer(written: Written, path: Path) -> Response[bytes]:
    """Answer a write with what a read of the same address now gives; 204 where that is nothing."""
    headers = {"ETag": etag(written.document.version)}
    found = lookup(written.document.state, path)
    if found is MISSING:
        return Response(b"", status_code=204, headers=headers)
    status = 201 if written.created else 200
    return Response(encode_document(found), status_code=status, media_type="application/json", headers=headers)
