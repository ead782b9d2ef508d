"""The generation tree, for those who look at it and those who walk it."""

from dataclasses import dataclass
from uuid import UUID

from app.domain.errors import GenerationNotFound
from app.domain.model import Actor, Environment, Generation
from app.domain.policy import Operation
from app.services import access
from app.storage import generations


@dataclass(frozen=True, slots=True)
class TreeNode:
    generation: Generation
    environment: Environment


async def tree(actor: Actor, project_id: int, root_uuid: UUID | None = None) -> list[TreeNode]:
    """Return the project's tree, or the part below ``root_uuid`` (a generation or an anchor), parents first.

    One statement. Raises GenerationNotFound.
    """
    await access.authorize(actor, project_id, Operation.READ)
    nodes = await generations.tree_with_environments(project_id, root_uuid)
    if not nodes:
        raise GenerationNotFound(f"No generation or environment of this project has the UUID {root_uuid}.")
    return [TreeNode(generation, environment) for generation, environment in nodes]


async def generation(actor: Actor, uuid: UUID, project_id: int | None = None) -> Generation:
    """Return a generation, snapshots included. Raises GenerationNotFound."""
    found = await access.seek(actor, project_id, lambda ids: generations.get(ids, uuid))
    if found is None:
        raise GenerationNotFound(f"There is no generation {uuid} here.")
    await access.authorize(actor, found.project_id, Operation.READ)
    return found
