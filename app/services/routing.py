"""Where users go, from what this process knows of each project: no older than a second, and read by nobody's request.

A weight that follows the clock needs no news: it is worked out from the plan as time goes on.
"""

import asyncio
import time
from collections import OrderedDict
from contextvars import Context
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
from app.domain.routing import Canary, Place, Reason, Route, check_user, route
from app.services import access
from app.storage import freezes, routes
from app.storage.routes import RollingOut, Routes

TRUSTED_SECONDS: Final = 1.0
# Read anew from then on, but still trusted: no request waits for the reading.
AHEAD_SECONDS: Final = 0.4
# News that come one upon the other are read together.
_TOGETHER_SECONDS: Final = 0.05
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
    tags: dict[tuple[Reason, UUID], bytes] = field(default_factory=dict)

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


@dataclass(slots=True)
class _Entry:
    snapshot: Snapshot | None = None
    reading: "asyncio.Task[None] | None" = None
    # When the snapshot is to be read anew at the latest.
    due: float = 0.0


_entries: OrderedDict[int, _Entry] = OrderedDict()


def stale(project_id: int) -> None:
    """Read the project anew when it is asked for next; for whoever hears of news."""
    entry = _entries.get(project_id)
    if entry is not None and entry.snapshot is not None:
        entry.due = min(entry.due, entry.snapshot.read_at + _TOGETHER_SECONDS)


def all_stale() -> None:
    """Read every project anew; for whoever may have missed news."""
    for project_id in _entries:
        stale(project_id)


async def snapshot(project_id: int) -> Snapshot:
    """Return what decides where the project's users go, no older than a second. Raises ProjectNotFound."""
    now = time.monotonic()
    entry = _entries.get(project_id)
    if entry is None:
        entry = _entries[project_id] = _Entry()
        if len(_entries) > MAX_REMEMBERED:
            _entries.popitem(last=False)
    known = entry.snapshot
    if known is not None:
        if now < entry.due:
            return known.at(now)
        if now - known.read_at < TRUSTED_SECONDS:
            _begin_reading(project_id, entry)
            return known.at(now)
    return await _newer(project_id, entry, now - TRUSTED_SECONDS)


async def _newer(project_id: int, entry: _Entry, needed: float) -> Snapshot:
    while entry.snapshot is None or entry.snapshot.read_at < needed:
        await asyncio.shield(_begin_reading(project_id, entry))
    return entry.snapshot.at(time.monotonic())


def _begin_reading(project_id: int, entry: _Entry) -> "asyncio.Task[None]":
    if entry.reading is None or entry.reading.done():
        # Beside the caller's transaction, in which its statements would see an older moment.
        entry.reading = asyncio.get_running_loop().create_task(_read(project_id, entry), context=Context())
        entry.reading.add_done_callback(_seen)
    return entry.reading


async def _read(project_id: int, entry: _Entry) -> None:
    began = time.monotonic()
    found = await routes.get(project_id)
    if found is None:
        _entries.pop(project_id, None)
        raise ProjectNotFound
    spans: list[Span] = []
    if found.rolling_out is not None:
        spans = [canary.span_of(freeze) for freeze in await freezes.since(project_id, found.rolling_out.since)]
    entry.snapshot = Snapshot(found, spans, began)
    entry.due = began + AHEAD_SECONDS


def _seen(task: "asyncio.Task[None]") -> None:
    # A failed reading that nobody waited for is no loss: whoever needs it will read again.
    if not task.cancelled():
        task.exception()


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


def routed(found: Snapshot, user: str, named: Place | None = None) -> Route:
    """Return where a user goes."""
    return route(user, found.production, explicit=named, canary=found.canary)


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
    way = routed(found, user)
    return None if way.reason is Reason.PRODUCTION else str(way.place.env_uuid)
