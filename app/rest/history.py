"""``/api/sandbox``: what changed, who set a value, and dropping overrides."""

from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter

from app.domain.model import PROJECT_KEY, PROJECT_KIND
from app.domain.pointer import format_pointer, parse_path
from app.rest.answers import Answer, ChangeAnswer
from app.rest.bodies import RevertRequest
from app.rest.context import project_of
from app.rest.parameters import Caller, Cursor, ImpliedProjectId, InEnvironment, Limit, Place
from app.services import history, revert

OfKind = Annotated[str | None, QueryParameter(name="kind", description="Only documents of this kind.")]
OfKey = Annotated[str | None, QueryParameter(name="key", description="Only the document with this key.")]


class Changes(Answer):
    changes: list[ChangeAnswer]
    next_cursor: str | None


class Blame(Answer):
    """``change`` is null where no change is known to have set the value."""

    kind: str
    key: str
    path: str
    change: ChangeAnswer | None


class RevertedAnswer(Answer):
    env_uuid: UUID
    reverted: int
    changes: list[ChangeAnswer]


@get("/changes")
async def list_changes(
    actor: Caller,
    project_id: ImpliedProjectId = None,
    env_uuid: FromQuery[UUID | None] = None,
    kind: OfKind = None,
    key: OfKey = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Changes:
    """List changes of a project, an environment or a document, newest first."""
    project = await project_of(actor, project_id, env_uuid)
    page = await history.list_changes(actor, project, env_uuid=env_uuid, kind=kind, key=key, limit=limit, cursor=cursor)
    return Changes(changes=[ChangeAnswer.of(change) for change in page.items], next_cursor=page.next_cursor)


@get("/blame")
async def get_blame(
    actor: Caller,
    env: InEnvironment,
    below: Place,
    project_id: ImpliedProjectId = None,
    env_uuid: FromQuery[UUID | None] = None,
    kind: OfKind = None,
    key: OfKey = None,
) -> Blame:
    """Show which change gave a place of a document its value."""
    project = await project_of(actor, project_id, env_uuid)
    kind, key = kind or PROJECT_KIND, key or PROJECT_KEY
    change = await history.blame(actor, project, str(env_uuid) if env_uuid else env, kind, key, below)
    shown = ChangeAnswer.of(change) if change else None
    return Blame(kind=kind, key=key, path=format_pointer(below), change=shown)


@post("/revert", status_code=200)
async def revert_overrides(
    data: JSONBody[RevertRequest], actor: Caller, project_id: ImpliedProjectId = None
) -> RevertedAnswer:
    """Drop overrides of an environment: all, those of one document, or those at some paths of it."""
    paths = None if data.paths is None else [parse_path(path) for path in data.paths]
    done = await revert.revert(actor, data.env_uuid, kind=data.kind, key=data.key, paths=paths, project_id=project_id)
    changes = [ChangeAnswer.of(change) for change in done.changes]
    return RevertedAnswer(env_uuid=done.environment.uuid, reverted=len(changes), changes=changes)


def history_routes() -> Router:
    """Return the routes of history."""
    return Router("/api/sandbox", route_handlers=[list_changes, get_blame, revert_overrides], tags=["History"])
