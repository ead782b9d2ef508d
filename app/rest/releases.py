"""``/api/sandbox/releases``: what went to production, compared and undone."""

from uuid import UUID

from litestar import Router, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from app.rest.context import implied_project
from app.rest.parameters import Caller, Cursor, ImpliedProjectId, Limit
from app.rest.promotion_answers import ReleaseAnswer, ReleaseDocumentsAnswer, ReleasesAnswer
from app.rest.promotion_bodies import ReleaseRollbackRequest, resolutions
from app.services import releasing


@get("/releases")
async def list_releases(
    actor: Caller, project_id: ImpliedProjectId = None, limit: Limit = 50, cursor: Cursor = None
) -> ReleasesAnswer:
    """List the releases of a project, newest first."""
    page = await releasing.list_releases(actor, implied_project(actor, project_id), limit=limit, cursor=cursor)
    return ReleasesAnswer(releases=[ReleaseAnswer.of(item) for item in page.items], next_cursor=page.next_cursor)


@get("/releases/{release_id:str}")
async def get_release(release_id: FromPath[UUID], actor: Caller, project_id: ImpliedProjectId = None) -> ReleaseAnswer:
    """Show a release."""
    return ReleaseAnswer.of(await releasing.get(actor, release_id, project_id))


@get("/releases/{release_id:str}/documents")
async def list_release_documents(
    release_id: FromPath[UUID],
    actor: Caller,
    project_id: ImpliedProjectId = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ReleaseDocumentsAnswer:
    """List the documents that a release touched, before and after it."""
    page = await releasing.documents(actor, release_id, project_id=project_id, limit=limit, cursor=cursor)
    return ReleaseDocumentsAnswer.page(page.items, page.next_cursor)


@get("/releases/{release_id:str}/diff")
async def compare_releases(
    release_id: FromPath[UUID],
    against: FromQuery[UUID],
    actor: Caller,
    project_id: ImpliedProjectId = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ReleaseDocumentsAnswer:
    """List the documents in which production after this release differs from production after `against`."""
    page = await releasing.compare(actor, against, release_id, project_id=project_id, limit=limit, cursor=cursor)
    return ReleaseDocumentsAnswer.page(page.items, page.next_cursor)


@post("/releases/{release_id:str}/rollback", status_code=201)
async def roll_back_release(
    release_id: FromPath[UUID],
    data: JSONBody[ReleaseRollbackRequest],
    actor: Caller,
    project_id: ImpliedProjectId = None,
) -> ReleaseAnswer:
    """Undo what a release did and keep what came later; answers with the new release.

    If its environment is still live, the undone changes return to it and it becomes a draft.
    """
    made = await releasing.rollback_release(actor, release_id, resolutions(data.resolutions), data.message, project_id)
    return ReleaseAnswer.of(made)


def release_routes() -> Router:
    """Return the routes of releases."""
    handlers = [list_releases, get_release, list_release_documents, compare_releases, roll_back_release]
    return Router("/api/sandbox", route_handlers=handlers, tags=["Releases"])
