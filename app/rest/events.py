"""``/api/sandbox/events``: what happens to a project, as server-sent events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Router, get
from litestar.params import FromQuery, HeaderParameter, QueryParameter

from app import event_stream
from app.domain.errors import DomainError
from app.domain.events import Event, EventType, cursor_at
from app.domain.rates import RateClass
from app.event_stream import MEDIA_TYPE, EventStream
from app.rest.answers import Answer
from app.rest.context import project_of
from app.rest.metering import RATE
from app.rest.operations import Events
from app.rest.parameters import Caller, ImpliedProjectId
from app.rest.request import StrictRequest
from app.services import live, passes
from app.storage import codec

After = Annotated[
    str | None,
    QueryParameter(description="The `id` of the last event received; without it, what happens from now on."),
]
LastEventId = Annotated[
    str | None,
    HeaderParameter(name="Last-Event-ID", description="The same as `after`, which it wins over; browsers send it."),
]
Types = Annotated[list[EventType] | None, QueryParameter(name="type", description="Only these; repeatable.")]


class EventAnswer(Answer):
    """One event. ``subject`` is what it happened to where that is not the environment.

    ``actor`` is null for the server itself.
    """

    id: str
    type: EventType
    project_id: int
    version: int
    env_uuid: UUID | None
    subject: UUID | None
    data: dict[str, Any]
    actor: str | None
    created_at: datetime

    @classmethod
    def of(cls, event: Event) -> "EventAnswer":
        """Return the answer for an event."""
        return cls(
            id=cursor_at(event.project_id, event.version),
            type=event.type,
            project_id=event.project_id,
            version=event.version,
            env_uuid=event.env_uuid,
            subject=event.subject,
            data=dict(event.data),
            actor=event.actor,
            created_at=event.created_at,
        )


@get("/events", media_type=MEDIA_TYPE, operation_class=Events, opt={RATE: RateClass.STREAM})
async def follow_events(
    request: StrictRequest,
    actor: Caller,
    project_id: ImpliedProjectId = None,
    env_uuid: FromQuery[UUID | None] = None,
    after: After = None,
    last_event_id: LastEventId = None,
    types: Types = None,
) -> EventStream:
    """Follow a project's events, or those of one environment, in the order of their commits.

    Each event has an `id`; whoever comes back with it gets what happened meanwhile, without gap or repeat. The stream
    ends when the right to follow ends, when the client takes nothing for long, and when the server stops.
    """
    project = await project_of(actor, project_id, env_uuid)
    bearer = await passes.admit(request.headers.get("authorization"))
    found = await live.events(bearer, project, last_event_id or after or None, types=types or (), env_uuid=env_uuid)
    return EventStream(_written(found), bearer.until_lost)


async def _written(found: AsyncGenerator[Event]) -> AsyncGenerator[bytes]:
    yield event_stream.retry_hint()
    async with aclosing(found):
        # The status is sent; whoever comes back is told why it was.
        with suppress(DomainError):
            async for event in found:
                answer = EventAnswer.of(event)
                yield event_stream.event(event.type.value, codec.encode(answer), cursor=answer.id)


def event_routes() -> Router:
    """Return the route of events."""
    return Router("/api/sandbox", route_handlers=[follow_events], tags=["Events"])
