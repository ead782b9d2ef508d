"""What the dashboard needs from the application around it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from litestar.types import Scope

from app.domain.errors import Kind
from app.domain.model import Actor
from app.services.login import Lifetimes
from app.settings import Settings


class Till(Protocol):
    """Where requests are paid for. Raises RateLimited, TooManyAtOnce."""

    async def charge(self, scope: Scope, caller: Actor | None, points: int) -> None:
        """Let the caller pay for a request, None by address."""

    async def charge_stream(self, scope: Scope, caller: Actor | None, points: int) -> None:
        """Let the caller pay for what does not end."""

    def release(self, scope: Scope) -> None:
        """Make room for other requests: this one is answered."""


@dataclass(frozen=True, slots=True)
class Door:
    """What this door needs from the application around it.

    ``request_id`` gives the id under which a request is logged, ``client_address`` where it comes from; ``enter`` lets
    the services know of it; at the ``till`` it is paid for; ``statuses`` are what the kinds of refusals are in HTTP.
    """

    settings: Settings
    request_id: Callable[[Scope], str]
    client_address: Callable[[Scope], str]
    enter: Callable[[Scope, str | None], None]
    till: Till
    statuses: Mapping[Kind, int]

    @property
    def lifetimes(self) -> Lifetimes:
        """How long tokens and sessions last."""
        return Lifetimes(self.settings.token_seconds, self.settings.session_seconds)
