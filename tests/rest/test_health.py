"""Health: what is missing is said, to anyone, and comes back by itself."""

from collections.abc import Iterator

import asyncpg
import httpx
import pytest
from litestar import Litestar

from app.services.health import Health, Watch
from app.storage.probe import Probe
from tests.conftest import Database


async def test_whoever_asks_whether_it_lives_needs_no_token(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["cache-control"] == "no-store"


async def test_what_is_missing_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/ready")
    assert answer.status_code == 200
    # The tests' application has neither listener nor worker.
    assert answer.json() == {
        "status": "degraded",
        "checks": {"database": "ok", "migrations": "ok", "listener": "missing", "jobs": "missing"},
        "missing": ["listener", "jobs"],
    }


@pytest.fixture
def watched(app: Litestar, database: Database) -> Iterator[Watch]:
    """The application's watch; the one it had is put back."""
    had, app.state.watch = app.state.watch, Watch(database.app_dsn, {})
    yield app.state.watch
    app.state.watch.close()
    app.state.watch = had


async def test_without_a_database_it_is_not_ready(
    client: httpx.AsyncClient, app: Litestar, watched: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.health.KNOWN_SECONDS", -1.0)
    assert (await client.get("/health/ready")).json()["status"] == "ready"
    lost = Watch("postgresql://nobody@127.0.0.1:1/nothing", {})
    app.state.watch = lost
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["database"])
    assert "127.0.0.1" not in answer.text
    app.state.watch = watched
    assert (await client.get("/health/ready")).json()["status"] == "ready"


async def test_a_connection_that_was_cut_is_made_again_at_once(database: Database) -> None:
    probe = Probe(database.app_dsn)
    await probe.reach()
    connection = await asyncpg.connect(database.app_dsn)
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'strata health'"
    assert await connection.fetchval(f"SELECT count(*) FROM ({ended} AND pid <> pg_backend_pid()) ended") >= 1
    await connection.close()
    await probe.reach()
    assert await probe.missing_migrations() == set()
    probe.close()


def test_requests_are_answered_without_listener_and_jobs_but_not_without_tables() -> None:
    parts = {"database": True, "migrations": True, "listener": False, "jobs": False}
    assert Health(parts).ready
    assert not Health(parts | {"migrations": False}).ready
