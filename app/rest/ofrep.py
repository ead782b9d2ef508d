"""``/ofrep/v1``: flags for every OpenFeature SDK (OpenFeature Remote Evaluation Protocol, 0.3)."""

import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Annotated, Any, Final
from urllib.parse import unquote

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter
from litestar.types import ASGIApp, HTTPScope, Middleware, Receive, Scope, Send

from app import event_stream
from app.domain.errors import BadRequest, BodyTooLarge, DomainError, MalformedJson
from app.domain.evaluation import Context, ErrorCode, FlagNotEvaluable, FlagNotFound, InvalidContext, context_of
from app.domain.json_text import exact_number, parse_json
from app.domain.model import Actor
from app.domain.rates import RateClass
from app.domain.values import MISSING, Value
from app.event_stream import MEDIA_TYPE, EventStream
from app.rest import surroundings
from app.rest.context import admit, implied_project
from app.rest.errors import refusal
from app.rest.metering import RATE, admit_known
from app.rest.ofrep_answers import BulkAnswer, EvaluationAnswer, Evaluations, bulk, single
from app.rest.ofrep_description import PROJECT_HEADER, Evaluating, EvaluatingAll
from app.rest.operations import Events
from app.rest.parameters import MAX_ID
from app.rest.request import JSON, StrictRequest, environment_reference
from app.services import evaluation, flag_stream, passes, stream_tickets
from app.services.flag_stream import FlagsChanged
from app.services.passes import Pass
from app.storage import codec

_PASS: Final = "pass"  # noqa: S105
_PROJECT_BYTES: Final = PROJECT_HEADER.lower().encode()
_KEY_BYTES: Final = b"x-api-key"
_TAG_BYTES: Final = b"if-none-match"
_MAX_BYTES: Final = 256 * 1024
_PLAIN_JSON: Final = frozenset({b"application/json", b"application/json; charset=utf-8"})
_address: Final = re.compile(r"/+ofrep/+v1/+evaluate/+flags/(.+)", re.DOTALL).fullmatch
_decoder: Final = msgspec.json.Decoder(float_hook=exact_number)

LastEventId = Annotated[
    str | None,
    HeaderParameter(name="Last-Event-ID", description="The `id` of the last event received; browsers send it."),
]
Ticket = Annotated[
    str | None, QueryParameter(description="From the address in `eventStreams`; without it, a token is needed.")
]
Seen = Annotated[
    str | None, QueryParameter(description="From the address in `eventStreams`: what the client has evaluated.")
]


async def admit_evaluation(request: StrictRequest) -> None:
    """Let in who has a token or an API key, which may stand in ``X-API-Key`` too; a ``before_request`` hook.

    Raises as ``admit`` does.
    """
    headers = request.scope["headers"]
    if not any(name == b"authorization" for name, _ in headers):
        given = next((value for name, value in headers if name == _KEY_BYTES), None)
        if given is not None:
            request.scope["headers"] = [*headers, (b"authorization", b"Bearer " + given)]
    await admit(request)


def _project(request: StrictRequest) -> int:
    given = next((value for name, value in request.scope["headers"] if name == _PROJECT_BYTES), None)
    text = given.decode("latin-1") if given is not None else None
    if text is None and b"project_id" in request.scope["query_string"]:
        text = request.query_params.get("project_id")
    if text is None:
        return implied_project(request.actor, None)
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= MAX_ID):
        raise BadRequest("The project's id is a number.", parameter="project_id")
    return int(text)


