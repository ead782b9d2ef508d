"""The settings of projects: read by its members, changed by its owners and admins."""

from collections.abc import Mapping
from functools import partial

from app.domain.audit import Action, Object, ObjectType
from app.domain.errors import ValidationFailed
from app.domain.events import EventType
from app.domain.model import Actor
from app.domain.policy import Operation
from app.domain.project_settings import ProjectSettings
from app.domain.values import Value
from app.services import access, recording
from app.services import project_settings as remembered
from app.services.operation import operation
from app.services.publishing import publish
from app.storage import db, project_settings
from app.storage.after_commit import after_commit


async def get(actor: Actor, project_id: int) -> ProjectSettings:
    """Return the project's settings. Raises ProjectNotFound, Forbidden."""
    await access.authorize(actor, project_id, Operation.READ)
    return await project_settings.get(project_id)


@operation(Action.UPDATE_SETTINGS)
async def update(actor: Actor, project_id: int, changes: Mapping[str, Value]) -> ProjectSettings:
    """Change the settings that ``changes`` names, and return all of them.

    Raises ValidationFailed, ProjectNotFound, Forbidden.
    """
    await access.authorize(actor, project_id, Operation.CHANGE_SETTINGS)
    if not changes:
        raise ValidationFailed("Name a setting to change.", field="settings")
    return await _update(project_id, changes)


@db.atomic()
async def _update(project_id: int, changes: Mapping[str, Value]) -> ProjectSettings:
    before = await project_settings.lock(project_id)
    after = before.changed(changes)
    if after == before:
        return before
    await project_settings.save(project_id, after)
    after_commit(partial(remembered.forget, project_id))
    old, new = before.to_json(), after.to_json()
    await publish(
        project_id, EventType.SETTINGS_CHANGED, data={name: new[name] for name in new if new[name] != old[name]}
    )
    await recording.record(project_id, Object(ObjectType.PROJECT, str(project_id)), change=(old, new))
    return after
