"""Answering with a document: bare, as bytes, its version as ``ETag``."""

from litestar import Response

from app.domain.errors import PathNotFound
from app.domain.pointer import Path, format_pointer
from app.domain.values import MISSING, State, lookup
from app.rest.preconditions import etag, is_known
from app.services.documents import Written
from app.storage.codec import encode


def read_answer(content: bytes, version: str, if_none_match: str | None) -> Response[bytes]:
    """Answer a read; 304 without a body for who has this version."""
    headers = {"ETag": etag(version)}
    if is_known(version, if_none_match):
        return Response(b"", status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


def at_path(state: State, path: Path) -> bytes:
    """Return the JSON of what stands at ``path``. Raises PathNotFound."""
    found = lookup(state, path)
    if found is MISSING:
        raise PathNotFound(format_pointer(path))
    return encode(found)


def write_answer(written: Written, path: Path) -> Response[bytes]:
    """Answer a write with what a read of the same address now gives; 204 where that is nothing."""
    headers = {"ETag": etag(written.document.version)}
    found = lookup(written.document.state, path)
    if found is MISSING:
        return Response(b"", status_code=204, headers=headers)
    status = 201 if written.created else 200
    return Response(encode(found), status_code=status, media_type="application/json", headers=headers)
