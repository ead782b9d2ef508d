"""What lets a long connection in, and has to go on doing so: a token that can expire or be revoked, and memberships."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from app.domain.errors import DatabaseUnavailable, DomainError, Unauthenticated
from app.domain.model import Actor
from app.domain.policy import Operation
from app.services import access, identity
from app.services.jwt_rules import LEEWAY_SECONDS

CHECK_SECONDS: Final = 2.0


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

    async def check(self) -> None:
        """Let it go on or raise: Unauthenticated, Forbidden, ProjectNotFound. What is known is at most a second old.

        While the database cannot be asked, what was right stays so.
        """
        try:
            if self.ends_at is not None and self.ends_at <= time.time():
                raise Unauthenticated("The token has expired; connect again with a new one.")
            await identity.authenticate(self.authorization)
            for project_id in list(self.projects):
                await access.authorize(self.actor, project_id, Operation.READ)
        except DatabaseUnavailable:
            return
        except DomainError as error:
            self.lost = error
            raise

    async def until_lost(self) -> DomainError:
        """Return why it may no longer stay, once that is so; it looks every ``CHECK_SECONDS``, and when it expires."""
        while True:
            with suppress(DomainError):
                await self.check()
            if self.lost is not None:
                return self.lost
            await asyncio.sleep(self.until_check())

    def until_check(self) -> float:
        """Return in how many seconds it is to be checked again."""
        until_end = CHECK_SECONDS if self.ends_at is None else self.ends_at - time.time()
        return min(CHECK_SECONDS, max(0.0, until_end))

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


async def admit(authorization: str | None) -> Pass:
    """Return the pass of an ``Authorization`` header. Raises Unauthenticated."""
    actor = await identity.authenticate(authorization)
    claims = await identity.claims_of(authorization)
    return Pass(authorization or "", actor, None if claims is None else claims.refused_from - LEEWAY_SECONDS)
