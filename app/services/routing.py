"""Where users go, from what this process knows of each project: no older than a second, and read by nobody's request.

A weight that follows the clock needs no news: it is worked out from the plan as time goes on.
"""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.domain import canary
from app.domain.canary import Position, Progress, Span
from app.domain.errors import ProjectNotFound
from app.domain.guards import Outcome
from app.domain.model import Actor
from app.domain.policy import Operation
from app.domain.routing import Canary, Place, Reason, Route, check_user, matched, route
from app.services import access, known_users
from app.services.kept import TRUSTED_SECONDS, Kept
from app.storage import freezes, routes
from app.storage.routes import RollingOut, Routes

MAX_REMEMBERED: Final = 10_000


@dataclass(slots=True)
class Snapshot:
    """What decides where a project's users go, as it was read at ``read_at`` of this process's clock.

    ``canary`` and ``next_step_at`` are those of the time up to ``good_until``, by the same clock; so are ``tags``, in
    which whoever answers keeps what the answers have in common.
    """

    routes: Routes
    freezes: list[Span]
    read_at: float
    canary: Canary | None = None
    next_step_at: datetime | None = None
    good_until: float = field(default=0.0)
    tags: dict[tuple[Reason, UUID, str | UUID | None], bytes] = field(default_factory=dict)

    @property
    def production(self) -> Place:
        return self.routes.production

    def at(self, now: float) -> "Snapshot":
        """Return the snapshot with the weight that holds at ``now``."""
        rolling = self.routes.rolling_out
        if rolling is not None and now >= self.good_until:
            self._follow(rolling, now)
        return self

    def _follow(self, rolling: RollingOut, now: float) -> None:
        position = self._position(rolling, self.routes.moment + timedelta(seconds=now - self.read_at))
        share = Canary(rolling.place, position.weight)
        if (share, position.next_step_at) != (self.canary, self.next_step_at):
            self.tags.clear()
        self.canary, self.next_step_at = share, position.next_step_at
        # What is due later than this snapshot lives is none of its concern.
        self.good_until = now + TRUSTED_SECONDS
        if position.next_step_at is not None:
            left = (position.next_step_at - self.routes.moment).total_seconds()
            if left > now - self.read_at:
                self.good_until = min(self.good_until, self.read_at + left)

    def _position(self, rolling: RollingOut, now: datetime) -> Position:
        plan = canary.plan_of(rolling.plan.rollout_steps)
        progress = Progress(rolling.step, rolling.since, guard=Outcome.NOT_MEASURED if rolling.guarded else None)
        return canary.position(plan, progress, now, self.freezes)


async def read(project_id: int) -> Snapshot:
    """Return what decides where the project's users go, as it is now. Raises ProjectNotFound."""
    began = time.monotonic()
    found = await routes.get(project_id)
    if found is None:
        raise ProjectNotFound
    spans: list[Span] = []
    if found.rolling_out is not None:
        spans = [canary.span_of(freeze) for freeze in await freezes.since(project_id, found.rolling_out.since)]
    return Snapshot(found, spans, began)


async def _renewed(project_id: int, _: Snapshot | None) -> Snapshot:
    return await read(project_id)


kept: Final[Kept[int, Snapshot]] = Kept(_renewed, MAX_REMEMBERED)


async def snapshot(project_id: int) -> Snapshot:
    """Return what decides where the project's users go, no older than a second. Raises ProjectNotFound."""
    now = time.monotonic()
    found = kept.at_hand(project_id, now)
    return found.at(now) if found is not None else (await kept.get(project_id)).at(time.monotonic())


async def known(actor: Actor, project_id: int) -> Snapshot:
    """Return what decides where the project's users go, for who may ask. Raises ProjectNotFound, Forbidden."""
    await access.authorize(actor, project_id, Operation.EVALUATE)
    return await snapshot(project_id)


async def explicit(actor: Actor, project_id: int, env: str | None) -> Place | None:
    """Return the environment that a request itself names, if it names one.

    Raises EnvironmentNotFound, EnvironmentArchived, ProjectNotFound, Forbidden.
    """
    await access.authorize(actor, project_id, Operation.EVALUATE)
    if env is None:
        return None
    environment = await access.living_environment(project_id, env)
    return Place(environment.uuid, environment.name)


async def way(found: Snapshot, project_id: int, user: str, named: Place | None = None) -> Route:
    """Return where a user goes; a user's document is read only where nothing but segments is left to decide."""
    share = found.canary
    trial = found.routes.trial
    assigned = None if trial is None else trial.assigned(user)
    gone = route(user, found.production, explicit=named, experiment=assigned, canary=share)
    if gone.reason is not Reason.PRODUCTION or not found.routes.reserved:
        return gone
    head_uuid = found.routes.heads[found.production.env_uuid]
    document = await known_users.stored(project_id, head_uuid, user, found.routes.version)
    return route(user, found.production, canary=share, segment=matched(found.routes.reserved, document))


async def env_for_reading(actor: Actor, project_id: int, env: str | None, user: str | None) -> str | None:
    """Return the environment to read documents in for ``user``: where the user goes, if the project wants that.

    What the request names or its caller has chosen, ``env`` or the active environment, goes first. Raises
    ProjectNotFound, Forbidden, ValidationFailed.
    """
    if user is None or env is not None:
        return env
    check_user(user)
    membership = await access.authorize(actor, project_id, Operation.READ)
    if membership is not None and membership.active_env_uuid is not None:
        return None
    found = await snapshot(project_id)
    if not found.routes.auto_route:
        return None
    gone = await way(found, project_id, user)
    return None if gone.reason is Reason.PRODUCTION else str(gone.place.env_uuid)
