"""What a request says of itself beside its arguments: the way it came, and the key under which it is repeated."""

from functools import partial
from typing import Final

from litestar import Response
from litestar.types import HTTPScope, Scope

from app.domain.audit import Door, Via
from app.domain.errors import InvalidIdempotencyKey
from app.rest.client_address import client_address
from app.rest.request import SAFE_METHODS
from app.rest.request_id import request_id
from app.services import calls
from app.services.calls import IdempotencyKey

KEY_HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotency-Replayed"
_KEY_BYTES: Final = KEY_HEADER.lower().encode()


def enter_graphql(scope: Scope) -> None:
    """Let the services know of a GraphQL request; its keys stand in the inputs of its mutations."""
    calls.enter(partial(_via, scope, Door.GRAPHQL))


def enter_dashboard(scope: Scope, key: str | None) -> None:
    """Let the services know of a form that was sent, under its key. Raises InvalidIdempotencyKey."""
    calls.enter(partial(_via, scope, Door.DASHBOARD), IdempotencyKey.of(key) if key else None)


def enter(scope: HTTPScope) -> None:
    """Let the services know of a REST request. Raises InvalidIdempotencyKey."""
    key = None if scope["method"] in SAFE_METHODS else _idempotency_key(scope)
    calls.enter(partial(_via, scope, Door.REST), key)


async def say_replayed(response: Response[object]) -> Response[object]:
    """Mark an answer that was given before; an ``after_request`` hook."""
    key = calls.key()
    if key is not None and key.replayed:
        response.headers[REPLAYED_HEADER] = "true"
    return response


def enter_unknown(scope: HTTPScope) -> None:
    """Let the services know of a REST request that needs no token, and so has nobody to keep an answer for."""
    calls.enter(partial(_via, scope, Door.REST))


def _via(scope: Scope, door: Door) -> Via:
    return Via(door, client_address(scope) or None, request_id(scope))


def _idempotency_key(scope: Scope) -> IdempotencyKey | None:
    given = {value for name, value in scope["headers"] if name == _KEY_BYTES}
    if len(given) > 1:
        raise InvalidIdempotencyKey
    return IdempotencyKey.of(given.pop().decode("latin-1")) if given else None
