"""The page of an environment: what it is, and what in it differs from production."""

from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.dashboard.parameters import Cursor, EnvUuid, Here, ProjectId, UuidInQuery
from app.dashboard.visit import Problem, Visit
from app.domain.errors import DomainError
from app.domain.model import EnvStatus, Project
from app.domain.values import MISSING
from app.services import comparison, deciding, environments, revert, rollouts, segments, tree
from app.services.environments import EnvironmentUpdate
from app.services.segments import SegmentEntry

PAGE = 25
AT = "/projects/{project_id:int}/environments/{env_uuid:uuid}"


def address(project_id: int, env_uuid: UUID) -> str:
    """Return the address of an environment's page."""
    return f"/projects/{project_id}/environments/{env_uuid}"


@get(AT)
async def environment_page(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Show an environment."""
    return await show(visit, project_id, env_uuid)


async def show(visit: Visit, project_id: int, env_uuid: UUID, problem: Problem | None = None) -> Response[bytes]:
    """Return the page of an environment. Raises EnvironmentNotFound."""
    shell = await visit.shell(project_id)
    environment, rollout = await rollouts.get(visit.actor, env_uuid, project_id)
    living = environment.status is not EnvStatus.ARCHIVED
    comparable = living and not environment.is_production
    counts = (
        await comparison.environment_diff(visit.actor, env_uuid, limit=1, project_id=project_id) if comparable else None
    )
    return visit.page(
        "environment.html",
        shell=shell,
        section="environments",
        tab="overview",
        environment=environment,
        head=await tree.generation(visit.actor, environment.head_uuid, project_id),
        rollout=rollout,
        request=await deciding.open_of(visit.actor, env_uuid, project_id) if living else None,
        counts=counts,
        segments=await _segments(visit, shell.project),
        problem=problem,
    )


async def _segments(visit: Visit, project: Project) -> list[SegmentEntry]:
    """Return production's segments, whose users an environment can be given."""
    return (await segments.list_segments(visit.actor, project.id, str(project.production_uuid))).segments


@get(f"{AT}/changes")
async def changes_page(
    visit: Here, project_id: ProjectId, env_uuid: EnvUuid, cursor: Cursor = None, against: UuidInQuery = None
) -> Response[bytes]:
    """Show in what an environment differs from production, or from another state: counts first."""
    shell = await visit.shell(project_id)
    environment = await environments.get(visit.actor, env_uuid, project_id)
    found = await comparison.environment_diff(
        visit.actor, env_uuid, against=against, limit=PAGE, cursor=cursor, project_id=project_id
    )
    return visit.page(
        "changes.html",
        shell=shell,
        section="environments",
        tab="changes",
        environment=environment,
        found=found,
        against=against,
        cursor=cursor,
    )


@post(f"{AT}/settings")
async def update(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Change an environment's name and settings."""
    form = visit.form
    try:
        wanted = EnvironmentUpdate(
            name=form.text("name") if "name" in form else MISSING,
            expires_at=form.moment("expires_at") if "expires_at" in form else MISSING,
            shadow_writes=form.text("shadow_writes") == "on" if "shadow_shown" in form else MISSING,
            segments=list(form.all("segments")) if "segments_shown" in form else MISSING,
            shadow_overwrite=form.text("shadow_overwrite") == "on" if "shadow_shown" in form else MISSING,
        )
        updated = await environments.update(visit.actor, env_uuid, wanted, project_id)
    except DomainError as error:
        return await show(visit, project_id, env_uuid, Problem("settings", error, form))
    return visit.to(address(project_id, env_uuid), f"The settings of {updated.name} are saved.")


@post(f"{AT}/archive")
async def archive(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Archive an environment."""
    try:
        done = await environments.archive(visit.actor, env_uuid, project_id)
    except DomainError as error:
        return await show(visit, project_id, env_uuid, Problem("archive", error, visit.form))
    return visit.to(f"/projects/{project_id}", f"{done.environment.name} is archived.")


@post(f"{AT}/revert")
async def revert_changes(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Drop the overrides of an environment, or of one document of it."""
    kind, key = visit.form.given("kind"), visit.form.text("key") if "key" in visit.form else None
    try:
        done = await revert.revert(visit.actor, env_uuid, kind=kind, key=key, project_id=project_id)
    except DomainError as error:
        return await show(visit, project_id, env_uuid, Problem("revert", error, visit.form))
    return visit.to(f"{address(project_id, env_uuid)}/changes", f"Reverted in {len(done.changes)} documents.")


def environment_pages() -> list[HTTPRouteHandler]:
    """Return the pages of an environment itself."""
    return [environment_page, changes_page, update, archive, revert_changes]