async def _body(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return _bounded(message["body"])
    body = b""
    while message["type"] == "http.request":
        body = _bounded(body + message["body"])
        if not message.get("more_body"):
            return body
        message = await receive()
    raise BadRequest("The body ended before it was whole.")


def _bounded(body: bytes) -> bytes:
    if len(body) > _MAX_BYTES:
        raise BodyTooLarge(_MAX_BYTES)
    return body


async def _context(request: StrictRequest) -> Context:
    media_type = next((value for name, value in request.scope["headers"] if name == b"content-type"), None)
    body = await _body(request.receive)
    if media_type not in _PLAIN_JSON and (body or media_type):
        request.expect_media_type((JSON,))
    said = _read(body) if body else {}
    if not isinstance(said, dict):
        raise InvalidContext("The body must be an object with a 'context'.")
    return context_of(said.get("context", MISSING))


def _read(body: bytes) -> Value:
    try:
        value: Value = _decoder.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        # The strict reader says what is wrong, or reads what is only unusual.
        return parse_json(body)
    return value


def _flag_key(scope: HTTPScope) -> str:
    path = scope["raw_path"].decode("latin-1").removeprefix(scope.get("root_path", ""))
    found = _address(path)
    if found is None:
        raise BadRequest("Only the key of an address may be percent-encoded.")
    return unquote(found[1], errors="replace")


async def _one(request: StrictRequest) -> Evaluations:
    context = await _context(request)
    named = environment_reference(request)
    return single(await evaluation.one(request.actor, _project(request), _flag_key(request.scope), context, named))


async def _all(request: StrictRequest) -> Evaluations:
    context = await _context(request)
    named = environment_reference(request)
    seen = request.query_params.get("flagConfigEtag") if request.scope["query_string"] else None
    found = await evaluation.every(
        request.actor, _project(request), context, named, seen=seen.strip('"') if seen else None
    )
    known = next((value for name, value in request.scope["headers"] if name == _TAG_BYTES), None)
    return bulk(found, request.actor, known.decode("latin-1") if known else None)


def at_once(answer: Callable[[StrictRequest], Awaitable[Evaluations]]) -> Middleware:
    """Return a middleware that admits and answers by itself, as the route's handler would.

    Half of the time would go into finding out what a handler is to be given, which here is nothing but the request.
    """

    def answering(app: ASGIApp) -> ASGIApp:
        async def run(scope: Scope, receive: Receive, send: Send) -> None:
            request = StrictRequest(scope, receive, send)
            await admit_evaluation(request)
            await (await answer(request))(scope, receive, send)

        return run

    return answering


@post(
    "/evaluate/flags/{key:path}",
    status_code=200,
    operation_class=Evaluating,
    middleware=[at_once(_one)],
    opt={RATE: RateClass.OFTEN},
    responses={200: ResponseSpec(EvaluationAnswer, generate_examples=False)},
)
async def evaluate_flag(request: StrictRequest) -> Evaluations:
    """Evaluate one flag, or a leaf of the project document, for a user.

    The environment is the one that `GET /api/sandbox/route` names for the user, unless the request names one.
    """
    return await _one(request)


@post(
    "/evaluate/flags",
    status_code=200,
    operation_class=EvaluatingAll,
    middleware=[at_once(_all)],
    opt={RATE: RateClass.OFTEN},
    responses={200: ResponseSpec(BulkAnswer, generate_examples=False)},
)
async def evaluate_flags(request: StrictRequest) -> Evaluations:
    """Evaluate all flags of the project document for a user.

    The `ETag` changes when an answer does, so that a client asks with `If-None-Match` and is answered 304.
    """
    return await _all(request)


async def admit_follower(request: Request[Any, Any, Any]) -> None:
    """Let in who has a ticket, or a token; a ``before_request`` hook. Raises as ``admit`` does."""
    assert isinstance(request, StrictRequest)
    ticket = request.query_params.get("ticket")
    if ticket is None:
        await admit_evaluation(request)
        request.scope["state"][_PASS] = await passes.admit(request.headers.get("authorization"))
        return
    surroundings.enter(request.scope)
    bearer = await stream_tickets.admit(ticket, time.time())
    request.scope["user"] = bearer.actor
    request.scope["state"][_PASS] = bearer
    await admit_known(request, bearer.actor)


@get(
    "/events",
    media_type=MEDIA_TYPE,
    operation_class=Events,
    before_request=admit_follower,
    opt={RATE: RateClass.STREAM},
)
async def follow_flags(
    request: StrictRequest, ticket: Ticket = None, seen: Seen = None, last_event_id: LastEventId = None
) -> EventStream:
    """Follow the project's flags: an event whenever one may have another value, so that it is time to ask again.

    Each event's data is `{"type": "refetchEvaluation", "etag", "lastModified"}`. What changes in documents of users
    makes no event.
    """
    bearer: Pass = request.scope["state"][_PASS]
    found = await flag_stream.follow(bearer, _project(request), last_event_id or None, seen=seen)
    return EventStream(_written(found), bearer.until_lost)


async def _written(found: AsyncGenerator[FlagsChanged]) -> AsyncGenerator[bytes]:
    yield event_stream.retry_hint()
    async with aclosing(found):
        # The status is sent; whoever comes back is told why it was.
        with suppress(DomainError):
            async for change in found:
                data = {
                    "type": "refetchEvaluation",
                    "etag": f'"{change.tag}"',
                    "lastModified": int(change.at.timestamp()),
                }
                yield event_stream.event("message", codec.encode(data), cursor=change.cursor)


_CODES: Final[dict[type[DomainError], ErrorCode]] = {
    InvalidContext: ErrorCode.INVALID_CONTEXT,
    MalformedJson: ErrorCode.PARSE_ERROR,
    FlagNotFound: ErrorCode.FLAG_NOT_FOUND,
}


def _refused(request: Request[Any, Actor, Any], error: DomainError) -> Response[bytes]:
    known = _CODES.get(type(error), ErrorCode.GENERAL)
    code = error.error_code if isinstance(error, FlagNotEvaluable) else known
    more: dict[str, object] = {"errorCode": code.value, "errorDetails": error.message}
    if request.path_params.get("key"):
        with suppress(BadRequest):
            more["key"] = _flag_key(request.scope)
    return refusal(request, error, **more)


def ofrep_routes() -> Router:
    """Return the routes of the protocol."""
    return Router(
        "/ofrep/v1",
        route_handlers=[evaluate_flag, evaluate_flags, follow_flags],
        exception_handlers={DomainError: _refused},
        tags=["Flags"],
    )
