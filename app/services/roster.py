"""What changing members and inviting have in common."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from app.domain import policy
from app.domain.errors import ProjectNotFound, ValidationFailed
from app.domain.events import EventType
from app.domain.members import Member, Membership
from app.domain.model import Actor
from app.domain.policy import Operation
from app.domain.values import Value
from app.services import access, publishing
from app.storage import members

MAX_ENVIRONMENTS: Final = 50


async def lock_as(actor: Actor, project_id: int, operation: Operation) -> Membership:
    """Lock the project's members and return what the actor is among them, if it may still do ``operation``.

    Inside the caller's transaction: whoever was let in before may have been removed or demoted meanwhile.
    """
    await members.lock(project_id)
    own = await members.get(project_id, actor.account_uuid)
    if own is None:
        raise ProjectNotFound
    policy.check(actor, own.membership, operation)
    return own.membership


async def announce(type_: EventType, member: Member) -> None:
    """Publish what became of a member, whose memberships are read anew after the transaction."""
    access.forget(member.account_uuid)
    data: dict[str, Value] = {"role": member.role.value}
    await publishing.publish(member.project_id, type_, subject=member.account_uuid, data=data)


async def environments_named(project_id: int, references: Sequence[str] | None) -> frozenset[UUID] | None:
    """Return the living environments that names and UUIDs mean; None for None, which is all of them.

    Raises EnvironmentNotFound, EnvironmentArchived, ValidationFailed.
    """
    if references is None:
        return None
    if not 1 <= len(references) <= MAX_ENVIRONMENTS:
        raise ValidationFailed(
            f"Name 1 to {MAX_ENVIRONMENTS} environments, or leave them out for all.", field="environments"
        )
    found = [await access.living_environment(project_id, reference) for reference in references]
    return frozenset(environment.uuid for environment in found)
