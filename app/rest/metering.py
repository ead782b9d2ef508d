"""Rate limits at the doors: what class of request a route takes, who pays, and what answers say about it."""

from typing import Final

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.errors import Unauthenticated
from app.domain.model import Actor
from app.domain.rates import READ_POINTS, WRITE_POINTS, RateClass
from app.rest.client_address import client_address
from app.rest.request import SAFE_METHODS, StrictRequest
from app.rest.request_id import request_id_header
from app.services import identity, rates
from app.services.rates import Charge
from app.storage import deadline

RATE: Final = "rate"
"""Key of a route's ``opt``: its RateClass. Without it, what changes nothing is READ, all else WRITE."""
_CHARGE: Final = "charge"
_IF_NONE_MATCH: Final = b"if-none-match"


async def admit_caller(request: StrictRequest, authorization: str | None) -> Actor:
    """Return who asks, who has paid for it. Whoever is nobody pays by address.

    Raises Unauthenticated, RateLimited, TooManyAtOnce.
    """
    scope = request.scope
    try:
        actor = await identity.authenticate(authorization)
    except Unauthenticated:
        await charge(scope, None, READ_POINTS)
        raise
    await _admit(request, actor)
    return actor


async def admit_known(request: StrictRequest, actor: Actor) -> None:
    """Let who is known already pay. Raises RateLimited, TooManyAtOnce."""
    await _admit(request, actor)


async def admit_anyone(request: StrictRequest) -> None:
    """Let the client's address pay. Raises RateLimited."""
    await _admit(request, None)


async def _admit(request: StrictRequest, actor: Actor | None) -> None:
    kind = _class_of(request)
    points = WRITE_POINTS if kind is RateClass.WRITE else READ_POINTS
    found = rates.open_charge(points, often=kind is RateClass.OFTEN, endless=kind is RateClass.STREAM)
    await _begin(request.scope, actor, found)


async def charge(scope: Scope, caller: Actor | None, points: int) -> None:
    """Begin to count what a request costs, and let the caller pay, None by address.

    Raises RateLimited, TooManyAtOnce.
    """
    await _begin(scope, caller, rates.open_charge(points))


async def charge_stream(scope: Scope, caller: Actor | None, points: int) -> None:
    """Let the caller pay for something that does not end. Raises RateLimited."""
    found = rates.open_charge(points, endless=True)
    if found is not None:
        await found.begin(caller, client_address(scope))


async def charge_handshake(scope: Scope) -> None:
    """Let the client's address pay for a connection; many may come back at once. Raises RateLimited."""
    found = rates.open_charge(READ_POINTS, often=True, endless=True)
    if found is not None:
        await found.begin(None, client_address(scope))


async def charge_in_all(scope: Scope, points: int) -> None:
    """Let all who have paid for the request pay more: that is what it costs in all. Raises RateLimited."""
    found = _charge_of(scope)
    if found is not None:
        await found.rise_to(points)


def correct(scope: Scope, points: int) -> None:
    """Let the request have cost so much in the end."""
    found = _charge_of(scope)
    if found is not None:
        found.correct(points)


async def settle(request: StrictRequest) -> None:
    """Let a conditional request whose answer is news pay as others do. Raises RateLimited."""
    found = _charge_of(request.scope)
    if found is not None:
        await found.settle()


def release(scope: Scope) -> None:
    """Make room for other requests: this one is answered."""
    found = _charge_of(scope)
    if found is not None:
        found.close()


def releasing(app: ASGIApp) -> ASGIApp:
    """Give each request its time, and release it when it is answered; a middleware. Raises DeadlineExceeded."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with deadline.kept():
                await app(scope, receive, send)
        finally:
            release(scope)

    return run


async def finish(message: Message, scope: Scope) -> None:
    """Put on every answer its id, and how the bucket that bears the request stands.

    One ``before_send`` hook for both, so that answers outside all routes have them too.
    """
    if message["type"] == "http.response.start":
        found = _charge_of(scope)
        standing = found.standing() if found is not None else None
        headers = [*message.get("headers", ()), request_id_header(scope)]
        if standing is not None:
            size, left, seconds = standing
            headers += (
                (b"ratelimit-limit", b"%d" % size),
                (b"ratelimit-remaining", b"%d" % left),
                (b"ratelimit-reset", b"%d" % seconds),
            )
        message["headers"] = headers


def _charge_of(scope: Scope) -> Charge | None:
    found: Charge | None = scope["state"].get(_CHARGE)
    return found


async def _begin(scope: Scope, caller: Actor | None, found: Charge | None) -> None:
    if found is not None:
        scope["state"][_CHARGE] = found
        await found.begin(caller, client_address(scope) if caller is None else "")


def _class_of(request: StrictRequest) -> RateClass:
    kind: RateClass | None = request.route_handler.opt.get(RATE)
    if kind is None:
        return RateClass.READ if request.scope["method"] in SAFE_METHODS else RateClass.WRITE
    if kind is RateClass.CONDITIONAL:
        asks = any(name == _IF_NONE_MATCH for name, _ in request.scope["headers"])
        return RateClass.OFTEN if asks else RateClass.READ
    return kind
