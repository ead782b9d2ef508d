"""Deadlines and shedding: a request that takes too long is given up, and so is the work it waits for."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from litestar import Litestar

from app.domain.serving_errors import DeadlineExceeded, Overloaded
from app.services import projects
from app.storage import db, deadline
from tests.doors import Headers


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes reading projects take for ever, in the database, and deadlines short."""

    async def sleep(*_: object, **__: object) -> None:
        await db.execute("SELECT set_config('statement_timeout', '0', false), pg_sleep(60)")

    monkeypatch.setattr(projects, "list_projects", sleep)
    monkeypatch.setattr(deadline, "seconds", 0.2)


async def _asleep() -> int:
    count: int = await db.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = 'active'"
        " AND pid <> pg_backend_pid()"
    )
    return count


async def _awake() -> None:
    async with asyncio.timeout(20):
        while await _asleep():
            pass


async def test_rest_gives_up_what_takes_too_long(client: httpx.AsyncClient, owner: Headers, slow: None) -> None:
    answer = await client.get("/api/projects", headers=owner)
    assert (answer.status_code, answer.json()["error"]) == (503, "deadline_exceeded")
    assert answer.headers["retry-after"] == "1"
    await _awake()
    assert db.pool_figures().used == 0


async def test_so_does_graphql(client: httpx.AsyncClient, owner: Headers, slow: None) -> None:
    query = {"query": "{ projects { nodes { id } } }"}
    answer = await client.post("/graphql", json=query, headers=owner)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (503, "deadline_exceeded")
    await _awake()


async def test_a_read_whose_client_has_gone_is_given_up(
    app: Litestar, owner: Headers, slow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "seconds", None)
    gone = asyncio.Event()
    messages: list[Any] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)

    headers = [(b"authorization", owner["Authorization"].encode()), (b"host", b"strata")]
    scope: Any = {"type": "http", "method": "GET", "path": "/api/projects", "raw_path": b"/api/projects"}
    scope |= {"query_string": b"", "headers": headers, "client": ("127.0.0.1", 1), "server": ("strata", 80)}
    scope |= {"http_version": "1.1", "scheme": "http", "root_path": "", "asgi": {"version": "3.0"}}
    asked = asyncio.create_task(app(scope, receive, send))
    async with asyncio.timeout(20):
        while not await _asleep():
            pass
        gone.set()
        await asked
    await _awake()
    assert messages == []


async def test_what_is_known_to_be_long_has_its_time(monkeypatch: pytest.MonkeyPatch, pool: None) -> None:
    monkeypatch.setattr(deadline, "seconds", 0.05)
    with pytest.raises(DeadlineExceeded):
        async with deadline.kept():
            await asyncio.sleep(10)
    async with deadline.kept(), db.transaction(statement_timeout="1min"):
        await asyncio.sleep(0.1)
    async with deadline.kept():
        deadline.lift()
        await asyncio.sleep(0.1)
    deadline.lift()


async def test_the_queue_for_the_pool_is_bounded(monkeypatch: pytest.MonkeyPatch, pool: None) -> None:
    monkeypatch.setattr(db._pool, "most_waiting", 3)
    most = db.pool_figures().most
    release = asyncio.Event()

    async def hold() -> None:
        async with db.connection():
            await release.wait()

    async with AsyncExitStack() as held:
        for _ in range(most):
            await held.enter_async_context(db.connection())
        await _shed(hold, release)
    assert await db.fetchval("SELECT 1") == 1


async def _shed(hold: Callable[[], Coroutine[None, None, None]], release: asyncio.Event) -> None:
    waiting = [asyncio.create_task(hold()) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await db.fetchval("SELECT 1")
    assert db.pool_figures().waiting == 3
    release.set()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert db.pool_figures().waiting == 0
