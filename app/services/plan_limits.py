"""What a project may have more of under its plan; ``hold`` and ``hold_rollback`` inside the using transaction.

They come before any other lock of the transaction (semantics §11.31), and hold until it has ended.
"""

from app.domain import plans
from app.domain.errors import ProjectNotFound
from app.domain.model import Actor, Generation
from app.domain.plans import Limit, SandboxLimitExceeded, Usage
from app.domain.policy import Operation
from app.services import access
from app.storage import plan_usage


async def usage(actor: Actor, project_id: int) -> Usage:
    """Return what a project uses of its plan. Raises ProjectNotFound, Forbidden."""
    await access.authorize(actor, project_id, Operation.READ)
    return await usage_of(project_id)


async def usage_of(project_id: int) -> Usage:
    """Return what a project uses of its plan, for who was let in. Raises ProjectNotFound."""
    found = (await plan_usage.get_many([project_id])).get(project_id)
    if found is None:
        raise ProjectNotFound
    return found


async def hold(project_id: int, limit: Limit) -> Usage:
    """Return what is in use, which nobody else can add to now; where there is no limit, nobody has to wait."""
    seen = await usage_of(project_id)
    if plans.maximum(seen.plan, limit) is None:
        return seen
    await plan_usage.lock(project_id, limit)
    return await usage_of(project_id)


async def hold_rollback(checkpoint: Generation) -> tuple[Usage, bool]:
    """Return what is in use, and whether a rollback to ``checkpoint`` goes beyond the limit of environments.

    That is allowed once per checkpoint (semantics §8). Raises SandboxNotAvailable, SandboxLimitExceeded.
    """
    held = await hold(checkpoint.project_id, Limit.ENVIRONMENT_COUNT)
    try:
        plans.check_environment(held)
    except SandboxLimitExceeded:
        if not plans.may_exceed(held) or await plan_usage.was_exceeded_for(checkpoint.project_id, checkpoint.uuid):
            raise
        return held, True
    return held, False
