"""Releases: what went to production, compared and undone; and freezes, in which nothing does."""

from datetime import UTC, datetime
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.dashboard import promotion_forms
from app.dashboard.parameters import Cursor, EnvUuid, Here, ProjectId, UuidInQuery
from app.dashboard.visit import Problem, Visit
from app.domain.errors import DomainError, ValidationFailed
from app.domain.promotion_errors import ConflictsOpen
from app.services import freezes, releasing

PAGE = 25


@get("/projects/{project_id:int}/releases")
async def releases_page(visit: Here, project_id: ProjectId, cursor: Cursor = None) -> Response[bytes]:
    """List what went to production, the newest first."""
    shell = await visit.shell(project_id)
    page = await releasing.list_releases(visit.actor, project_id, limit=PAGE, cursor=cursor)
    return visit.page("releases.html", shell=shell, section="releases", page=page)


@get("/projects/{project_id:int}/releases/compare")
async def compare_page(
    visit: Here, project_id: ProjectId, a: UuidInQuery = None, b: UuidInQuery = None, cursor: Cursor = None
) -> Response[bytes]:
    """Show in what production differed after two releases."""
    if a is None or b is None:
        raise ValidationFailed("Choose two releases.")
    shell = await visit.shell(project_id)
    sides = [await releasing.get(visit.actor, uuid, project_id) for uuid in (a, b)]
    page = await releasing.compare(visit.actor, a, b, project_id=project_id, limit=PAGE, cursor=cursor)
    return visit.page("compared.html", shell=shell, section="releases", sides=sides, page=page)


@get("/projects/{project_id:int}/releases/{release_uuid:uuid}")
async def release_page(
    visit: Here, project_id: ProjectId, release_uuid: EnvUuid, cursor: Cursor = None
) -> Response[bytes]:
    """Show what a release changed."""
    return await _release_page(visit, project_id, release_uuid, cursor)


async def _release_page(
    visit: Visit, project_id: int, release_uuid: UUID, cursor: str | None, problem: Problem | None = None
) -> Response[bytes]:
    shell = await visit.shell(project_id)
    release = await releasing.get(visit.actor, release_uuid, project_id)
    open_conflicts = list(problem.error.conflicts) if problem and isinstance(problem.error, ConflictsOpen) else []
    return visit.page(
        "release.html",
        shell=shell,
        section="releases",
        release=release,
        page=await releasing.documents(visit.actor, release_uuid, project_id=project_id, limit=PAGE, cursor=cursor),
        conflicts=promotion_forms.as_fields(open_conflicts),
        filled=visit.form,
        problem=problem,
    )


@post("/projects/{project_id:int}/releases/{release_uuid:uuid}/undo")
async def undo(visit: Here, project_id: ProjectId, release_uuid: EnvUuid) -> Response[bytes]:
    """Undo what one release did, and keep what came later."""
    form = visit.form
    try:
        settled = promotion_forms.resolutions(form)
        made = await releasing.rollback_release(visit.actor, release_uuid, settled, form.given("message"), project_id)
    except DomainError as error:
        return await _release_page(visit, project_id, release_uuid, None, Problem("undo", error, form))
    return visit.to(f"/projects/{project_id}/releases/{made.uuid}", "Undone, by this release.")


@get("/projects/{project_id:int}/freezes")
async def freezes_page(visit: Here, project_id: ProjectId, cursor: Cursor = None) -> Response[bytes]:
    """List the times in which nothing is promoted."""
    return await _freezes_page(visit, project_id, cursor)


async def _freezes_page(
    visit: Visit, project_id: int, cursor: str | None = None, problem: Problem | None = None
) -> Response[bytes]:
    shell = await visit.shell(project_id)
    page = await freezes.list_freezes(visit.actor, project_id, limit=PAGE, cursor=cursor)
    return visit.page("freezes.html", shell=shell, section="freezes", page=page, now=datetime.now(UTC), problem=problem)


@post("/projects/{project_id:int}/freezes")
async def freeze(visit: Here, project_id: ProjectId) -> Response[bytes]:
    """Declare a freeze."""
    form = visit.form
    try:
        await freezes.freeze(
            visit.actor,
            project_id,
            form.text("reason"),
            owner=form.given("owner"),
            starts_at=form.moment("starts_at"),
            ends_at=form.moment("ends_at"),
        )
    except DomainError as error:
        return await _freezes_page(visit, project_id, problem=Problem("freeze", error, form))
    return visit.to(f"/projects/{project_id}/freezes", "The freeze is declared.")


@post("/projects/{project_id:int}/freezes/{freeze_uuid:uuid}/lift")
async def lift(visit: Here, project_id: ProjectId, freeze_uuid: EnvUuid) -> Response[bytes]:
    """Lift a freeze, or call one off."""
    try:
        await freezes.lift(visit.actor, freeze_uuid, project_id)
    except DomainError as error:
        return await _freezes_page(visit, project_id, problem=Problem("lift", error, visit.form))
    return visit.to(f"/projects/{project_id}/freezes", "The freeze is lifted.")


def release_pages() -> list[HTTPRouteHandler]:
    """Return the pages of releases and freezes."""
    return [releases_page, compare_page, release_page, undo, freezes_page, freeze, lift]
