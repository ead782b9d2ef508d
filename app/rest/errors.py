"""How a refusal looks in REST: kind -> status, in one table; the body of ``semantics.md`` §10."""

import re
import traceback
from collections.abc import Mapping
from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.status_codes import HTTP_404_NOT_FOUND, HTTP_413_REQUEST_ENTITY_TOO_LARGE
from litestar.types import ExceptionHandlersMap

from app.domain.errors import BodyTooLarge, DomainError, Kind
from app.rest.request_id import request_id
from app.storage import codec

# Litestar says both as text only: that the client is gone, and which parameter is missing.
_GONE: Final = "client disconnected prematurely"
_missing: Final = re.compile(r"Missing required \w+ parameter '([^']*)'").match

_log = structlog.get_logger(__name__)

STATUS: Final[Mapping[Kind, int]] = {
    Kind.MALFORMED: 400,
    Kind.INVALID: 422,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.STALE: 412,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED: 415,
    Kind.UNAVAILABLE: 503,
}
_HEADERS: Final[Mapping[int, Mapping[str, str]]] = {
    401: {"WWW-Authenticate": 'Bearer realm="strata"'},
    503: {"Retry-After": "1"},
}
# What the framework refuses before a handler of ours is reached.
_CODES: Final[Mapping[int, tuple[str, str]]] = {
    400: ("bad_request", "The request cannot be read."),
    401: ("unauthenticated", "A bearer token is needed."),
    403: ("forbidden", "This is not allowed."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take this method; see the Allow header."),
    413: ("body_too_large", "The body is too large."),
    415: ("unsupported_media_type", "The body has a media type that is not taken here."),
    429: ("rate_limited", "Too many requests; try again later."),
    503: ("unavailable", "The service is not available at the moment; try again."),
}
INTERNAL_ERROR: Final = "Something went wrong on our side. Tell us the request id, and we can find out what."


def refusal(request: Request[Any, Any, Any], error: DomainError) -> Response[bytes]:
    """Answer a refusal of the catalogue."""
    return _answer(request, STATUS[error.kind], error.code, error.message, error.fields)


def _refused_by_framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    if error.status_code == HTTP_413_REQUEST_ENTITY_TOO_LARGE:
        return refusal(request, BodyTooLarge(request.route_handler.resolve_request_max_body_size() or 0))
    if error.detail == _GONE:
        return _answer(request, 400, "client_disconnected", "The body ended before it was whole.", {})
    if error.status_code >= 500 and error.status_code not in _CODES:
        return _failed(request, error)
    code, message = _CODES.get(error.status_code, ("bad_request", "The request cannot be answered."))
    return _answer(request, error.status_code, code, message, {}, error.headers)


def _bad_parameters(request: Request[Any, Any, Any], error: ValidationException) -> Response[bytes]:
    problems = [
        {"parameter": str(problem.get("key", "")), "message": str(problem.get("message", ""))}
        for problem in error.extra or ()
        if isinstance(problem, Mapping)
    ]
    if not problems and (missing := _missing(error.detail)):
        problems = [{"parameter": missing[1], "message": "Required and missing"}]
    fields = {"problems": problems}
    if any(problem["parameter"] in request.path_params for problem in problems):
        return _answer(request, HTTP_404_NOT_FOUND, "not_found", _sentence(problems), fields)
    return _answer(request, 400, "bad_request", _sentence(problems), fields)


def _sentence(problems: list[dict[str, str]]) -> str:
    wrong = "; ".join(f"{problem['parameter']}: {problem['message']}" for problem in problems)
    return f"The address or a parameter cannot be read. {wrong}" if wrong else _CODES[400][1]


def _failed(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    # Neither the exception's text nor the query goes into the log: both can hold what a user wrote.
    _log.error(
        "request failed",
        request_id=request_id(request.scope),
        method=request.method,
        route=request.scope.get("path_template"),
        exception=type(error).__qualname__,
        frames=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in _frames(error)],
    )
    return _answer(request, 500, "internal_error", INTERNAL_ERROR, {})


def _frames(error: Exception) -> traceback.StackSummary:
    return traceback.extract_tb(error.__traceback__, limit=-20)


def _answer(
    request: Request[Any, Any, Any],
    status: int,
    code: str,
    message: str,
    fields: Mapping[str, object],
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    body = {"error": code, "message": message, **fields, "request_id": request_id(request.scope)}
    try:
        content = codec.encode(body)
    except UnicodeEncodeError:
        content = codec.encode(_printable(body))
    return Response(
        content,
        status_code=status,
        media_type="application/json",
        headers={**_HEADERS.get(status, {}), **(headers or {})},
    )


def _printable(value: object) -> object:
    """Return ``value`` with lone surrogates replaced: UTF-8 cannot say them, and an echo may hold them."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    return value


exception_handlers: Final[ExceptionHandlersMap] = {
    DomainError: refusal,
    ValidationException: _bad_parameters,
    HTTPException: _refused_by_framework,
    Exception: _failed,
}
