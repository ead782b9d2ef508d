"""``/api/sandbox``: checkpoints, rollbacks to them, pins, backups."""

from typing import Annotated
from uuid import UUID

from litestar import Router, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.rest.backup_answers import Backup, Backups, RestoredAnswer
from app.rest.bodies import BackupRequest, CheckpointRequest, PinRequest, RestoreRequest, RollbackRequest
from app.rest.context import implied_project, named_once, project_of
from app.rest.environment_answers import RolledBack
from app.rest.generation_answers import Checkpoint, Checkpoints, DeletedCheckpoint, Pin, SnapshotAnswer
from app.rest.parameters import Caller, Cursor, ImpliedProjectId, Limit
from app.services import backups, checkpoints


@post("/checkpoint", status_code=201)
async def create_checkpoint(
    data: JSONBody[CheckpointRequest], actor: Caller, project_id: ImpliedProjectId = None
) -> Checkpoint:
    """Freeze what an environment shows into a whole snapshot."""
    return Checkpoint.of(await checkpoints.checkpoint(actor, data.env_uuid, data.label, project_id))


@get("/checkpoints")
async def list_checkpoints(
    actor: Caller,
    project_id: ImpliedProjectId = None,
    env_uuid: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Checkpoints:
    """List checkpoints of a project or of one environment, newest first."""
    project = await project_of(actor, project_id, env_uuid)
    page = await checkpoints.list_checkpoints(actor, project, env_uuid=env_uuid, limit=limit, cursor=cursor)
    return Checkpoints(checkpoints=[Checkpoint.of(item) for item in page.items], next_cursor=page.next_cursor)


@delete("/checkpoint", status_code=200)
async def delete_checkpoint(
    checkpoint_uuid: FromQuery[UUID], actor: Caller, project_id: ImpliedProjectId = None
) -> DeletedCheckpoint:
    """Delete a checkpoint that nothing stands on."""
    return DeletedCheckpoint.after(await checkpoints.delete_checkpoint(actor, checkpoint_uuid, project_id))


@post("/rollback", status_code=201)
async def roll_back(data: JSONBody[RollbackRequest], actor: Caller, project_id: ImpliedProjectId = None) -> RolledBack:
    """Branch a new environment from a checkpoint.

    At the plan's limit of environments that is allowed once per checkpoint. Needs a user's token.
    """
    made = await checkpoints.rollback(actor, data.checkpoint_uuid, data.env_name, project_id)
    return RolledBack.to(data.checkpoint_uuid, made)


@post("/pin", status_code=201)
async def create_pin(data: JSONBody[PinRequest], actor: Caller, project_id: ImpliedProjectId = None) -> Pin:
    """Take an immutable snapshot of an environment, for a review link."""
    return Pin.of(await checkpoints.pin(actor, data.env_uuid, project_id))


@get("/snapshot/{pinned_uuid:str}")
async def get_snapshot(
    pinned_uuid: FromPath[UUID],
    actor: Caller,
    project_id: ImpliedProjectId = None,
    kind: Annotated[str | None, QueryParameter(description="Only documents of this kind.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> SnapshotAnswer:
    """Show a pinned snapshot and its documents."""
    found = await checkpoints.snapshot(actor, pinned_uuid, project_id=project_id, kind=kind, limit=limit, cursor=cursor)
    return SnapshotAnswer.of_page(found)


@post("/backup", status_code=201)
async def create_backup(data: JSONBody[BackupRequest], actor: Caller, project_id: ImpliedProjectId = None) -> Backup:
    """Back up all production documents."""
    project = implied_project(actor, named_once(project_id, data.project_id))
    return Backup.of(await backups.backup(actor, project, data.label))


@get("/backups")
async def list_backups(
    actor: Caller, project_id: ImpliedProjectId = None, limit: Limit = 50, cursor: Cursor = None
) -> Backups:
    """List the backups of a project, newest first."""
    page = await backups.list_backups(actor, implied_project(actor, project_id), limit=limit, cursor=cursor)
    return Backups(backups=[Backup.of(item) for item in page.items], next_cursor=page.next_cursor)


@post("/restore", status_code=200)
async def restore_backup(
    data: JSONBody[RestoreRequest], actor: Caller, project_id: ImpliedProjectId = None
) -> RestoredAnswer:
    """Make production what it was at a backup, or only the documents named."""
    project = implied_project(actor, named_once(project_id, data.project_id))
    wanted = None if data.entities is None else [(entity.kind, entity.key) for entity in data.entities]
    return RestoredAnswer.of(await backups.restore(actor, project, data.backup_uuid, wanted))


def checkpoint_routes() -> list[Router]:
    """Return the routes of checkpoints, pins and backups."""
    line = [create_checkpoint, list_checkpoints, delete_checkpoint, roll_back, create_pin, get_snapshot]
    return [
        Router("/api/sandbox", route_handlers=line, tags=["Checkpoints"]),
        Router("/api/sandbox", route_handlers=[create_backup, list_backups, restore_backup], tags=["Backups"]),
    ]
