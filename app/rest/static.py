"""The pages and files that come with the package: GraphiQL, the REST reference and what they load."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from gzip import compress
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from litestar import HttpMethod, Request, Response, Router, route
from litestar.exceptions import NotFoundException
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.params import FromPath

_FOLDER = Path(__file__).resolve().parent.parent / "static"
_IMMUTABLE = _FOLDER / "graphiql" / "assets"
_SOURCE = _FOLDER / "source"

# The platform's own table of types differs between machines; browsers refuse a module with a wrong type.
_MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
}

# The editor writes style elements and draws with data: images; scripts, workers and fonts are files of ours.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
)


@dataclass(frozen=True)
class _Asset:
    content: bytes
    gzipped: bytes
    media_type: str
    etag: str
    cache_control: str


@cache
def graphiql_page() -> bytes:
    """Return the HTML of GraphiQL, which sends its operations to the URL it was loaded from."""
    return (_FOLDER / "graphiql" / "index.html").read_bytes()


@cache
def docs_page() -> bytes:
    """Return the HTML of Swagger UI, which shows the description at ``/docs/openapi.json``."""
    return (_FOLDER / "docs" / "index.html").read_bytes()


class DocsPage(OpenAPIRenderPlugin):
    """Swagger UI at the root of the OpenAPI router; Litestar's own pages load from other hosts."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return docs_page()


def docs_router() -> Router:
    """Return the router for ``OpenAPIConfig.openapi_router``: ``/docs`` with the headers of a page."""
    return Router("/docs", route_handlers=[], include_in_schema=False, response_headers=PAGE_HEADERS)


@route(
    "/static/{name:path}",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    include_in_schema=False,
    sync_to_thread=True,
)
def static_asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
    """Answer with one file below ``app/static``, compressed where the client takes gzip.

    Files with a hash in their name may be kept for a year, all others are asked for again by their ETag.
    A CompressionConfig has to exclude ``^/static/``: Litestar's middleware would compress a second time.
    Raises NotFoundException for a name that is not in the list of files to serve.
    """
    asset = _asset(name.lstrip("/"))
    headers = {
        "cache-control": asset.cache_control,
        "etag": asset.etag,
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
    }
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers, media_type=asset.media_type)
    content = asset.content
    if _takes_gzip(request.headers.get("accept-encoding", "")):
        content = asset.gzipped
        headers["content-encoding"] = "gzip"
    return Response(content, status_code=200, headers=headers, media_type=asset.media_type)


def _takes_gzip(accepted: str) -> bool:
    codings = (coding.replace(" ", "").partition(";") for coding in accepted.split(","))
    return any(name == "gzip" and quality not in {"q=0", "q=0.0"} for name, _, quality in codings)


@cache
def _served() -> Mapping[str, Path]:
    """Map the names that may be asked for to files, so that no request ever builds a path."""
    files = (path for path in _FOLDER.rglob("*") if path.suffix in _MEDIA_TYPES)
    return {path.relative_to(_FOLDER).as_posix(): path for path in files if _SOURCE not in path.parents}


def _asset(name: str) -> _Asset:
    path = _served().get(name)
    if path is None:
        raise NotFoundException
    return _load(path)


@cache
def _load(path: Path) -> _Asset:
    content = path.read_bytes()
    return _Asset(
        content=content,
        gzipped=compress(content, mtime=0),
        media_type=_MEDIA_TYPES[path.suffix],
        etag=f'W/"{sha256(content).hexdigest()[:32]}"',
        cache_control="public, max-age=31536000, immutable" if path.parent == _IMMUTABLE else "no-cache",
    )
