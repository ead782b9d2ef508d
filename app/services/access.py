"""Letting an actor into a project, and finding the environment that a request means (semantics §8)."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar
from unicodedata import normalize
from uuid import UUID

from app.domain import policy
from app.domain.errors import EnvironmentArchived, EnvironmentNotFound, Forbidden, ProjectNotFound
from app.domain.json_text import unstorable_text
from app.domain.model import Actor, Environment, EnvStatus, Role
from app.domain.policy import Operation
from app.services import calls
from app.storage import environments, projects

TRUSTED_SECONDS: Final = 1.0
MAX_REMEMBERED: Final = 10_000

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class _Memberships:
    roles: dict[int, Role]
    read_at: float


_remembered: OrderedDict[UUID, _Memberships] = OrderedDict()


def forget(account_uuid: UUID) -> None:
    """Read the account's memberships anew at its next request; other processes do so within a second."""
    _remembered.pop(account_uuid, None)


async def _roles(actor: Actor, *, fresh: bool = False) -> dict[int, Role]:
    known = _remembered.get(actor.account_uuid)
    if known is not None and not fresh and time.monotonic() - known.read_at < TRUSTED_SECONDS:
        return known.roles
    now = time.monotonic()
    roles = await projects.roles(actor.account_uuid)
    _remembered[actor.account_uuid] = _Memberships(roles, now)
    if len(_remembered) > MAX_REMEMBERED:
        _remembered.popitem(last=False)
    return roles


async def role_in(actor: Actor, project_id: int) -> Role | None:
    """Return the actor's role; None for an API key of the project.

    A yes may be a second old, a no never is. Raises ProjectNotFound for who is not a member, Forbidden for a
    key of another project.
    """
    if actor.is_key:
        if actor.project_id != project_id:
            raise Forbidden("This API key belongs to another project.")
        return None
    role = (await _roles(actor)).get(project_id) or (await _roles(actor, fresh=True)).get(project_id)
    if role is None:
        raise ProjectNotFound
    return role


async def authorize(actor: Actor, project_id: int, operation: Operation) -> None:
    """Let the actor pass or raise ProjectNotFound, Forbidden or TokenKindForbidden."""
    role = await role_in(actor, project_id)
    calls.let_into(project_id)
    policy.check(actor, role, operation)


async def project_ids(actor: Actor, *, fresh: bool = False) -> list[int]:
    """Return the projects that the actor can see."""
    if actor.project_id is not None:
        return [actor.project_id]
    return list(await _roles(actor, fresh=fresh))


async def seek(
    actor: Actor, project_id: int | None, find: Callable[[list[int]], Awaitable[Found | None]]
) -> Found | None:
    """Return what ``find`` finds in the project named, else in all the actor's projects. A no is never old.

    Raises ProjectNotFound, Forbidden if a project is named that the actor is not in.
    """
    if project_id is not None:
        await role_in(actor, project_id)
        return await find([project_id])
    found = await find(await project_ids(actor))
    if found is None and not actor.is_key:
        found = await find(await project_ids(actor, fresh=True))
    return found


async def environment_by_uuid(
    actor: Actor, uuid: UUID, operation: Operation, project_id: int | None = None
) -> Environment:
    """Return the environment, archived or not, if the actor may do ``operation`` in its project.

    Raises EnvironmentNotFound alike for an unknown UUID and for one of a foreign project.
    """
    environment = await seek(actor, project_id, lambda ids: environments.get(ids, uuid))
    if environment is None:
        raise EnvironmentNotFound(str(uuid))
    await authorize(actor, environment.project_id, operation)
    return environment


async def environment_in_context(project_id: int, reference: str | None) -> Environment:
    """Return the living environment that a request's context names; None names production.

    Raises EnvironmentNotFound, EnvironmentArchived.
    """
    named = normal_reference(reference)
    if named is None:
        return await environments.production(project_id)
    if isinstance(named, UUID):
        environment = await environments.get([project_id], named)
    else:
        environment = await environments.find_by_name(project_id, named)
    if environment is None:
        raise EnvironmentNotFound(str(reference))
    if environment.status is EnvStatus.ARCHIVED:
        raise EnvironmentArchived(reference)
    return environment


def normal_reference(reference: str | None) -> UUID | str | None:
    """Return what a reference to an environment names: a UUID, a name in NFC, or None for production.

    Raises EnvironmentNotFound for what no environment can be called.
    """
    if reference is None:
        return None
    uuid = as_uuid(reference)
    if uuid is not None:
        return uuid
    if unstorable_text(reference) is not None:
        raise EnvironmentNotFound(reference)
    return reference if reference.isascii() else normalize("NFC", reference)


def as_uuid(text: str) -> UUID | None:
    """Return the UUID that ``text`` spells in the usual form, or None."""
    if len(text) != 36:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None
