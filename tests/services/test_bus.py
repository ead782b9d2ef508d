"""The bus: what is committed reaches whoever follows, once and in order, whatever happens to connections."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import pytest

from app.domain.events import Event, EventType, ResyncRequired, TooManySubscribers, TooSlow
from app.services import bus as buses
from app.services import projects
from app.services.bus import KEPT, Bus
from app.services.publishing import publish
from app.storage import changes, db, events
from tests.conftest import Database
from tests.services.shop import Shop, page

SECONDS: Final = 10


@pytest.fixture
async def bus(database: Database, pool: None) -> AsyncIterator[Bus]:
    """A bus of its own, listening."""
    made = Bus(database.app_dsn)
    made.start()
    yield made
    await made.close()


@pytest.fixture
async def connection(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection of the application's role, outside the pool."""
    opened = await asyncpg.connect(database.app_dsn)
    yield opened
    await opened.close()


class Follower:
    """Follows a project from a task of its own, and keeps what it got."""

    def __init__(self, bus: Bus, project_id: int, after: int | None = None, pause: float = 0) -> None:
        self.got: list[Event] = []
        self.failed: BaseException | None = None
        self._pause = pause
        self._begun = asyncio.Event()
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._follow(bus, project_id, after))

    async def begun(self) -> "Follower":
        await asyncio.wait_for(self._begun.wait(), SECONDS)
        return self

    async def _follow(self, bus: Bus, project_id: int, after: int | None) -> None:
        try:
            async with bus.subscribed(project_id, after, self) as subscriber:
                self._begun.set()
                async for event in subscriber:
                    self.got.append(event)
                    self._news.set()
                    await asyncio.sleep(self._pause)
        except (TooSlow, ResyncRequired, TooManySubscribers) as error:
            self.failed = error
            self._begun.set()

    async def until(self, number: int) -> list[Event]:
        """Return what it got, once that is ``number`` events."""
        async with asyncio.timeout(SECONDS):
            while len(self.got) < number:
                self._news.clear()
                await self._news.wait()
        return self.got

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def publish_some(project_id: int, number: int) -> None:
    for _ in range(number):
        async with db.transaction():
            await publish(project_id, EventType.ROLLOUT_HELD)


async def test_everybody_who_follows_gets_what_happens(shop: Shop, bus: Bus) -> None:
    followers = [await Follower(bus, shop.project_id).begun() for _ in range(3)]
    start = await changes.current_version(shop.project_id)
    await shop.put(None, {"n": 1})
    await shop.load(None, *(page(str(number), {"n": number}) for number in range(5)))
    await publish_some(shop.project_id, 3)
    expected = await events.page(shop.project_id, start, 100)
    assert len(expected) == 5
    for follower in followers:
        assert await follower.until(5) == expected
        await follower.leave()


async def test_projects_do_not_hear_of_one_another(shop: Shop, bus: Bus) -> None:
    follower = await Follower(bus, shop.project_id).begun()
    other = await projects.create(shop.actor, "Other")
    await publish_some(other.id, 1)
    await publish_some(shop.project_id, 1)
    assert [event.project_id for event in await follower.until(1)] == [shop.project_id]
    await follower.leave()


@pytest.mark.parametrize("missed", [0, 1, 3, KEPT + 50])
async def test_who_comes_back_misses_nothing_and_gets_nothing_twice(shop: Shop, bus: Bus, missed: int) -> None:
    other = await Follower(bus, shop.project_id).begun()
    start = await changes.current_version(shop.project_id)
    await publish_some(shop.project_id, missed)
    await other.until(missed)
    follower = await Follower(bus, shop.project_id, start).begun()
    await publish_some(shop.project_id, 2)
    assert await follower.until(missed + 2) == await events.page(shop.project_id, start, 1_000)
    await follower.leave()
    await other.leave()


async def test_a_cursor_ahead_of_the_project_is_no_cursor(shop: Shop, bus: Bus) -> None:
    follower = await Follower(bus, shop.project_id, 1_000_000).begun()
    assert isinstance(follower.failed, ResyncRequired)


