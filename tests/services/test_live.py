"""Following a rollout that really is one: where it stands at first, and each of its events until the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

import pytest

from app.domain.events import EventType, cursor_at
from app.domain.guards import Side
from app.domain.model import Actor, EnvStatus, Strategy
from app.domain.rollout_state import RolloutState
from app.services import canaries, environments, identity, live, passes, promoting
from app.services.promoting import PromoteOptions
from app.storage import changes
from tests.conftest import Database
from tests.services.rolling import Rolling
from tests.services.shop import Shop


@pytest.fixture(autouse=True)
async def bus(database: Database, pool: None) -> AsyncIterator[None]:
    """This process's bus, open."""
    before = live.bus
    async with live.bus_open(database.app_dsn):
        yield
    live.bus = before


class Following:
    """Follows a rollout from a task of its own, to its end."""

    def __init__(self, actor: Actor, env: UUID, after: str | None = None) -> None:
        self.got: list[RolloutState] = []
        self.news = asyncio.Event()
        self.task = asyncio.create_task(self._follow(actor, env, after))

    async def _follow(self, actor: Actor, env: UUID, after: str | None) -> None:
        token = await identity.keyring.sign(actor.account_uuid, actor.name, 900)
        bearer = await passes.admit(f"Bearer {token}")
        async with aclosing(await live.rollout(bearer, env, after)) as found:
            async for state in found:
                self.got.append(state)
                self.news.set()

    async def until(self, number: int) -> RolloutState:
        async with asyncio.timeout(10):
            while len(self.got) < number:
                self.news.clear()
                await self.news.wait()
        return self.got[number - 1]

    async def ended(self) -> list[EventType | None]:
        await asyncio.wait_for(self.task, 10)
        return [state.type for state in self.got]


async def test_a_canary_is_followed_from_its_first_step_into_production(shop: Shop) -> None:
    await shop.put(None, {"price": 1})
    rolling = await Rolling.started(shop)
    following = Following(shop.actor, rolling.env)
    first = await following.until(1)
    assert (first.status, first.weight, first.previous_weight) == (EnvStatus.ROLLING_OUT, 5, 0)
    assert (first.step, first.steps, first.type) == (1, 4, None)
    await canaries.report(shop.actor, rolling.env, Side.ENVIRONMENT, 100, 1)
    reported = await following.until(2)
    assert reported.health == {
        "environment": {"requests": 100, "errors": 1, "latency_p99_ms": None},
        "production": {"requests": 0, "errors": 0, "latency_p99_ms": None},
    }
    for number, weight in enumerate((20, 50, 100), 3):
        await canaries.advance(shop.actor, rolling.env)
        moved = await following.until(number)
        assert (moved.weight, moved.step) == (weight, number - 1)
    assert await following.ended() == [
        None,
        EventType.ROLLOUT_HEALTH_REPORTED,
        *[EventType.ROLLOUT_ADVANCED] * 2,
        EventType.ROLLOUT_COMPLETED,
    ]
    assert (following.got[-1].status, following.got[-1].previous_weight) == (EnvStatus.LIVE, 50)
    again = Following(shop.actor, rolling.env, cursor_at(shop.project_id, following.got[2].version))
    assert await again.ended() == [EventType.ROLLOUT_ADVANCED, EventType.ROLLOUT_COMPLETED]
    assert again.got[-1].version == following.got[-1].version


async def test_the_state_at_first_is_that_of_the_clock(shop: Shop) -> None:
    await shop.put(None, {"price": 1})
    rolling = await Rolling.started(shop, [{"weight": 5, "pause_minutes": 30, "auto_advance": True}, {"weight": 20}])
    waiting = await Following(shop.actor, rolling.env).until(1)
    assert waiting.next_step_at is not None
    await rolling.passes(minutes=31)
    moved = await Following(shop.actor, rolling.env).until(1)
    assert (moved.weight, moved.previous_weight, moved.step, moved.next_step_at) == (20, 5, 2, None)


async def test_an_abort_ends_it_and_says_why(shop: Shop) -> None:
    await shop.put(None, {"price": 1})
    rolling = await Rolling.started(shop)
    following = Following(shop.actor, rolling.env)
    await following.until(1)
    await canaries.abort(shop.actor, rolling.env, reason="looks wrong")
    assert await following.ended() == [None, EventType.ROLLOUT_ABORTED]
    last = following.got[-1]
    assert (last.status, last.weight, last.previous_weight, last.reason) == (EnvStatus.READY, 0, 5, "looks wrong")


@pytest.mark.parametrize("strategy", [Strategy.IMMEDIATE, Strategy.CANARY])
async def test_who_comes_before_it_begins_waits(shop: Shop, strategy: Strategy) -> None:
    await shop.put(None, {"price": 1})
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    following = Following(shop.actor, env)
    first = await following.until(1)
    assert (first.status, first.weight, first.step) == (EnvStatus.DRAFT, 0, 0)
    await promoting.promote(shop.actor, env, PromoteOptions(strategy))
    begun = await following.until(2)
    if strategy is Strategy.IMMEDIATE:
        assert await following.ended() == [None, EventType.GENERATION_PROMOTED]
        assert (begun.status, begun.weight) == (EnvStatus.LIVE, 100)
    else:
        assert (begun.type, begun.weight) == (EventType.ROLLOUT_STARTED, 5)
        await canaries.abort(shop.actor, env)
        await following.ended()


async def test_archiving_ends_it(shop: Shop) -> None:
    env = await shop.fork("env")
    following = Following(shop.actor, env)
    await following.until(1)
    await environments.archive(shop.actor, env)
    assert await following.ended() == [None, EventType.ENVIRONMENT_ARCHIVED]
    assert following.got[-1].status is EnvStatus.ARCHIVED
    late = Following(shop.actor, env)
    assert await late.ended() == [None]
    version = await changes.current_version(shop.project_id)
    nothing = Following(shop.actor, env, cursor_at(shop.project_id, version))
    assert await nothing.ended() == []
