"""Following a project: its events as they are committed, from a cursor on (semantics §9)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import aclosing, asynccontextmanager, suppress
from uuid import UUID

from app.domain.events import Event, EventType, ResyncRequired, ServerStopping, TooSlow, version_of
from app.domain.model import Environment
from app.domain.policy import Operation
from app.domain.promotion_errors import NotRollingOut
from app.domain.rollout_state import RolloutState, as_told, concerns, ends, is_over, state_at, state_of
from app.services import access, passes, rollouts
from app.services.bus import PAGE, Bus
from app.services.passes import Pass
from app.storage import changes, environments
from app.storage import events as stored

Wanted = Callable[[Event], bool]

bus: Bus | None = None
"""This process's, set where the application starts."""


@asynccontextmanager
async def bus_open(dsn: str) -> AsyncIterator[None]:
    """Have this process's bus, listening to the database of ``dsn``, as long as the block runs."""
    global bus
    bus = Bus(dsn)
    bus.start()
    watching = asyncio.create_task(passes.watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await bus.close()
        bus = None


def listens() -> bool:
    """Return whether this process hears of news at the moment."""
    return bus is not None and bus.listens


def figures() -> tuple[int, int, int]:
    """Return how many follow something in this process, on how many connections, and how many versions are unread."""
    return (0, 0, 0) if bus is None else bus.figures()


def opened() -> Bus:
    """Return the bus. Raises ServerStopping if there is none that could be followed any more."""
    if bus is None or bus.closed:
        raise ServerStopping
    return bus


async def end_all() -> None:
    """End what everybody follows, for a server that is about to stop."""
    if bus is not None:
        await bus.close()


async def events(
    bearer: Pass,
    project_id: int,
    after: str | None = None,
    *,
    types: Collection[EventType] = (),
    env_uuid: UUID | None = None,
) -> AsyncGenerator[Event]:
    """Return the project's events after a cursor, or from now on, without end.

    The caller awaits this once, for the refusals: ProjectNotFound, Forbidden, BadRequest, ResyncRequired. The iterator
    raises them, or Unauthenticated, when the right to follow ends; TooSlow, TooManySubscribers. It ends when the server
    does.
    """
    await access.authorize(bearer.actor, project_id, Operation.READ)
    opened()
    version = None if after is None else await known_version(project_id, after)
    wanted = frozenset(types)

    def chosen(event: Event) -> bool:
        return (not wanted or event.type in wanted) and (env_uuid is None or event.env_uuid == env_uuid)

    return _events(bearer, project_id, version, chosen)


async def _events(bearer: Pass, project_id: int, after: int | None, chosen: Wanted) -> AsyncGenerator[Event]:
    async with joined(bearer, project_id, after) as happening:
        async for event in happening:
            bearer.check(event)
            if chosen(event):
                yield event


async def known_version(project_id: int, after: str) -> int:
    """Return the version that a cursor means. Raises BadRequest, ResyncRequired if the project is not that far yet."""
    version = version_of(project_id, after)
    if version > await changes.current_version(project_id):
        raise ResyncRequired
    return version


async def rollout(bearer: Pass, env_uuid: UUID, after: str | None = None) -> AsyncGenerator[RolloutState]:
    """Return where an environment's rollout stands, then each of its events until it has ended.

    With a cursor, only the events after it. Where none is under way but one may come, it is waited for. To be awaited,
    and raising, as ``events``; EnvironmentNotFound too.
    """
    environment = await access.environment_by_uuid(bearer.actor, env_uuid, Operation.READ)
    version = None if after is None else await known_version(environment.project_id, after)
    return _rollout(bearer, environment, version)


async def _rollout(bearer: Pass, environment: Environment, after: int | None) -> AsyncGenerator[RolloutState]:
    project_id, uuid = environment.project_id, environment.uuid
    # The version before the row: what happens between the two is told twice rather than never.
    version = await changes.current_version(project_id)
    state = await _standing((await environments.get([project_id], uuid)) or environment, version)
    start = version if after is None else after
    async with _missed(project_id, start) if is_over(state.status) else joined(bearer, project_id, start) as happening:
        if after is None:
            yield state
        async for event in happening:
            bearer.check(event)
            if not concerns(event, state):
                continue
            state = state_at(event, state)
            yield state
            if ends(event) or is_over(state.status):
                return


async def _standing(environment: Environment, version: int) -> RolloutState:
    """Return where the rollout stands by its plan and the clock."""
    state = state_of(environment, version)
    with suppress(NotRollingOut):
        found = await rollouts.of_environment(environment)
        if found is not None:
            step = found.position.step
            previous = found.plan[step - 1].weight if step else found.request.previous_weight
            return as_told(found.event_data(previous, found.progress.held), state)
    return state


@asynccontextmanager
async def _missed(project_id: int, after: int) -> AsyncIterator[AsyncIterator[Event]]:
    """Give what has happened after a version until now."""

    async def pages(version: int) -> AsyncGenerator[Event]:
        while found := await stored.page(project_id, version, PAGE):
            for event in found:
                yield event
            version = found[-1].version

    async with aclosing(pages(after)) as happened:
        yield happened


@asynccontextmanager
async def joined(bearer: Pass, project_id: int, after: int | None) -> AsyncIterator[AsyncIterator[Event]]:
    """Give what happens after a version, or from now on.

    Raises TooManySubscribers, ResyncRequired, ServerStopping, TooSlow.
    """
    with bearer.following(project_id):
        try:
            async with opened().subscribed(project_id, after, bearer) as subscriber:
                yield subscriber
        except TooSlow as error:
            bearer.lose(error)
            raise
