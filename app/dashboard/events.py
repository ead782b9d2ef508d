"""What happens to a project, as a page that goes on by itself and as the stream that all pages follow."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter

from app import event_stream
from app.dashboard.arrival import STREAM
from app.dashboard.parameters import Cursor, Here, ProjectId
from app.domain.errors import DomainError, Unauthenticated
from app.domain.events import Event, cursor_at
from app.event_stream import EventStream
from app.services import live, passes
from app.storage import changes, codec
from app.storage import events as stored

RECENT = 100
"""Events that the page looks back on."""

LastEventId = Annotated[str | None, HeaderParameter(name="Last-Event-ID", max_length=8_000)]


@get("/projects/{project_id:int}/events")
async def events_page(visit: Here, project_id: ProjectId) -> Response[bytes]:
    """Show what happened lately, the newest first."""
    shell = await visit.shell(project_id)
    version = await changes.current_version(project_id)
    found = await stored.page(project_id, max(0, version - RECENT), RECENT)
    return visit.page("events.html", shell=shell, section="events", events=found[::-1])


@get("/projects/{project_id:int}/events/stream", opt={STREAM: True})
async def stream(
    request: Request[Any, Any, Any],
    visit: Here,
    project_id: ProjectId,
    after: Cursor = None,
    last_event_id: LastEventId = None,
) -> EventStream:
    """Follow the project's events: what kind, where, by whom, and never a value of a document."""
    if visit.session is None:
        raise Unauthenticated("Log in first.")
    bearer = await passes.admit(visit.session.authorization)
    found = await live.events(bearer, project_id, last_event_id or after or None)
    return EventStream(_written(found), bearer.until_lost)


async def _written(found: AsyncGenerator[Event]) -> AsyncGenerator[bytes]:
    yield event_stream.retry_hint()
    async with aclosing(found):
        with suppress(DomainError):
            async for event in found:
                told = {
                    "type": event.type.value,
                    "env_uuid": event.env_uuid,
                    "actor": event.actor,
                    "created_at": event.created_at,
                }
                cursor = cursor_at(event.project_id, event.version)
                yield event_stream.event("happened", codec.encode(told), cursor=cursor)


def event_pages() -> list[HTTPRouteHandler]:
    """Return what follows a project."""
    return [events_page, stream]
