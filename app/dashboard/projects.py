"""The list of projects, and the page of one: production, its environments, what the plan still allows."""

from typing import Final

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.dashboard.parameters import Cursor, EnvUuid, Flag, Here, ProjectId
from app.dashboard.rendering import words
from app.dashboard.visit import LIVING, Problem, Visit
from app.domain.errors import DomainError
from app.domain.model import EnvStatus, EnvType
from app.domain.plans import Limit, Usage, maximum
from app.services import comparison, environments, plan_limits, projects, segments
from app.services.branching import ForkOptions

PAGE: Final = 50
_LIMITS: Final = {
    Limit.ENVIRONMENT_COUNT: "Environments",
    Limit.GENERATION_DEPTH: "Generations in depth",
    Limit.CHECKPOINT_COUNT: "Checkpoints",
    Limit.AB_TEST_COUNT: "Active A/B tests",
    Limit.SHADOW_WRITES: "Shadow writes",
}


@get("/")
async def project_list(visit: Here, cursor: Cursor = None) -> Response[bytes]:
    """Show the projects of who is logged in."""
    return await _project_list(visit, cursor)


async def _project_list(visit: Visit, cursor: str | None = None, problem: Problem | None = None) -> Response[bytes]:
    page = await projects.list_projects(visit.actor, limit=PAGE, cursor=cursor)
    roles = await projects.memberships(visit.actor)
    return visit.page("projects.html", page=page, roles=roles, problem=problem)


@post("/projects")
async def create_project(visit: Here) -> Response[bytes]:
    """Make a project."""
    try:
        made = await projects.create(visit.actor, visit.form.text("name"), visit.door.settings.default_plan)
    except DomainError as error:
        return await _project_list(visit, None, Problem("create", error, visit.form))
    return visit.to(f"/projects/{made.id}", f"{made.name} is ready: fork an environment to try something.")


@get("/projects/{project_id:int}")
async def project_page(
    visit: Here, project_id: ProjectId, cursor: Cursor = None, archived: Flag = False
) -> Response[bytes]:
    """Show a project."""
    return await _project_page(visit, project_id, cursor, archived=archived)


async def _project_page(
    visit: Visit, project_id: int, cursor: str | None, *, archived: bool = False, problem: Problem | None = None
) -> Response[bytes]:
    shell = await visit.shell(project_id)
    statuses = (EnvStatus.ARCHIVED,) if archived else LIVING
    page = await environments.list_environments(visit.actor, project_id, statuses=statuses, limit=PAGE, cursor=cursor)
    usage = await plan_limits.usage(visit.actor, project_id)
    return visit.page(
        "project.html",
        shell=shell,
        section="overview",
        page=page,
        archived=archived,
        usage=_usage_rows(usage),
        type_options=[(item.value, words(item)) for item in EnvType if item is not EnvType.PRODUCTION],
        segments=(await segments.list_segments(visit.actor, project_id, str(shell.project.production_uuid))).segments,
        problem=problem,
    )


def _usage_rows(usage: Usage) -> list[tuple[str, int, int | None]]:
    """Return of each limit its name, what is in use and the most that there may be, None for any number."""
    uses = ((name, usage.of(limit), maximum(usage.plan, limit)) for limit, name in _LIMITS.items())
    return [(name, used, most) for name, used, most in uses if used is not None]


@post("/projects/{project_id:int}/fork")
async def fork(visit: Here, project_id: ProjectId) -> Response[bytes]:
    """Fork an environment."""
    form = visit.form
    try:
        options = ForkOptions(
            env_name=form.text("env_name"),
            env_type=EnvType(form.text("env_type", EnvType.SANDBOX.value)),
            parent_env_uuid=form.uuid("parent"),
            segment_id=form.uuid("segment"),
            expires_at=form.moment("expires_at"),
        )
        made = await environments.fork(visit.actor, project_id, options)
    except DomainError as error:
        return await _project_page(visit, project_id, None, problem=Problem("fork", error, form))
    return visit.to(
        f"/projects/{project_id}/environments/{made.environment.uuid}", f"{made.environment.name} is forked."
    )


@get("/projects/{project_id:int}/environments/{env_uuid:uuid}/counts")
async def counts(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Say in a few words how many documents of an environment differ from production's; a part of a page."""
    found = await comparison.environment_diff(visit.actor, env_uuid, limit=1, project_id=project_id)
    return visit.page("counts.html", found=found)


def project_pages() -> list[HTTPRouteHandler]:
    """Return the pages of projects."""
    return [project_list, create_project, project_page, fork, counts]
