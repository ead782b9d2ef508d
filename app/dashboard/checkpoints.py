"""Checkpoints of an environment: made, pinned, and branched from."""

from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.dashboard.environment import AT, address
from app.dashboard.parameters import Cursor, EnvUuid, Here, ProjectId
from app.dashboard.visit import Problem, Visit
from app.domain.errors import DomainError, ValidationFailed
from app.services import checkpoints, environments

PAGE = 50


@get(f"{AT}/checkpoints")
async def checkpoints_page(
    visit: Here, project_id: ProjectId, env_uuid: EnvUuid, cursor: Cursor = None
) -> Response[bytes]:
    """List the checkpoints of an environment."""
    return await _show(visit, project_id, env_uuid, cursor)


async def _show(
    visit: Visit, project_id: int, env_uuid: UUID, cursor: str | None = None, problem: Problem | None = None
) -> Response[bytes]:
    shell = await visit.shell(project_id)
    environment = await environments.get(visit.actor, env_uuid, project_id)
    page = await checkpoints.list_checkpoints(visit.actor, project_id, env_uuid=env_uuid, limit=PAGE, cursor=cursor)
    return visit.page(
        "checkpoints.html",
        shell=shell,
        section="environments",
        tab="checkpoints",
        environment=environment,
        page=page,
        problem=problem,
    )


@post(f"{AT}/checkpoints")
async def make(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Freeze what the environment shows."""
    try:
        made = await checkpoints.checkpoint(visit.actor, env_uuid, visit.form.given("label"), project_id)
    except DomainError as error:
        return await _show(visit, project_id, env_uuid, problem=Problem("checkpoint", error, visit.form))
    return visit.to(
        f"{address(project_id, env_uuid)}/checkpoints", f"Checkpoint of {made.entity_count} documents made."
    )


@post(f"{AT}/pin")
async def pin(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Take a snapshot that can be shown to others and never changes."""
    try:
        made = await checkpoints.pin(visit.actor, env_uuid, project_id)
    except DomainError as error:
        return await _show(visit, project_id, env_uuid, problem=Problem("pin", error, visit.form))
    return visit.to(f"{address(project_id, env_uuid)}/checkpoints", f"Pinned as {made.uuid}.")


@post(f"{AT}/checkpoints/rollback")
async def rollback(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Branch a new environment from a checkpoint."""
    form = visit.form
    try:
        fork = await checkpoints.rollback(visit.actor, _named(visit), form.given("env_name"), project_id)
    except DomainError as error:
        return await _show(visit, project_id, env_uuid, problem=Problem("rollback", error, form))
    return visit.to(address(project_id, fork.environment.uuid), f"{fork.environment.name} stands on the checkpoint.")


@post(f"{AT}/checkpoints/delete")
async def delete(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Delete a checkpoint that nothing stands on."""
    try:
        await checkpoints.delete_checkpoint(visit.actor, _named(visit), project_id)
    except DomainError as error:
        return await _show(visit, project_id, env_uuid, problem=Problem("delete", error, visit.form))
    return visit.to(f"{address(project_id, env_uuid)}/checkpoints", "The checkpoint is deleted.")


def _named(visit: Visit) -> UUID:
    named = visit.form.uuid("checkpoint")
    if named is None:
        raise ValidationFailed("Name a checkpoint.", field="checkpoint")
    return named


def checkpoint_pages() -> list[HTTPRouteHandler]:
    """Return the pages of checkpoints."""
    return [checkpoints_page, make, pin, rollback, delete]
