"""GraphQL over HTTP: reading requests strictly, answering them as the GraphQL-over-HTTP draft says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Final

from litestar import Request, Response, get, post, websocket
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.types import Scope
from strawberry.exceptions import MissingQueryError
from strawberry.http import GraphQLRequestData
from strawberry.litestar.controller import GraphQLController
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from app.domain.errors import BadRequest, DomainError, Kind, UnsupportedMediaType
from app.domain.json_text import parse_json
from app.domain.model import Actor, Plan
from app.domain.values import Value
from app.event_stream import EventStream
from app.services import identity, passes
from app.services.passes import Pass
from app.storage import codec
from schema.context import Context
from schema.event_stream import streamed
from schema.loaders import Loaders
from schema.negotiation import GRAPHQL_RESPONSE, JSON, negotiate, wants_events, wants_page
from schema.root import MAX_TOKENS, Schema, build_schema
from schema.socket import PROTOCOL, AnySocket, Connection

AnyRequest = Request[Any, Any, Any]
AnyConnection = ASGIConnection[Any, Any, Any, Any]

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


@dataclass(frozen=True, slots=True)
class Door:
    """What this door needs from the application around it.

    ``graphiql`` answers browsers, ``request_id`` gives the id under which a request is logged, ``environment``
    the environment that it names, if any; ``enter`` lets the services know of it; ``default_plan`` is for new
    projects.
    """

    graphiql: Callable[[], Response[bytes]]
    request_id: Callable[[Scope], str]
    environment: Callable[[AnyConnection], str | None]
    enter: Callable[[Scope], None]
    default_plan: Plan = Plan.PRO
    max_tokens: int = MAX_TOKENS


class _Refused(Exception):
    """A request that never becomes an operation."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class _GraphQLDoor(GraphQLController[Context, None]):
    """Strawberry's controller with its own reading, answering and streaming."""

    path = "/graphql"
    include_in_schema = False
    # Strawberry's handlers take their context by inferred injection, which Litestar is about to drop.
    dependencies: ClassVar[dict[str, Provide]] = {}  # type: ignore[misc]
    door: Door
    schema: Schema

    @get()
    async def handle_http_get(self, request: AnyRequest) -> Response[bytes]:
        return await self.respond(request)

    @post(status_code=200)
    async def handle_http_post(self, request: AnyRequest) -> Response[bytes]:
        return await self.respond(request)

    @websocket()
    async def websocket_endpoint(self, socket: AnySocket) -> None:
        await self.connect(socket)

    async def connect(self, socket: AnySocket) -> None:
        """Serve a WebSocket, unless it is opened by another site's page or speaks another protocol."""
        if not self._check_websocket_origin(socket):
            await self.reject_websocket(socket)
        elif PROTOCOL not in socket.scope["subprotocols"]:
            await socket.accept()
            await socket.close(code=4406, reason="Subprotocol not acceptable")
        else:
            self.door.enter(socket.scope)
            await Connection(socket, self.schema, partial(self._context_of, socket)).run()

    async def respond(self, request: AnyRequest) -> Response[bytes]:
        """Answer one request: with GraphiQL for a browser, else with a result or the reason for having none."""
        if wants_events(request.headers.get("accept")):
            return await self._stream(request)
        if wants_page(request.method, request.headers.get("accept"), "query" in request.query_params):
            return self.door.graphiql()
        media_type = negotiate(request.headers.get("accept"))
        try:
            if media_type is None:
                raise _Refused(406, "not_acceptable", f"Answers are {GRAPHQL_RESPONSE} or {JSON}.")
            context = await self._context(request)
            answer = _answer(request, media_type, await self._execute(request, context))
        except DomainError as error:
            refused = _Refused(_STATUS.get(error.kind, 400), error.code, error.message)
        except _Refused as error:
            refused = error
        else:
            if context.replayed:
                answer.headers["Idempotency-Replayed"] = "true"
            return answer
        return _refuse(refused, media_type or JSON)

    async def _stream(self, request: AnyRequest) -> Response[bytes]:
        try:
            asked = await _read(request)
            self.door.enter(request.scope)
            bearer = await passes.admit(request.headers.get("authorization"))
        except DomainError as error:
            return _refuse(_Refused(_STATUS.get(error.kind, 400), error.code, error.message), JSON)
        context = replace(self._context_of(request, bearer), operation_named=asked.operation_name is not None)
        return EventStream(streamed(self.schema, asked, context), bearer.until_lost)

    async def _execute(self, request: AnyRequest, context: Context) -> ExecutionResult:
        asked = await _read(request)
        context = replace(context, operation_named=asked.operation_name is not None)
        try:
            return await self.schema.execute(
                asked.query,
                variable_values=asked.variables,
                context_value=context,
                operation_name=asked.operation_name,
                operation_extensions=asked.extensions,
                allowed_operation_types=OperationType.from_http("GET" if request.method == "GET" else "POST"),
            )
        except CannotGetOperationTypeError as error:
            raise _Refused(400, "graphql_invalid", error.as_http_error_reason()) from None
        except InvalidOperationTypeError as error:
            status = 405 if request.method == "GET" else 400
            raise _Refused(status, "graphql_invalid", error.as_http_error_reason(request.method)) from None
        except MissingQueryError:
            raise _Refused(400, "bad_request", "The request has no 'query'.") from None

    async def _context(self, request: AnyRequest) -> Context:
        self.door.enter(request.scope)
        authorization = request.headers.get("authorization")
        caller = await identity.authenticate(authorization) if authorization is not None else None
        return self._made(request, caller)

    def _context_of(self, connection: AnyConnection, bearer: Pass) -> Context:
        return replace(self._made(connection, bearer.actor), bearer=bearer)

    def _made(self, connection: AnyConnection, caller: Actor | None) -> Context:
        return Context(
            caller=caller,
            environment=self.door.environment(connection),
            request_id=self.door.request_id(connection.scope),
            default_plan=self.door.default_plan,
            loaders=Loaders(caller),
        )


