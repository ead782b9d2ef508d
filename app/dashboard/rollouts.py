"""A canary under way: its share of traffic, its steps and its health, and what a person can do about it."""

from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.dashboard import promotion_forms
from app.dashboard.environment import AT, address
from app.dashboard.parameters import EnvUuid, Here, ProjectId
from app.dashboard.visit import Problem, Visit
from app.domain.errors import DomainError
from app.domain.promotion_errors import RolloutBlocked
from app.services import canaries, rollouts


@get(f"{AT}/rollout")
async def rollout_page(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Show a rollout."""
    return await _show(visit, project_id, env_uuid)


async def _show(visit: Visit, project_id: int, env_uuid: UUID, problem: Problem | None = None) -> Response[bytes]:
    environment, rollout = await rollouts.get(visit.actor, env_uuid, project_id)
    blocked = problem.error if problem and isinstance(problem.error, RolloutBlocked) else None
    return visit.page(
        "rollout.html",
        shell=await visit.shell(project_id),
        section="environments",
        tab="rollout",
        environment=environment,
        rollout=rollout,
        conflicts=promotion_forms.as_fields(list(blocked.conflicts)) if blocked else [],
        filled=visit.form,
        problem=problem,
    )


@post(f"{AT}/advance")
async def advance(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Take the rollout one step on."""
    form = visit.form
    try:
        settled = promotion_forms.resolutions(form)
        override = form.text("override_freeze") == "on"
        standing = await canaries.advance(visit.actor, env_uuid, settled, project_id, override_freeze=override)
    except DomainError as error:
        return await _show(visit, project_id, env_uuid, Problem("advance", error, form))
    said = "It is in production." if standing.completed else f"{standing.traffic_weight} % of traffic go there now."
    return visit.to(f"{address(project_id, env_uuid)}/rollout", said)


@post(f"{AT}/abort")
async def abort(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """End the rollout; production was not touched."""
    form = visit.form
    failed = form.text("mark_failed") == "on"
    try:
        await canaries.abort(visit.actor, env_uuid, project_id, reason=form.given("reason"), mark_failed=failed)
    except DomainError as error:
        return await _show(visit, project_id, env_uuid, Problem("abort", error, form))
    return visit.to(f"{address(project_id, env_uuid)}/rollout", "The rollout is aborted; production was not touched.")


def rollout_pages() -> list[HTTPRouteHandler]:
    """Return the pages of rollouts."""
    return [rollout_page, advance, abort]
