"""GraphQL over HTTP: reading requests strictly, answering them as the GraphQL-over-HTTP draft says."""

from dataclasses import replace
from functools import partial
from typing import ClassVar, Final

from litestar import Response, get, post, websocket
from litestar.di import Provide
from strawberry.exceptions import MissingQueryError
from strawberry.litestar.controller import GraphQLController
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from app.domain.errors import DomainError, RateLimited, Unauthenticated
from app.domain.model import Actor
from app.domain.rates import READ_POINTS
from app.event_stream import EventStream
from app.services import identity, passes
from app.services.passes import Pass
from app.storage import deadline
from schema.asked import Asked
from schema.context import Context
from schema.door import AnyConnection, Door
from schema.event_stream import streamed
from schema.http_answers import Refused, answered, refuse, refused_by
from schema.http_reading import AnyRequest, read
from schema.loaders import Loaders
from schema.negotiation import EVENT_STREAM, GRAPHQL_RESPONSE, JSON, negotiate, wants_events, wants_page
from schema.persisted import Documents, KeptDocuments, TrustedDocuments
from schema.root import Schema, build_schema
from schema.socket import PROTOCOL, AnySocket, Connection

# What makes a GET more than a look at the address.
_ASKING: Final = frozenset({"query", "extensions", "documentId"})


class _GraphQLDoor(GraphQLController[Context, None]):
    """Strawberry's controller with its own reading, answering and streaming."""

    path = "/graphql"
    include_in_schema = False
    # Strawberry's handlers take their context by inferred injection, which Litestar is about to drop.
    dependencies: ClassVar[dict[str, Provide]] = {}  # type: ignore[misc]
    door: Door
    schema: Schema
    documents: Documents

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
            await Connection(socket, self.schema, self.documents, partial(self._context_of, socket)).run()

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
            return refuse(Refused(405, "method_not_allowed", "GraphQL is asked by POST here."), media_type or JSON)
        if wants_events(accept):
            return await self._stream(request)
        try:
            if media_type is None:
                raise Refused(406, "not_acceptable", f"Answers are {GRAPHQL_RESPONSE} or {JSON}.")
            async with deadline.kept():
                return await self._answered(request, media_type)
        except DomainError as error:
            refused = refused_by(error, media_type or JSON)
        except Refused as error:
            refused = error
        finally:
            self.door.till.release(request.scope)
        return refuse(refused, media_type or JSON)

    async def _stream(self, request: AnyRequest) -> Response[bytes]:
        try:
            asked = await read(request)
            self.door.enter(request.scope)
            bearer = await self._admitted(request)
            asked = self._found(asked, bearer.actor)
        except DomainError as error:
            return refuse(refused_by(error, EVENT_STREAM), JSON)
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
        answer = answered(request, media_type, await self._execute(request, context))
        if context.replayed:
            answer.headers["Idempotency-Replayed"] = "true"
        return answer

    async def _execute(self, request: AnyRequest, context: Context) -> ExecutionResult:
        asked = self._found(await read(request), context.caller)
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
            raise Refused(400, "graphql_invalid", error.as_http_error_reason()) from None
        except InvalidOperationTypeError as error:
            status = 405 if request.method == "GET" else 400
            raise Refused(status, "graphql_invalid", error.as_http_error_reason(request.method)) from None
        except MissingQueryError:
            raise Refused(400, "bad_request", "The request has no 'query'.") from None

    def _found(self, asked: Asked, caller: Actor | None) -> Asked:
        return replace(asked, query=self.documents.text_of(asked, caller))

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
            visitor=self.door.visitor(request),
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
    """Return the controller of ``/graphql``. Raises UnfitDocuments."""
    schema = build_schema(door.limits, door.introspection, suggestions=door.suggestions, observe=door.observe)
    trusted = door.trusted_documents

    class Controller(_GraphQLDoor):
        pass

    Controller.door = door
    Controller.schema = schema
    Controller.documents = (
        KeptDocuments(door.limits.max_bytes) if trusted is None else TrustedDocuments(schema._schema, trusted)
    )
    return Controller
