"""What the GraphQL door needs from the application around it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from litestar import Response
from litestar.connection import ASGIConnection
from litestar.types import Scope

from app.domain.model import Actor, Plan
from app.domain.query_limits import Introspection, QueryLimits
from schema.context import Visitor
from schema.operations import Observe
from schema.root import DEFAULT_LIMITS

AnyConnection = ASGIConnection[Any, Any, Any, Any]


class Till(Protocol):
    """Where requests are paid for. Raises RateLimited, TooManyAtOnce."""

    async def charge(self, scope: Scope, caller: Actor | None, points: int) -> None:
        """Let the caller pay for a request, None by address."""

    async def charge_in_all(self, scope: Scope, points: int) -> None:
        """Let all who have paid for the request pay more: that is what it costs in all."""

    async def charge_stream(self, scope: Scope, caller: Actor | None, points: int) -> None:
        """Let the caller pay for what does not end."""

    async def charge_handshake(self, scope: Scope) -> None:
        """Let the client's address pay for a connection."""

    def correct(self, scope: Scope, points: int) -> None:
        """Let the request have cost so much in the end."""

    def release(self, scope: Scope) -> None:
        """Make room for other requests: this one is answered."""


@dataclass(frozen=True, slots=True)
class Door:
    """What this door needs from the application around it.

    ``graphiql`` answers browsers, None if nothing does; ``request_id`` gives the id under which a request is logged,
    ``environment`` the environment that it names, if any; ``enter`` lets the services know of it; ``visitor`` tells who
    comes; at the ``till`` it is paid for; ``default_plan`` is for new projects, ``limits`` and ``introspection`` for
    operations; ``suggestions`` says whether errors name what may have been meant, ``get_queries`` whether operations
    come by GET, too; ``trusted_documents``, texts by id, are all that runs, where they are given.
    ``environment`` the environment that it names, if any; ``enter`` lets the services know of it; at the ``till`` it is
    paid for; ``default_plan`` is for new projects, ``limits`` and ``introspection`` for operations; ``suggestions``
    says whether errors name what may have been meant, ``get_queries`` whether operations come by GET, too;
    ``trusted_documents``, texts by id, are all that runs, where they are given; ``observe`` is told of each operation.
    """

    graphiql: Callable[[], Response[bytes]] | None
    request_id: Callable[[Scope], str]
    environment: Callable[[AnyConnection], str | None]
    enter: Callable[[Scope], None]
    visitor: Callable[[AnyConnection], Visitor]
    till: Till
    default_plan: Plan = Plan.PRO
    limits: QueryLimits = DEFAULT_LIMITS
    introspection: Introspection = Introspection.ANYONE
    suggestions: bool = False
    get_queries: bool = True
    trusted_documents: Mapping[str, str] | None = None
    observe: Observe | None = None
