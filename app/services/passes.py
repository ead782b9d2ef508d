"""What lets a long connection in, and has to go on doing so: a token that can expire or be revoked, and memberships.

All passes of the process are looked over together, every second and in two statements however many there are. What is
revoked in a project is an event of that project too, so nobody gets an event behind his own removal.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from app.domain.errors import DatabaseUnavailable, DomainError, ProjectNotFound, Unauthenticated
from app.domain.events import Event, EventType
from app.domain.model import Actor
from app.services import identity
from app.services.failures import log_failure
from app.services.jwt_rules import LEEWAY_SECONDS
from app.storage import passes

CHECK_SECONDS: Final = 1.0

_watched: "dict[Pass, Callable[[DomainError], None]]" = {}


@dataclass(slots=True, eq=False)
class Pass:
    """Whoever a connection speaks for, and the projects that it follows.

    ``ends_at`` is the moment its token expires, in epoch seconds; None for a key. ``lost`` is why it may no longer
    stay.
    """

    authorization: str
    actor: Actor
    ends_at: float | None
    projects: Counter[int] = field(default_factory=Counter)
    lost: DomainError | None = None

    def lose(self, reason: DomainError) -> None:
        """Take it back, and have whoever watches it told."""
        if self.lost is None:
            self.lost = reason
            told = _watched.get(self)
            if told is not None:
                told(reason)

    def check(self, event: Event) -> None:
        """Let its bearer have an event or raise why not: Unauthenticated, ProjectNotFound."""
        if self.ends_at is not None and self.ends_at <= time.time():
            self.lose(_expired())
        if _takes_away(event, self.actor):
            self.lose(_revoked() if self.actor.is_key else ProjectNotFound())
        if self.lost is not None:
            raise self.lost

    @contextmanager
    def watched(self, told: Callable[[DomainError], None]) -> Iterator[None]:
        """Have ``told`` called once it is lost, as long as the block runs."""
        _watched[self] = told
        try:
            yield
        finally:
            del _watched[self]

    async def until_lost(self) -> DomainError:
        """Return why it may no longer stay, once that is so."""
        reason: asyncio.Future[DomainError] = asyncio.get_running_loop().create_future()
        with self.watched(lambda error: None if reason.done() else reason.set_result(error)):
            return self.lost or await reason

    @contextmanager
    def following(self, project_id: int) -> Iterator[None]:
        """Note that the connection follows a project."""
        self.projects[project_id] += 1
        try:
            yield
        finally:
            self.projects[project_id] -= 1
            if not self.projects[project_id]:
                del self.projects[project_id]


def _takes_away(event: Event, actor: Actor) -> bool:
    if actor.is_key:
        return event.type is EventType.API_KEY_REVOKED and event.subject == actor.key_uuid
    return event.type is EventType.MEMBER_REMOVED and event.subject == actor.account_uuid


def _expired() -> Unauthenticated:
    return Unauthenticated("The token has expired; connect again with a new one.")


def _revoked() -> Unauthenticated:
    return Unauthenticated("The API key is revoked or expired.")


async def admit(authorization: str | None) -> Pass:
    """Return the pass of an ``Authorization`` header. Raises Unauthenticated."""
    actor = await identity.authenticate(authorization)
    claims = await identity.claims_of(authorization)
    return Pass(authorization or "", actor, None if claims is None else claims.refused_from - LEEWAY_SECONDS)


async def watch() -> None:
    """Look all passes over, again and again, until cancelled."""
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        try:
            await look_over()
        except DatabaseUnavailable:
            # While nothing can be asked, what was right stays so; tokens expire all the same.
            continue
        except Exception as error:
            log_failure(error, "passes")


async def look_over() -> None:
    """Take back the passes whose bearers may not stay. Raises DatabaseUnavailable."""
    held = [bearer for bearer in _watched if bearer.lost is None]
    now = time.time()
    for bearer in held:
        if bearer.ends_at is not None and bearer.ends_at <= now:
            bearer.lose(_expired())
    await _look_at_keys([bearer for bearer in held if bearer.actor.is_key])
    await _look_at_users([bearer for bearer in held if not bearer.actor.is_key])


async def _look_at_keys(held: list[Pass]) -> None:
    keys = {(bearer.actor.project_id or 0, bearer.actor.key_uuid) for bearer in held if bearer.actor.key_uuid}
    usable = await passes.usable_among(keys) if keys else set()
    for bearer in held:
        if bearer.actor.key_uuid not in usable:
            bearer.lose(_revoked())


async def _look_at_users(held: list[Pass]) -> None:
    for bearer in held:
        try:
            await identity.authenticate(bearer.authorization)
        except Unauthenticated as error:
            bearer.lose(error)
    asked = {(project_id, bearer.actor.account_uuid) for bearer in held for project_id in bearer.projects}
    members = await passes.members_among(asked) if asked else set()
    for bearer in held:
        pairs = {(project_id, bearer.actor.account_uuid) for project_id in bearer.projects}
        # Those that were not asked about have only just begun.
        if pairs & asked - members:
            bearer.lose(ProjectNotFound())
