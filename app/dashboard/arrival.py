"""What every request of the dashboard goes through: its session, its form, who pays, and what refusals look like."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote, urlsplit

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, ExceptionHandlersMap, Message, Receive, Scope, Send

from app.dashboard import sessions
from app.dashboard.door import Door
from app.dashboard.forms import EMPTY, Form
from app.dashboard.visit import NOTICE_COOKIE, SESSION_COOKIE, VISITOR_COOKIE, Visit, keep, visit_of
from app.domain.errors import BadRequest, DomainError, Forbidden, Kind, Unauthenticated
from app.domain.rates import READ_POINTS, WRITE_POINTS
from app.services.failures import log_failure
from app.storage import deadline

TOKEN_FIELD: Final = "form_token"  # noqa: S105
KEY_FIELD: Final = "once"
STREAM: Final = "dashboard_stream"
"""Key of a route's ``opt``: it answers without end."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM: Final = "application/x-www-form-urlencoded"
_Request = Request[Any, Any, Any]


class FormRefused(Forbidden):
    """A form that no page of this dashboard has given to this browser."""

    code = "form_refused"

    def __init__(self) -> None:
        super().__init__("This form is too old, or it is not from this page. Go back, load the page again, and repeat.")


def arriving(door: Door, *, guests: bool) -> Callable[[_Request], Awaitable[Response[bytes] | None]]:
    """Return a ``before_request`` hook that lets in who is logged in, and ``guests`` where they may come."""

    async def arrive(request: _Request) -> Response[bytes] | None:
        visit = Visit(door, request, visitor=request.cookies.get(VISITOR_COOKIE, ""))
        keep(request.scope, visit)
        door.enter(request.scope, None)
        await _resume(visit)
        await _pay(visit)
        if b"%00" in request.scope["raw_path"] or b"%00" in request.scope["query_string"]:
            raise BadRequest("An address cannot hold the character U+0000.")
        if visit.session is None and not guests:
            return _to_login(visit)
        if request.method not in _SAFE:
            await _take_form(visit)
        return None

    return arrive


async def _resume(visit: Visit) -> None:
    cookie = visit.request.cookies.get(SESSION_COOKIE, "")
    if not cookie:
        return
    resumed = await sessions.resume(cookie, visit.door.lifetimes)
    if resumed is None:
        visit.set_cookie(SESSION_COOKIE, "", 0)
        return
    visit.session = resumed.session
    if resumed.cookie is not None:
        visit.set_cookie(SESSION_COOKIE, resumed.cookie, visit.door.settings.session_seconds)


async def _pay(visit: Visit) -> None:
    request, caller = visit.request, visit.session.actor if visit.session else None
    if request.route_handler.opt.get(STREAM):
        await visit.door.till.charge_stream(request.scope, caller, READ_POINTS)
        return
    points = READ_POINTS if request.method in _SAFE else WRITE_POINTS
    await visit.door.till.charge(request.scope, caller, points)


def _to_login(visit: Visit) -> Response[bytes]:
    if visit.request.method in _SAFE:
        return visit.to(f"/login?next={quote(visit.path, safe='/')}")
    return visit.to("/login", "You have been logged out; log in, and repeat what you were doing.")


async def _take_form(visit: Visit) -> None:
    """Read the form, and let it in only if a page of this dashboard was where it was filled in.

    Raises FormRefused, BadRequest, InvalidIdempotencyKey.
    """
    request = visit.request
    if not _is_from_here(request):
        raise FormRefused
    if request.headers.get("content-type", _FORM).partition(";")[0].strip().lower() != _FORM:
        raise BadRequest("A form is sent here, and nothing else.")
    visit.form = Form.read(await request.body())
    if not hmac.compare_digest(visit.form.text(TOKEN_FIELD).encode(errors="replace"), visit.form_token.encode()):
        visit.form = EMPTY
        raise FormRefused
    visit.door.enter(request.scope, visit.form.given(KEY_FIELD))


def _is_from_here(request: _Request) -> bool:
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")


def furnished(door: Door) -> Callable[[ASGIApp], ASGIApp]:
    """Return a middleware that gives a visit its time, sends its cookies, and makes room for others afterwards."""

    def middleware(app: ASGIApp) -> ASGIApp:
        async def run(scope: Scope, receive: Receive, send: Send) -> None:
            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    cookies = [(b"set-cookie", cookie) for cookie in visit_of(scope).cookies]
                    message["headers"] = [*message.get("headers", ()), *cookies]
                await send(message)

            try:
                async with deadline.kept():
                    await app(scope, receive, sending)
            finally:
                door.till.release(scope)

        return run

    return middleware


def refused(request: _Request, error: DomainError) -> Response[bytes]:
    """Answer a refusal with a page that says why."""
    visit = visit_of(request.scope)
    if isinstance(error, Unauthenticated):
        return _to_login(visit)
    return visit.page("refused.html", status=visit.door.statuses[error.kind], error=error)


def _refused_by_framework(request: _Request, error: HTTPException) -> Response[bytes]:
    if error.status_code >= 500:
        return _failed(request, error)
    visit = visit_of(request.scope)
    kinds = {404: Kind.NOT_FOUND, 413: Kind.TOO_LARGE}
    sentence = {
        404: "There is nothing at this address.",
        413: "This is more than can be sent at once.",
    }.get(error.status_code, "The address or the form cannot be read.")
    status = visit.door.statuses[kinds.get(error.status_code, Kind.MALFORMED)]
    return visit.page("refused.html", status=status, error=BadRequest(sentence))


def _failed(request: _Request, error: Exception) -> Response[bytes]:
    visit = visit_of(request.scope)
    request_id = visit.door.request_id(request.scope)
    log_failure(error, request_id, method=request.method, route=request.scope.get("path_template"))
    visit.cookies = [cookie for cookie in visit.cookies if not cookie.startswith(NOTICE_COOKIE.encode())]
    return visit.page("failed.html", status=500, request_id=request_id)


exception_handlers: Final[ExceptionHandlersMap] = {
    DomainError: refused,
    HTTPException: _refused_by_framework,
    Exception: _failed,
}
