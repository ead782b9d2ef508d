"""How results and refusals look over HTTP (GraphQL-over-HTTP draft, "Response")."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from litestar import Request, Response
from strawberry.types import ExecutionResult

from app.domain.errors import DomainError, Kind
from app.domain.query_documents import PersistedQueryNotFound
from app.storage import codec
from schema.negotiation import JSON

_STATUS: Final[Mapping[Kind, int]] = {
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED: 415,
    Kind.TOO_MANY: 429,
    Kind.UNAVAILABLE: 503,
}
_HEADERS: Final[Mapping[int, dict[str, str]]] = {
    401: {"WWW-Authenticate": 'Bearer realm="strata"'},
    405: {"Allow": "POST"},
    429: {"Retry-After": "1"},
    503: {"Retry-After": "1"},
}


class Refused(Exception):
    """A request that never becomes an operation."""

    def __init__(
        self, status: int, code: str, message: str, fields: Mapping[str, object] = MappingProxyType({})
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields


def refused_by(error: DomainError, media_type: str) -> Refused:
    """Return what a refusal of the catalogue is over HTTP."""
    status = _STATUS.get(error.kind, 400)
    if isinstance(error, PersistedQueryNotFound) and media_type == JSON:
        # It is no failure but a question, and clients made for Apollo's protocol expect it with 200.
        status = 200
    return Refused(status, error.code, error.message, error.fields)


def answered(request: Request[Any, Any, Any], media_type: str, result: ExecutionResult) -> Response[bytes]:
    """Answer with a result of the schema."""
    errors = [error.formatted for error in result.errors or ()]
    never_ran = result.data is None and bool(errors) and all("path" not in error for error in errors)
    body: dict[str, object] = {} if never_ran else {"data": result.data}
    if errors:
        body["errors"] = errors
    # Who names application/json gets what GraphQL servers always did: 200, whatever the body says.
    old_style = media_type == JSON and JSON in request.headers.get("accept", "")
    wait = _wait(errors)
    if wait is not None and not any((result.data or {}).values()):
        return _respond(body, 429, media_type, {"Retry-After": wait})
    return _respond(body, 400 if never_ran and not old_style else 200, media_type)


def _wait(errors: Sequence[Mapping[str, Any]]) -> str | None:
    """Return after how many seconds to ask again, if that is what an error says."""
    found = [error["extensions"]["retry_after"] for error in errors if "retry_after" in error.get("extensions", ())]
    return str(max(found)) if found else None


def refuse(refused: Refused, media_type: str) -> Response[bytes]:
    """Answer a request that did not become an operation."""
    error = {"message": refused.message, "extensions": {**refused.fields, "code": refused.code}}
    wait = _wait([error])
    return _respond({"errors": [error]}, refused.status, media_type, {"Retry-After": wait} if wait else {})


def _respond(
    body: Mapping[str, object], status: int, media_type: str, headers: Mapping[str, str] = MappingProxyType({})
) -> Response[bytes]:
    return Response(
        codec.encode_echo(body),
        status_code=status,
        media_type=f"{media_type}; charset=utf-8",
        headers={**_HEADERS.get(status, {}), **headers},
    )
