"""What resolvers know about the request: who asks, in which environment, and this operation's loaders."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias
from uuid import UUID

import strawberry

from app.domain.errors import Unauthenticated, ValidationFailed
from app.domain.login_limits import LoginLimits
from app.domain.model import Actor, Environment, Plan
from app.services import environments
from app.services.login import Lifetimes
from app.services.passes import Pass
from schema.loaders import Loaders


async def _for_free(points: int) -> None:
    """Charge nothing: for operations that come through no door."""


def _as_it_is(points: int) -> None:
    """Correct nothing."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who comes by HTTP, as far as sessions are concerned: the client's address, its header, and what holds for all."""

    address: str
    authorization: str | None
    lifetimes: Lifetimes
    login_limits: LoginLimits


@dataclass(frozen=True, slots=True)
class Context:
    """One operation's context. A connection that carries several makes a new one for each.

    ``caller`` is None where no credentials were given. ``environment`` is the request's own reference to an
    environment, a UUID or a name (``X-AgentStack-Env``, ``?env=``); None means production. ``default_plan`` is what
    a new project gets. ``bearer`` is what lets in a connection that stays, ``visitor`` who came by HTTP.
    ``operation_named`` says whether the request names the operation that it wants. ``replayed`` takes the mutations,
    by response key, that were answered as an earlier time under their idempotency key. ``charge`` lets whoever pays
    for the request pay what the operation costs in all (it raises RateLimited), ``correct`` says what it did cost.
    """

    caller: Actor | None
    environment: str | None
    request_id: str
    default_plan: Plan
    loaders: Loaders
    bearer: Pass | None = None
    operation_named: bool = True
    visitor: Visitor | None = None
    charge: Callable[[int], Awaitable[None]] = _for_free
    correct: Callable[[int], None] = _as_it_is
    replayed: list[str | int] = field(default_factory=list)

    @property
    def actor(self) -> Actor:
        """Who asks. Raises Unauthenticated if nobody said so."""
        if self.caller is None:
            raise Unauthenticated("Log in first: this needs a user's token or an API key as a bearer token.")
        return self.caller

    @property
    def known_visitor(self) -> Visitor:
        """Who comes. Raises Unauthenticated for an operation that no HTTP request brought."""
        if self.visitor is None:
            raise Unauthenticated("Sessions begin and end over HTTP.")
        return self.visitor

    @property
    def held(self) -> Pass:
        """What lets in a subscription, and out again. Raises Unauthenticated."""
        if self.bearer is None:
            raise Unauthenticated("To subscribe, connect with a user's token or an API key.")
        return self.bearer

    def for_operation(self) -> "Context":
        """Return this context with loaders that have loaded nothing yet."""
        return replace(self, loaders=Loaders(self.caller))

    async def project_id(self, project_id: int | None, env_uuid: UUID | None) -> int:
        """Return the project meant: the one named, else the API key's own, else the environment's.

        Raises ValidationFailed if nothing says which.
        """
        if project_id is not None:
            return project_id
        if self.actor.project_id is not None:
            return self.actor.project_id
        if env_uuid is not None:
            return (await environments.get(self.actor, env_uuid)).project_id
        raise ValidationFailed("Say which project: give projectId or envUuid.", field="project_id")

    def reference(self, env_uuid: UUID | None) -> str | None:
        """Return the environment that a call means: the one named, else the request's."""
        return self.environment if env_uuid is None else str(env_uuid)

    async def current(self, project_id: int) -> Environment:
        """Return the request's environment in a project. Raises EnvironmentNotFound, EnvironmentArchived."""
        return await environments.find(self.actor, project_id, self.environment)


Info: TypeAlias = strawberry.Info[Context, None]
