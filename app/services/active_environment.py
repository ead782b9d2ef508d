"""The environment in which a user works in a project: where requests go that name none (semantics §8)."""

from uuid import UUID

from app.domain.audit import Action, Object
from app.domain.model import Actor, Environment
from app.domain.policy import Operation
from app.domain.values import Value
from app.services import access, recording, roster
from app.services.operation import operation
from app.storage import db, environments, members


async def chosen(actor: Actor, project_id: int) -> Environment:
    """Return where the user's requests go that name no environment, archived or not; production by default.

    Raises ProjectNotFound, TokenKindForbidden.
    """
    await access.authorize(actor, project_id, Operation.CHOOSE_ENVIRONMENT)
    return await environments.active(project_id, actor.account_uuid)


@operation(Action.SET_ACTIVE_ENVIRONMENT)
async def choose(actor: Actor, project_id: int, reference: str | None) -> Environment:
    """Work in the environment that a name or a UUID means, from the next request on; None for production.

    Every process knows at once. Raises EnvironmentNotFound, EnvironmentArchived, ProjectNotFound, TokenKindForbidden.
    """
    await access.authorize(actor, project_id, Operation.CHOOSE_ENVIRONMENT)
    return await _choose(actor, project_id, reference)


@db.atomic()
async def _choose(actor: Actor, project_id: int, reference: str | None) -> Environment:
    own = await roster.lock_as(actor, project_id, Operation.CHOOSE_ENVIRONMENT)
    if reference is None:
        environment = await environments.production(project_id)
    else:
        environment = await access.living_environment(project_id, reference)
    stored = None if environment.is_production else environment.uuid
    if stored != own.active_env_uuid:
        await members.set_active_environment(project_id, actor.account_uuid, stored)
        access.forget(actor.account_uuid)
        await recording.record(
            project_id,
            Object.of(environment),
            env_uuid=environment.uuid,
            change=(_facts(own.active_env_uuid), _facts(stored)),
        )
    return environment


def _facts(env_uuid: UUID | None) -> dict[str, Value]:
    return {"active_env": str(env_uuid) if env_uuid else None}
