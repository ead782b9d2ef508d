"""Letting an actor into a project, and finding the environment that a request means (semantics §8)."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar
from unicodedata import normalize
from uuid import UUID

from app.domain import policy
from app.domain.errors import (
    DirectProductionWriteForbidden,
    EnvironmentArchived,
    EnvironmentNotFound,
    Forbidden,
    ProjectNotFound,
)
from app.domain.json_text import unstorable_text
from app.domain.members import Membership
from app.domain.model import Actor, Environment, EnvStatus
from app.domain.names import is_uuid
from app.domain.policy import Operation
from app.services import calls, project_settings, rates
from app.storage import environments, members
from app.storage.after_commit import after_commit

TRUSTED_SECONDS: Final = 1.0
MAX_REMEMBERED: Final = 10_000

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class _Memberships:
    by_project: dict[int, Membership]
    read_at: float


_remembered: OrderedDict[UUID, _Memberships] = OrderedDict()


def forget(account_uuid: UUID) -> None:
    """Read the account's memberships anew once the transaction, if there is one, has changed them.

    Other processes do so within a second.
    """

    def pop() -> None:
        _remembered.pop(account_uuid, None)

    after_commit(pop)


async def _memberships(actor: Actor, *, fresh: bool = False) -> dict[int, Membership]:
    known = _remembered.get(actor.account_uuid)
    if known is not None and not fresh and time.monotonic() - known.read_at < TRUSTED_SECONDS:
        return known.by_project
    now = time.monotonic()
    found = await members.of_account(actor.account_uuid)
    _remembered[actor.account_uuid] = _Memberships(found, now)
    if len(_remembered) > MAX_REMEMBERED:
        _remembered.popitem(last=False)
    return found


async def membership_in(actor: Actor, project_id: int) -> Membership | None:
    """Return what the actor is in the project; None for an API key of the project.

    What it was may be a second old; that it was nothing never is. Raises ProjectNotFound for who is not a member,
    Forbidden for a key of another project.
    """
    if actor.is_key:
        if actor.project_id != project_id:
            raise Forbidden("This API key belongs to another project.")
        return None
    known = (await _memberships(actor)).get(project_id) or (await _memberships(actor, fresh=True)).get(project_id)
    if known is None:
        raise ProjectNotFound
    return known


async def authorize(
    actor: Actor, project_id: int, operation: Operation, env_uuid: UUID | None = None
) -> Membership | None:
    """Let the actor pass and return what it is in the project, None for an API key.

    ``env_uuid`` is the environment that the operation changes or forks, where that is known. A yes may be a second
    old, a no never is. The project pays for the request. Raises ProjectNotFound, Forbidden, EnvironmentRestricted,
    TokenKindForbidden, RateLimited, TooManyAtOnce.
    """
    membership = await membership_in(actor, project_id)
    calls.let_into(project_id)
    await rates.let_into(project_id)
    try:
        policy.check(actor, membership, operation, env_uuid)
    except Forbidden:
        if actor.is_key:
            raise
        membership = (await _memberships(actor, fresh=True)).get(project_id)
        policy.check(actor, membership, operation, env_uuid)
    return membership


async def enter(actor: Actor, environment: Environment, operation: Operation) -> None:
    """Let the actor do ``operation`` in the environment.

    Raises as ``authorize`` does, and DirectProductionWriteForbidden.
    """
    membership = await authorize(actor, environment.project_id, operation, environment.uuid)
    if environment.is_production and policy.POLICY[operation].direct:
        await _check_direct_write(membership, environment, operation)


async def _check_direct_write(membership: Membership | None, environment: Environment, operation: Operation) -> None:
    try:
        policy.check_direct_write(membership, operation, environment, await project_settings.of(environment.project_id))
    except DirectProductionWriteForbidden:
        settings = await project_settings.of(environment.project_id, fresh=True)
        policy.check_direct_write(membership, operation, environment, settings)


async def let_change(actor: Actor, environment: Environment) -> None:
    """Let whoever has just made an environment change it, also if limited to others; in the same transaction."""
    membership = await membership_in(actor, environment.project_id)
    if membership is not None and membership.environments is not None:
        await members.let_change(environment.project_id, actor.account_uuid, environment.uuid)


async def project_ids(actor: Actor, *, fresh: bool = False) -> list[int]:
    """Return the projects that the actor can see."""
    if actor.project_id is not None:
        return [actor.project_id]
    return list(await _memberships(actor, fresh=fresh))


async def memberships(actor: Actor) -> dict[int, Membership]:
    """Return what a user is in each of its projects; an API key is a member of none."""
    return {} if actor.is_key else await _memberships(actor, fresh=True)


async def seek(
    actor: Actor, project_id: int | None, find: Callable[[list[int]], Awaitable[Found | None]]
) -> Found | None:
    """Return what ``find`` finds in the project named, else in all the actor's projects. A no is never old.

    Raises ProjectNotFound, Forbidden if a project is named that the actor is not in.
    """
    if project_id is not None:
        await membership_in(actor, project_id)
        return await find([project_id])
    found = await find(await project_ids(actor))
    if found is None and not actor.is_key:
        found = await find(await project_ids(actor, fresh=True))
    return found


async def environment_by_uuid(
    actor: Actor, uuid: UUID, operation: Operation, project_id: int | None = None
) -> Environment:
    """Return the environment, archived or not, if the actor may do ``operation`` in it.

    Raises EnvironmentNotFound alike for an unknown UUID and for one of a foreign project, and as ``enter`` does.
    """
    environment = await seek(actor, project_id, lambda ids: environments.get(ids, uuid))
    if environment is None:
        raise EnvironmentNotFound(str(uuid))
    await enter(actor, environment, operation)
    return environment


async def environment_in_context(
    actor: Actor, project_id: int, reference: str | None, operation: Operation
) -> Environment:
    """Return the living environment that a request means, if the actor may do ``operation`` in it.

    That is the one it names; without a ``reference``, a user's active environment, else production. Raises
    EnvironmentNotFound, EnvironmentArchived, and as ``enter`` does.
    """
    await authorize(actor, project_id, operation)
    if reference is not None:
        environment = await living_environment(project_id, reference)
    elif actor.is_key:
        environment = await environments.production(project_id)
    else:
        environment = await environments.active(project_id, actor.account_uuid)
        if environment.status is EnvStatus.ARCHIVED:
            raise EnvironmentArchived(environment.uuid, active=True)
    await enter(actor, environment, operation)
    return environment


async def living_environment(project_id: int, reference: str) -> Environment:
    """Return the environment that a UUID or a name means in the project; whoever asks was let into it.

    Raises EnvironmentNotFound, EnvironmentArchived.
    """
    named = normal_reference(reference)
    if isinstance(named, UUID):
        environment = await environments.get([project_id], named)
    else:
        environment = await environments.find_by_name(project_id, named)
    if environment is None:
        raise EnvironmentNotFound(reference)
    if environment.status is EnvStatus.ARCHIVED:
        raise EnvironmentArchived(reference)
    return environment


def normal_reference(reference: str) -> UUID | str:
    """Return what a reference to an environment names: a UUID, or a name in NFC.

    Raises EnvironmentNotFound for what no environment can be called.
    """
    uuid = as_uuid(reference)
    if uuid is not None:
        return uuid
    if unstorable_text(reference) is not None:
        raise EnvironmentNotFound(reference)
    return reference if reference.isascii() else normalize("NFC", reference)


def as_uuid(text: str) -> UUID | None:
    """Return the UUID that ``text`` spells in the usual form, or None."""
    return UUID(text) if is_uuid(text) else None
