"""How a refusal looks in REST: kind -> status, in one table; the body of ``semantics.md`` §10."""

import re
from collections.abc import Mapping
from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.status_codes import HTTP_404_NOT_FOUND, HTTP_413_REQUEST_ENTITY_TOO_LARGE
from litestar.types import ExceptionHandlersMap

from app.domain.errors import BodyTooLarge, DomainError, Kind
from app.domain.plans import SandboxLimitExceeded
from app.rest.request_id import request_id
from app.services.failures import log_failure
from app.storage import codec

# Litestar says both as text only: that the client is gone, and which parameter is missing.
_GONE: Final = "client disconnected prematurely"
_missing: Final = re.compile(r"Missing required \w+ parameter '([^']*)'").match

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
    Kind.TOO_MANY: 429,
    Kind.UNAVAILABLE: 503,
}
_HEADERS: Final[Mapping[int, Mapping[str, str]]] = {
    401: {"WWW-Authenticate": 'Bearer realm="strata"'},
    429: {"Retry-After": "1"},
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


def refusal(request: Request[Any, Any, Any], error: DomainError, **more: object) -> Response[bytes]:
    """Answer a refusal of the catalogue; ``more`` is for clients that look elsewhere, too."""
    fields = {**error.fields, **more}
    wait = {"Retry-After": str(fields["retry_after"])} if "retry_after" in fields else None
    if isinstance(error, SandboxLimitExceeded):
        # Clients in the field look for it there as well (semantics §8).
        fields = {**fields, "detail": {"error": error.code, "message": error.message, **fields}}
    return _answer(request, STATUS[error.kind], error.code, error.message, fields, wait)


def _refused_by_framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    if error.status_code == HTTP_413_REQUEST_ENTITY_TOO_LARGE:
        return refusal(request, BodyTooLarge(request.route_handler.resolve_request_max_body_size() or 0))
    if error.detail == _GONE:
        return _answer(request, 400, "client_disconnected", "The body ended before it was whole.", {})
    if error.status_code >= 500 and error.status_code not in _CODES:
        return _failed(request, error)
    code, message = _CODES.get(error.status_code, ("bad_request", "The request cannot be answered."))
    return _answer(request, error.status_code, code, message, {}, _sayable(error.headers))


def _sayable(headers: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the headers; Litestar counts WebSockets among the methods of an address."""
    found = dict(headers or {})
    if "allow" in found:
        found["allow"] = ", ".join(sorted(method for method in found["allow"].split(", ") if method.isupper()))
    return found


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
    log_failure(error, request_id(request.scope), method=request.method, route=request.scope.get("path_template"))
    return _answer(request, 500, "internal_error", INTERNAL_ERROR, {})


def _answer(
    request: Request[Any, Any, Any],
    status: int,
    code: str,
    message: str,
    fields: Mapping[str, object],
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    body = {"error": code, "message": message, **fields, "request_id": request_id(request.scope)}
    content = codec.encode_echo(body)
    return Response(
        content,
        status_code=status,
        media_type="application/json",
        headers={**_HEADERS.get(status, {}), **(headers or {})},
    )


exception_handlers: Final[ExceptionHandlersMap] = {
    DomainError: refusal,
    ValidationException: _bad_parameters,
    HTTPException: _refused_by_framework,
    Exception: _failed,
}
