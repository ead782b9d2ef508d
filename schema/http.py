"""GraphQL over HTTP: reading requests strictly, answering them as the GraphQL-over-HTTP draft says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Final

from litestar import Request, Response, get, post, websocket
from litestar.di import Provide
from strawberry.exceptions import MissingQueryError
from strawberry.http import GraphQLRequestData
from strawberry.litestar.controller import GraphQLController
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from app.domain.errors import BadRequest, DomainError, Kind, RateLimited, Unauthenticated, UnsupportedMediaType
from app.domain.json_text import parse_json
from app.domain.model import Actor
from app.domain.rates import READ_POINTS
from app.domain.values import Value
from app.event_stream import EventStream
from app.services import identity, passes
from app.services.passes import Pass
from app.storage import codec
from schema.context import Context
from schema.door import AnyConnection, Door
from schema.event_stream import streamed
from schema.loaders import Loaders
from schema.negotiation import GRAPHQL_RESPONSE, JSON, negotiate, wants_events, wants_page
from schema.root import Schema, build_schema
from schema.socket import PROTOCOL, AnySocket, Connection

AnyRequest = Request[Any, Any, Any]

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
# What makes a GET more than a look at the address.
_ASKING: Final = frozenset({"query", "extensions"})


class _Refused(Exception):
    """A request that never becomes an operation."""

    def __init__(
        self, status: int, code: str, message: str, fields: Mapping[str, object] = MappingProxyType({})
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields


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
        elif await self._is_paid(socket):
            self.door.enter(socket.scope)
            await Connection(socket, self.schema, partial(self._context_of, socket)).run()

    async def _is_paid(self, socket: AnySocket) -> bool:
        try:
            await self.door.till.charge_handshake(socket.scope)
        except RateLimited as error:
            await socket.accept(subprotocols=PROTOCOL)
            await socket.close(code=4429, reason=error.message)
            return False
        return True

    async def respond(self, request: AnyRequest) -> Response[bytes]:
        """Answer one request: with GraphiQL for a browser, else with a result or the reason for having none."""
        accept = request.headers.get("accept")
        asks = not _ASKING.isdisjoint(request.query_params)
        if self.door.graphiql is not None and wants_page(request.method, accept, asks):
            return self.door.graphiql()
        media_type = negotiate(accept)
        if request.method == "GET" and not self.door.get_queries:
            return _refuse(_Refused(405, "method_not_allowed", "GraphQL is asked by POST here."), media_type or JSON)
        if wants_events(accept):
            return await self._stream(request)
        try:
            if media_type is None:
                raise _Refused(406, "not_acceptable", f"Answers are {GRAPHQL_RESPONSE} or {JSON}.")
            return await self._answered(request, media_type)
        except DomainError as error:
            refused = _Refused(_STATUS.get(error.kind, 400), error.code, error.message, error.fields)
        except _Refused as error:
            refused = error
        finally:
            self.door.till.release(request.scope)
        return _refuse(refused, media_type or JSON)

    async def _stream(self, request: AnyRequest) -> Response[bytes]:
        try:
            asked = await _read(request)
            self.door.enter(request.scope)
            bearer = await self._admitted(request)
        except DomainError as error:
            return _refuse(_Refused(_STATUS.get(error.kind, 400), error.code, error.message, error.fields), JSON)
        context = replace(self._context_of(request, bearer), operation_named=asked.operation_name is not None)
        return EventStream(streamed(self.schema, asked, context), bearer.until_lost)

    async def _admitted(self, request: AnyRequest) -> Pass:
        try:
            return await passes.admit(request.headers.get("authorization"))
        except Unauthenticated:
            await self.door.till.charge_stream(request.scope, None, READ_POINTS)
            raise

    async def _answered(self, request: AnyRequest, media_type: str) -> Response[bytes]:
        context = await self._context(request)
        answer = _answer(request, media_type, await self._execute(request, context))
        if context.replayed:
            answer.headers["Idempotency-Replayed"] = "true"
        return answer

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
        try:
            caller = await identity.authenticate(authorization) if authorization is not None else None
        except Unauthenticated:
            await self.door.till.charge(request.scope, None, READ_POINTS)
            raise
        await self.door.till.charge(request.scope, caller, READ_POINTS)
        return replace(
            self._made(request, caller),
            charge=partial(self.door.till.charge_in_all, request.scope),
            correct=partial(self.door.till.correct, request.scope),
        )

    def _context_of(self, connection: AnyConnection, bearer: Pass) -> Context:
        charge = partial(self.door.till.charge_stream, connection.scope, bearer.actor)
        return replace(self._made(connection, bearer.actor), bearer=bearer, charge=charge)

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
    Controller.schema = build_schema(door.limits, door.introspection, suggestions=door.suggestions)
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
    wait = _wait(errors)
    if wait is not None and not any((result.data or {}).values()):
        return _respond(body, 429, media_type, {"Retry-After": wait})
    return _respond(body, 400 if never_ran and not old_style else 200, media_type)


def _wait(errors: Sequence[Mapping[str, Any]]) -> str | None:
    """Return after how many seconds to ask again, if that is what an error says."""
    found = [error["extensions"]["retry_after"] for error in errors if "retry_after" in error.get("extensions", ())]
    return str(max(found)) if found else None


def _refuse(refused: _Refused, media_type: str) -> Response[bytes]:
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
