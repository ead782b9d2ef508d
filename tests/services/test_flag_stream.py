"""Clients are told when flags may have changed, and of nothing else; tickets let in who may be told."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

import pytest

from app.domain.errors import DomainError, Unauthenticated
from app.domain.model import Actor, Project, Scope, Strategy
from app.domain.values import Value
from app.services import api_keys, evaluation, flag_stream, identity, live, passes, promoting, stream_tickets
from app.services.flag_stream import FlagsChanged
from app.services.passes import Pass
from app.services.promoting import PromoteOptions
from app.services.stream_tickets import DAY
from tests.conftest import Database
from tests.services.shop import Shop


@pytest.fixture(autouse=True)
async def bus(database: Database, pool: None) -> AsyncIterator[None]:
    """This process's bus, open."""
    before = live.bus
    async with live.bus_open(database.app_dsn):
        yield
    live.bus = before


@pytest.fixture
async def shop(actor: Actor, project: Project) -> Shop:
    """A project with a flag."""
    made = Shop(actor, project)
    await made.put(None, {"config": {"flags": {"banner": {"value": 1}}}}, "project", "project")
    return made


class Following:
    """Follows a project's flags from a task of its own."""

    def __init__(self, bearer: Pass, project_id: int, after: str | None = None, seen: str | None = None) -> None:
        self.got: asyncio.Queue[FlagsChanged] = asyncio.Queue()
        self.task = asyncio.create_task(self._follow(bearer, project_id, after, seen))

    async def _follow(self, bearer: Pass, project_id: int, after: str | None, seen: str | None) -> None:
        async with aclosing(await flag_stream.follow(bearer, project_id, after, seen=seen)) as found:
            async for change in found:
                self.got.put_nowait(change)

    async def next(self) -> FlagsChanged:
        return await asyncio.wait_for(self.got.get(), 10)

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def bearer_of(shop: Shop) -> Pass:
    made = await api_keys.create(shop.actor, shop.project_id, "app", [Scope.EVALUATE])
    actor = await identity.authenticate(f"Bearer {made.secret}")
    ticket = stream_tickets.issue(actor, time.time())
    assert ticket is not None
    return await stream_tickets.admit(ticket, time.time())


async def tag_of(shop: Shop) -> str:
    return (await evaluation.kept.get_newer(shop.project_id, time.monotonic())).tag(time.monotonic())


async def set_banner(shop: Shop, value: int, env: str | None = None) -> None:
    await shop.merge(env, {"config": {"flags": {"banner": {"value": value}}}}, "project", "project")


async def test_told_of_what_matters_and_of_nothing_else(shop: Shop) -> None:
    bearer = await bearer_of(shop)
    following = Following(bearer, shop.project_id, seen=await tag_of(shop))
    await asyncio.sleep(0.2)
    await shop.put(None, {"price": 1}, "page")
    await shop.put(None, {"tier": "premium"}, "ada", "user")
    await shop.fork("next")
    await set_banner(shop, 2, "next")
    await set_banner(shop, 3)
    first = await following.next()
    assert first.tag == await tag_of(shop)
    await set_banner(shop, 4)
    second = await following.next()
    assert second.tag == await tag_of(shop) != first.tag
    assert following.got.empty()
    await following.end()


async def test_a_rollout_is_told(shop: Shop) -> None:
    env = await shop.fork("next")
    await set_banner(shop, 2, "next")
    following = Following(await bearer_of(shop), shop.project_id)
    await asyncio.sleep(0.2)
    steps: list[Value] = [{"weight": 40}, {"weight": 100}]
    await promoting.promote(shop.actor, env, PromoteOptions(Strategy.CANARY, rollout_steps=steps))
    assert (await following.next()).tag == await tag_of(shop)
    await following.end()


async def test_what_happened_in_between_is_told_at_once(shop: Shop) -> None:
    bearer = await bearer_of(shop)
    seen = await tag_of(shop)
    await set_banner(shop, 2)
    behind = Following(bearer, shop.project_id, seen=seen)
    told = await behind.next()
    assert told.tag == await tag_of(shop) != seen
    await behind.end()
    await set_banner(shop, 3)
    back = Following(bearer, shop.project_id, told.cursor)
    assert (await back.next()).tag == await tag_of(shop)
    await back.end()


async def test_a_ticket_is_good_for_its_key_its_project_and_two_days(shop: Shop) -> None:
    made = await api_keys.create(shop.actor, shop.project_id, "app", [Scope.EVALUATE])
    actor = await identity.authenticate(f"Bearer {made.secret}")
    now = 20_000.5 * DAY
    ticket = stream_tickets.issue(actor, now)
    assert ticket is not None
    assert ticket == stream_tickets.issue(actor, now + DAY / 3)
    assert (made.secret or "") not in ticket
    for moment in (now, now + DAY):
        bearer = await stream_tickets.admit(ticket, moment)
        assert (bearer.actor.project_id, bearer.actor.scopes) == (shop.project_id, frozenset({Scope.EVALUATE}))
    project, key, day, mac = ticket.split("-")
    forged = [
        f"{int(project) + 1}-{key}-{day}-{mac}",
        f"{project}-{UUID(int=1).hex}-{day}-{mac}",
        f"{project}-{key}-{int(day) + 1}-{mac}",
        f"{project}-{key}-{day}-{mac[:-1]}0",
        f"{project}-{key}-{day}-{mac}0",
        "",
        "x",
    ]
    for wrong in forged:
        if wrong != ticket:
            with pytest.raises(Unauthenticated):
                await stream_tickets.admit(wrong, now)
    for moment in (now + 2 * DAY, now - DAY):
        with pytest.raises(Unauthenticated):
            await stream_tickets.admit(ticket, moment)
    assert stream_tickets.issue(shop.actor, now) is None
    await api_keys.revoke(shop.actor, shop.project_id, made.key.uuid)
    with pytest.raises(Unauthenticated):
        await stream_tickets.admit(ticket, now)


async def test_a_revoked_key_ends_its_streams(shop: Shop) -> None:
    made = await api_keys.create(shop.actor, shop.project_id, "app", [Scope.EVALUATE])
    bearer = await passes.admit(f"Bearer {made.secret}")
    following = Following(bearer, shop.project_id)
    await asyncio.sleep(0.2)
    await api_keys.revoke(shop.actor, shop.project_id, made.key.uuid)
    with pytest.raises(DomainError):
        await asyncio.wait_for(following.task, 10)
