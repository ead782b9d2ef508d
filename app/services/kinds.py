"""The kinds of a project's documents."""

from app.domain.model import Actor
from app.domain.paging import MAX_LIMIT
from app.domain.policy import Operation
from app.services import access
from app.storage import entities


async def list_kinds(actor: Actor, project_id: int) -> list[str]:
    """Return the kinds that documents of the project have or had, in order, as many as a page holds.

    Raises ProjectNotFound, Forbidden.
    """
    await access.authorize(actor, project_id, Operation.READ)
    return await entities.kinds(project_id, MAX_LIMIT)
