"""GraphQL subscriptions over a WebSocket: the protocol ``graphql-transport-ws``, and none of its predecessors.

Written here because the library's handler has no place for what a connection needs that outlives its token: the right
to be there is checked while it lasts. Source: the protocol's text in the repository of ``graphql-ws``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import ExitStack, aclosing, suppress
from typing import Any, Final

from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect, WebSocketException
from strawberry.types.graphql import OperationType

from app.domain.errors import BadRequest, DatabaseUnavailable, DomainError, Kind, MalformedJson
from app.domain.events import TooSlow
from app.domain.json_text import parse_json
from app.services import passes
from app.services.failures import log_failure
from app.services.passes import Pass
from app.storage import codec
from schema.asked import Asked, asked_of
from schema.context import Context
from schema.persisted import Documents
from schema.results import body_of, errors_of, is_refused
from schema.root import Schema

AnySocket = WebSocket[Any, Any, Any]
Message = Mapping[str, Any]

PROTOCOL: Final = "graphql-transport-ws"
INIT_SECONDS: Final = 5.0
SLOW_SECONDS: Final = 10.0
MOST_SUBSCRIPTIONS: Final = 20
MAX_ID: Final = 128
_CLOSING_SECONDS: Final = 2.0


class Closed(Exception):
    """Why the server closes a connection: a code of the protocol, and a reason for people."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Connection:
    """One connection, from its first message to its end."""

    def __init__(
        self, socket: AnySocket, schema: Schema, documents: Documents, context_of: Callable[[Pass], Context]
    ) -> None:
        self._socket = socket
        self._schema = schema
        self._documents = documents
        self._context_of = context_of
        self._context: Context | None = None
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._watching = ExitStack()
        self._ended: asyncio.Future[Closed | None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Serve the connection until either side ends it."""
        await self._socket.accept(subprotocols=PROTOCOL)
        receiving = self._begin(self._receive())
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(INIT_SECONDS, self._expect_context)
        try:
            with self._watching:
                closed = await self._ended
        finally:
            deadline.cancel()
            tasks = [receiving, *self._operations.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if closed is not None:
            # Who does not read takes no close frame either.
            with suppress(TimeoutError, WebSocketException, OSError):
                async with asyncio.timeout(_CLOSING_SECONDS):
                    await self._socket.close(code=closed.code, reason=closed.reason)

    def _begin(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        return asyncio.create_task(self._guarded(work))

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        closed: Closed | None = None
        try:
            await work
            return
        except Closed as error:
            closed = error
        except (WebSocketException, OSError):
            # The other side is gone.
            pass
        except Exception as error:
            log_failure(error, self._context.request_id if self._context else "socket")
            closed = Closed(4500, "Internal server error")
        self._end(closed)

    def _end(self, closed: Closed | None) -> None:
        if not self._ended.done():
            self._ended.set_result(closed)

    def _expect_context(self) -> None:
        if self._context is None:
            self._end(Closed(4408, "Connection initialisation timeout"))

    async def _receive(self) -> None:
        while True:
            message = await self._message()
            answer = _ANSWERS.get(str(message.get("type")))
            if answer is None:
                raise Closed(4400, "Unknown message type")
            await answer(self, message)

    async def _message(self) -> Message:
        received = await self._socket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(detail="gone")
        text = received.get("text")
        try:
            message = parse_json(text if isinstance(text, str) else b"")
        except MalformedJson:
            raise Closed(4400, "A message is a JSON object in a text frame") from None
        if not isinstance(message, dict):
            raise Closed(4400, "A message is a JSON object in a text frame")
        return message

    async def _initialise(self, message: Message) -> None:
        if self._context is not None:
            raise Closed(4429, "Too many initialisation requests")
        payload = message.get("payload") or {}
        if not isinstance(payload, dict):
            raise Closed(4400, "The payload of connection_init is an object")
        given = payload.get("Authorization", payload.get("authorization", self._socket.headers.get("authorization")))
        if not isinstance(given, str):
            raise Closed(4401, "Unauthorized: connection_init takes a payload with 'Authorization'")
        try:
            bearer = await passes.admit(given)
        except DatabaseUnavailable:
            raise Closed(1013, "Try again later") from None
        except DomainError as error:
            raise _lost(error) from None
        self._context = self._context_of(bearer)
        self._watching.enter_context(bearer.watched(lambda error: self._end(_lost(error))))
        await self._send({"type": "connection_ack"})

    async def _pong(self, message: Message) -> None:
        payload = message.get("payload")
        await self._send({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})

    async def _subscribe(self, message: Message) -> None:
        if self._context is None:
            raise Closed(4401, "Unauthorized: connection_init comes first")
        name, asked = message.get("id"), message.get("payload")
        if not isinstance(name, str) or not 0 < len(name) <= MAX_ID or not isinstance(asked, dict):
            raise Closed(4400, "'subscribe' takes an 'id' and a 'payload'")
        if name in self._operations:
            raise Closed(4409, f"Subscriber for {name} already exists")
        if len(self._operations) >= MOST_SUBSCRIPTIONS:
            await self._refuse(name, "too_many_subscriptions", f"A connection has {MOST_SUBSCRIPTIONS} subscriptions.")
            return
        self._operations[name] = self._begin(self._operate(name, _checked(asked), self._context))

    async def _complete(self, message: Message) -> None:
        task = self._operations.pop(str(message.get("id")), None)
        if task is not None:
            task.cancel()

    async def _operate(self, name: str, asked: Asked, context: Context) -> None:
        try:
            text = self._documents.text_of(asked, context.caller)
        except DomainError as error:
            self._operations.pop(name, None)
            await self._refuse(name, error.code, error.message)
            return
        results = await self._schema.stream(
            text,
            variable_values=asked.variables,
            context_value=context,
            operation_name=asked.operation_name,
            operation_extensions=asked.extensions,
            allowed_operation_types=(OperationType.SUBSCRIPTION,),
        )
        begun = False
        async with aclosing(results) as found:
            async for result in found:
                if context.held.lost is not None:
                    raise _lost(context.held.lost)
                if not begun and is_refused(result):
                    self._operations.pop(name, None)
                    await self._send({"id": name, "type": "error", "payload": errors_of(result)})
                    return
                begun = True
                await self._send({"id": name, "type": "next", "payload": body_of(result)})
        if self._operations.pop(name, None) is not None:
            await self._send({"id": name, "type": "complete"})

    async def _refuse(self, name: str, code: str, message: str) -> None:
        await self._send({"id": name, "type": "error", "payload": [{"message": message, "extensions": {"code": code}}]})

    async def _send(self, message: Message) -> None:
        try:
            async with asyncio.timeout(SLOW_SECONDS):
                await self._socket.send_data(codec.encode_echo(message).decode())
        except TimeoutError:
            raise _lost(TooSlow()) from None


async def _nothing(*_: object) -> None:
    pass


_ANSWERS: Final[Mapping[str, Callable[[Connection, Message], Awaitable[None]]]] = {
    "connection_init": Connection._initialise,
    "ping": Connection._pong,
    "pong": _nothing,
    "subscribe": Connection._subscribe,
    "complete": Connection._complete,
}


def _lost(error: DomainError) -> Closed:
    # A close frame has room for 123 bytes of reason.
    return Closed(4429 if error.kind is Kind.TOO_MANY else 4403, error.message.encode()[:120].decode(errors="ignore"))


def _checked(asked: Mapping[str, Any]) -> Asked:
    try:
        return asked_of(asked)
    except BadRequest:
        raise Closed(4400, "The payload of 'subscribe' is a GraphQL request") from None
