"""GraphQL over server-sent events: the mode "distinct connections" of the protocol ``graphql-sse``."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from strawberry.types.graphql import OperationType

from app import event_stream
from app.storage import codec
from schema.asked import Asked
from schema.context import Context
from schema.results import body_of
from schema.root import Schema


async def streamed(schema: Schema, asked: Asked, context: Context) -> AsyncGenerator[bytes]:
    """Yield each result as an event ``next``, then ``complete``; what cannot be done is one result with its errors."""
    yield event_stream.retry_hint()
    results = await schema.stream(
        asked.query,
        variable_values=asked.variables,
        context_value=context,
        operation_name=asked.operation_name,
        operation_extensions=asked.extensions,
        allowed_operation_types=(OperationType.SUBSCRIPTION,),
    )
    async with aclosing(results) as found:
        async for result in found:
            yield event_stream.event("next", codec.encode_echo(body_of(result)))
    yield event_stream.event("complete", b"")