def graphql_controller(door: Door) -> type[GraphQLController[Context, None]]:
    """Return the controller of ``/graphql``."""

    class Controller(_GraphQLDoor):
        pass

    Controller.door = door
    Controller.schema = build_schema(door.max_tokens)
    return Controller


async def _read(request: AnyRequest) -> GraphQLRequestData:
    """Return what is asked. Raises MalformedJson, BadRequest, UnsupportedMediaType."""
    asked = _read_address(request) if request.method == "GET" else await _read_body(request)
    query, name = asked.get("query"), asked.get("operationName")
    variables, extensions = asked.get("variables"), asked.get("extensions")
    for member, value in (("query", query), ("operationName", name)):
        if not isinstance(value, str | None):
            raise BadRequest(f"'{member}' is a string.", parameter=member)
    for member, value in (("variables", variables), ("extensions", extensions)):
        if not isinstance(value, dict | None):
            raise BadRequest(f"'{member}' is an object.", parameter=member)
    return GraphQLRequestData(query=query, variables=variables, operation_name=name, extensions=extensions)


def _read_address(request: AnyRequest) -> Mapping[str, Any]:
    asked: dict[str, Value] = dict(request.query_params)
    for member in ("variables", "extensions"):
        text = asked.get(member)
        if isinstance(text, str):
            asked[member] = parse_json(text) if text else None
    return asked


async def _read_body(request: AnyRequest) -> Mapping[str, Any]:
    if request.content_type[0] != JSON:
        raise UnsupportedMediaType(f"A GraphQL request has the Content-Type {JSON}.")
    asked = parse_json(await request.body())
    if not isinstance(asked, dict):
        raise BadRequest("A GraphQL request is an object with 'query', and 'variables' if it has any.")
    return asked


def _answer(request: AnyRequest, media_type: str, result: ExecutionResult) -> Response[bytes]:
    errors = [error.formatted for error in result.errors or ()]
    never_ran = result.data is None and bool(errors) and all("path" not in error for error in errors)
    body: dict[str, object] = {} if never_ran else {"data": result.data}
    if errors:
        body["errors"] = errors
    # Who names application/json gets what GraphQL servers always did: 200, whatever the body says.
    old_style = media_type == JSON and JSON in request.headers.get("accept", "")
    return _respond(body, 400 if never_ran and not old_style else 200, media_type)


def _refuse(refused: _Refused, media_type: str) -> Response[bytes]:
    error = {"message": refused.message, "extensions": {"code": refused.code}}
    return _respond({"errors": [error]}, refused.status, media_type)


def _respond(body: Mapping[str, object], status: int, media_type: str) -> Response[bytes]:
    return Response(
        codec.encode_echo(body),
        status_code=status,
        media_type=f"{media_type}; charset=utf-8",
        headers=_HEADERS.get(status, {}),
    )
