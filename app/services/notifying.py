"""Telling whoever follows a project about an environment, by hand (``rest.md``, ``/notify``)."""

from uuid import UUID

from app.domain.audit import Action, Object
from app.domain.errors import EnvironmentArchived, ValidationFailed
from app.domain.events import EventType
from app.domain.json_text import unstorable_text
from app.domain.model import Actor, Environment, EnvStatus
from app.domain.policy import Operation
from app.domain.values import MISSING, State, Value
from app.services import access, recording
from app.services.operation import operation
from app.services.publishing import publish
from app.storage import db

MAX_MESSAGE = 2_000


@operation(Action.NOTIFY)
async def notify(
    actor: Actor, env_uuid: UUID, message: str | None = None, project_id: int | None = None
) -> Environment:
    """Publish ``generation.notify_manual`` for an environment. Raises EnvironmentNotFound, ValidationFailed."""
    if message is not None and (len(message) > MAX_MESSAGE or unstorable_text(message)):
        raise ValidationFailed(f"A message has at most {MAX_MESSAGE:,} characters that can be stored.", field="message")
    environment = await access.environment_by_uuid(actor, env_uuid, Operation.VALIDATE, project_id)
    if environment.status is EnvStatus.ARCHIVED:
        raise EnvironmentArchived(env_uuid)
    return await _notify(environment, message)


@db.atomic()
async def _notify(environment: Environment, message: str | None) -> Environment:
    data: dict[str, Value] = {"env_name": environment.name, "status": environment.status.value, "message": message}
    await publish(environment.project_id, EventType.GENERATION_NOTIFY_MANUAL, env_uuid=environment.uuid, data=data)
    change: tuple[State, State] = (MISSING, {"message": message})
    await recording.record(environment.project_id, Object.of(environment), env_uuid=environment.uuid, change=change)
    return environment