async def test_one_reading_serves_all(shop: Shop, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    followers = [await Follower(bus, shop.project_id).begun() for _ in range(50)]
    read = 0
    original = events.page

    async def counted(project_id: int, after: int, limit: int) -> list[Event]:
        nonlocal read
        read += 1
        return await original(project_id, after, limit)

    monkeypatch.setattr(events, "page", counted)
    await publish_some(shop.project_id, 1)
    for follower in followers:
        await follower.until(1)
    assert read <= 2
    for follower in followers:
        await follower.leave()


@pytest.mark.slow
async def test_a_lost_listener_is_made_good(
    shop: Shop, bus: Bus, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    start = await changes.current_version(shop.project_id)
    follower = await Follower(bus, shop.project_id).begun()
    for turn in range(10):
        await publish_some(shop.project_id, 5)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'strata listening'"
        )
        await publish_some(shop.project_id, 5)
        await follower.until((turn + 1) * 10)
    assert follower.got == await events.page(shop.project_id, start, 1_000)
    assert len(follower.got) == 100
    await follower.leave()


async def test_a_lost_wake_costs_a_second_and_nothing_else(
    shop: Shop, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = await Follower(bus, shop.project_id).begun()
    monkeypatch.setattr(bus, "_wake", lambda _: None)
    monkeypatch.setattr("app.storage.events.wakes.changed", lambda _: None)
    began = asyncio.get_running_loop().time()
    await publish_some(shop.project_id, 1)
    await follower.until(1)
    assert asyncio.get_running_loop().time() - began < buses.POLL_SECONDS + 1
    await follower.leave()


@pytest.mark.slow
async def test_who_does_not_take_its_events_is_let_go_and_nobody_else(
    shop: Shop, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buses, "SLOW_SECONDS", 1.0)
    slow = await Follower(bus, shop.project_id, pause=60).begun()
    quick = await Follower(bus, shop.project_id).begun()
    patient = await Follower(bus, shop.project_id, pause=0.001).begun()
    await publish_some(shop.project_id, buses.MOST_WAITING + 2)
    await quick.until(buses.MOST_WAITING + 2)
    await patient.until(buses.MOST_WAITING + 2)
    await asyncio.sleep(2.5)
    assert (quick.failed, patient.failed) == (None, None)
    assert len(slow.got) == 1
    await slow.leave()
    again = await Follower(bus, shop.project_id, slow.got[-1].version).begun()
    assert [*slow.got, *await again.until(buses.MOST_WAITING + 1)] == quick.got
    for follower in (quick, patient, again):
        await follower.leave()


async def test_who_is_too_slow_is_told(shop: Shop, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buses, "SLOW_SECONDS", 0.0)
    async with bus.subscribed(shop.project_id, None, object()) as subscriber:
        found = aiter(subscriber)
        await publish_some(shop.project_id, buses.MOST_WAITING + 2)
        await anext(found)
        await asyncio.sleep(buses.POLL_SECONDS * 1.5)
        with pytest.raises(TooSlow):
            await anext(found)


async def test_a_project_takes_so_many_connections(shop: Shop, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buses, "MOST_CONNECTIONS", 2)
    followers = [await Follower(bus, shop.project_id).begun() for _ in range(3)]
    assert [follower.failed is not None for follower in followers] == [False, False, True]
    assert isinstance(followers[2].failed, TooManySubscribers)
    await followers[0].leave()
    another = await Follower(bus, shop.project_id).begun()
    assert another.failed is None
    for follower in (followers[1], another):
        await follower.leave()


async def test_closing_ends_everybody(shop: Shop, database: Database) -> None:
    bus = Bus(database.app_dsn)
    bus.start()
    followers = [await Follower(bus, shop.project_id).begun() for _ in range(20)]
    await bus.close()
    await asyncio.wait_for(asyncio.gather(*(follower.task for follower in followers)), 1)
    assert {follower.failed for follower in followers} == {None}
    late = await Follower(bus, shop.project_id).begun()
    await asyncio.wait_for(late.task, 1)
