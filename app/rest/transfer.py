"""Documents in bulk, as NDJSON: streamed both ways."""

from collections.abc import AsyncIterator
from typing import Annotated

from litestar import Router, get, post
from litestar.params import QueryParameter
from litestar.response import Stream

from app.rest.answers import Answer
from app.rest.operations import Export, Import
from app.rest.parameters import Caller, InEnvironment, Moment, ProjectId
from app.rest.request import NDJSON, StrictRequest
from app.services import transfer
from app.storage import deadline


class Imported(Answer):
    lines: int
    created: int
    changed: int
    unchanged: int


@post("/import", status_code=200, request_max_body_size=None, operation_class=Import)
async def import_documents(
    request: StrictRequest, project_id: ProjectId, actor: Caller, env: InEnvironment
) -> Imported:
    """Put many documents: one `{"kind", "key", "data"}` a line, all of them or none."""
    request.expect_media_type([NDJSON])
    deadline.lift()
    done = await transfer.import_documents(actor, project_id, env, request.stream())
    return Imported(lines=done.lines, created=done.created, changed=done.changed, unchanged=done.unchanged)


@get("/export", media_type=NDJSON, operation_class=Export)
async def export_documents(
    project_id: ProjectId,
    actor: Caller,
    env: InEnvironment,
    at: Moment,
    kind: Annotated[str | None, QueryParameter(description="Only documents of this kind.")] = None,
) -> Stream:
    """Get all documents, or those of a kind: one `{"kind", "key", "data"}` a line."""
    deadline.lift()
    lines: AsyncIterator[bytes] = await transfer.export_documents(actor, project_id, env, kind=kind, at=at)
    return Stream(lines, media_type=NDJSON)


def transfer_routes() -> Router:
    """Return the routes of bulk transfer."""
    return Router(
        "/api/projects/{project_id:str}", route_handlers=[import_documents, export_documents], tags=["Documents"]
    )
