"""Webhooks sent by real workers that are killed: everything arrives, in one row each; nothing inside is reached."""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import uniform
from uuid import UUID

import pytest

from app.domain.egress import Allowed
from app.services import egress, environments, webhooks
from app.services.branching import ForkOptions
from app.services.webhooks import WithSecret
from app.storage import db
from tests.conftest import Database
from tests.processes.served import STRATA, environment
from tests.receiver import Receiver, receiving, saying
from tests.services.shop import Shop
from tests.worker.conftest import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone")]

COUNT = 40


@pytest.fixture
async def alone(pool: None) -> None:
    """No job and no webhook of other tests, whose receivers are gone."""
    await db.execute("DELETE FROM webhook")
    await db.execute("DELETE FROM pgqueuer")


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    monkeypatch.setattr(egress, "allowed", Allowed.parse("127.0.0.1"))
    async with receiving() as made:
        yield made


@asynccontextmanager
async def working(database: Database, allow: str = "127.0.0.1") -> AsyncIterator[Process]:
    """Run ``strata worker``; afterwards it is stopped by SIGTERM, if it still runs."""
    settings = environment({"STRATA_DATABASE_URL": database.app_dsn, "STRATA_WEBHOOK_ALLOW": allow})
    process = await asyncio.create_subprocess_exec(*STRATA, "worker", env=settings, stdout=PIPE, stderr=PIPE)
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"Strata works\n"
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        _, said = await asyncio.wait_for(process.communicate(), 30)
        assert b"whsec_" not in said


async def _hook(shop: Shop, receiver: Receiver, *patterns: str) -> WithSecret:
    return await webhooks.create(shop.actor, shop.project_id, receiver.url, patterns or ("generation.created",))


async def _rows(webhook_uuid: UUID) -> list[tuple[int, str]]:
    rows = await db.fetch(
        "SELECT version, status FROM webhook_delivery WHERE webhook_uuid = $1 ORDER BY version", webhook_uuid
    )
    return [(row["version"], row["status"]) for row in rows]


async def _expected(shop: Shop) -> list[int]:
    rows = await db.fetch(
        "SELECT version FROM event WHERE project_id = $1 AND type = 'generation.created' ORDER BY version",
        shop.project_id,
    )
    return [row["version"] for row in rows]


async def test_workers_that_are_killed_lose_nothing_and_double_no_row(
    database: Database, shop: Shop, receiver: Receiver, unlimited: None
) -> None:
    made = await _hook(shop, receiver)
    assert made.secret is not None

    async def slowly(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await saying("200 OK")(writer)

    receiver.answers = [slowly]

    async def happen() -> None:
        for number in range(COUNT):
            await environments.fork(shop.actor, shop.project_id, ForkOptions(f"env-{number}"))
            await asyncio.sleep(0.1)

    happening = asyncio.create_task(happen())
    async with working(database):
        for _ in range(5):
            async with working(database) as victim:
                await asyncio.sleep(uniform(0.2, 0.8))
                victim.kill()
        await happening
        expected = await _expected(shop)

        async def arrived_all() -> bool:
            return await _rows(made.webhook.uuid) == [(version, "delivered") for version in expected]

        await until(arrived_all, 90)
    arrived = {request.value["version"] for request in receiver.received}
    assert arrived == set(expected)
    assert all(request.signed_with()(made.secret) for request in receiver.received)
    bodies = {(request.id, request.body) for request in receiver.received}
    assert len(bodies) == len(expected)


async def test_an_event_arrives_soon(database: Database, shop: Shop, receiver: Receiver) -> None:
    await _hook(shop, receiver, "generation.created", "document.changed")
    async with working(database):
        await shop.fork("env")
        await asyncio.wait_for(receiver.until(1), 5)
        await shop.put(None, {"n": 1})
        (_, document) = await asyncio.wait_for(receiver.until(2), 5)
    assert document.value["type"] == "document.changed"


async def test_who_hangs_holds_nobody_else_up(database: Database, shop: Shop, receiver: Receiver) -> None:
    async def hang(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with receiving() as hanging:
        hanging.answers = [hang]
        await _hook(shop, hanging)
        await _hook(shop, receiver)
        async with working(database):
            for number in range(5):
                await shop.fork(f"env-{number}")
            await asyncio.wait_for(receiver.until(5), 8)
        assert hanging.connections <= 2


async def test_a_worker_for_which_nothing_is_listed_reaches_nothing_inside(
    database: Database, shop: Shop, receiver: Receiver
) -> None:
    made = await _hook(shop, receiver)
    await shop.fork("env")

    async def tried() -> bool:
        attempts = await db.fetchval(
            "SELECT max(attempts) FROM webhook_delivery WHERE webhook_uuid = $1", made.webhook.uuid
        )
        return bool(attempts)

    async with working(database, ""):
        await until(tried)
    assert receiver.connections == 0
    error = await db.fetchval("SELECT error FROM webhook_delivery WHERE webhook_uuid = $1", made.webhook.uuid)
    assert "STRATA_WEBHOOK_ALLOW" in error
