"""Fixtures: one real PostgreSQL for the run, the application on it, and an owner with a project for each test.

Projects do not see one another, so nothing is cleaned up between tests. ``STRATA_TEST_DATABASE_URL`` names
another server (15 or newer) to run on; a database of its own is made there and dropped.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest
from litestar import Litestar

from app.domain.model import Actor, Project
from app.main import create_app
from app.services import identity, projects
from app.settings import Settings
from app.storage import accounts, migrations
from app.storage.embedded import running_cluster

if TYPE_CHECKING:
    from httpx._transports.asgi import _ASGIApp


@dataclass(frozen=True)
class Database:
    """Where tests find PostgreSQL: as the schema's owner, and as the application."""

    owner_dsn: str
    app_dsn: str


async def _run(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def _external(url: str) -> Iterator[Database]:
    name = f"strata_test_{uuid4().hex[:12]}"
    asyncio.run(_run(url, f"CREATE DATABASE {name}"))
    own = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    try:
        yield Database(own, own)
    finally:
        asyncio.run(_run(url, f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def _embedded() -> Iterator[Database]:
    folder = Path(tempfile.mkdtemp(prefix="strata-test-"))
    folder.chmod(0o755)
    os.environ["STRATA_TEST_FAST_PG"] = "1"
    try:
        with running_cluster(folder / "data") as cluster:
            yield Database(cluster.owner_dsn, cluster.app_dsn)
    finally:
        del os.environ["STRATA_TEST_FAST_PG"]
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def database() -> Iterator[Database]:
    """A migrated database for the whole run."""
    url = os.environ.get("STRATA_TEST_DATABASE_URL")
    with _external(url) if url else _embedded() as found:
        asyncio.run(migrations.migrate(found.owner_dsn))
        yield found


@pytest.fixture(scope="session")
async def app(database: Database) -> AsyncIterator[Litestar]:
    """The application with its lifespan running, in one task of its own as its cancel scopes demand."""
    application = create_app(Settings(database_url=database.app_dsn))
    started, stopping = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with application.lifespan():
            started.set()
            await stopping.wait()

    life = asyncio.create_task(live())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({life, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if life.done():
        waiting.cancel()
        life.result()
    yield application
    stopping.set()
    await life


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the application, without a token."""
    transport = httpx.ASGITransport(app=cast("_ASGIApp", app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as found:
        yield found


MakeActor = Callable[[], Awaitable[Actor]]


@pytest.fixture
def make_actor(app: Litestar) -> MakeActor:
    """Makes new accounts; their password hash matches nothing."""

    async def make() -> Actor:
        account = await accounts.add_account(f"{uuid4().hex}@example.com", "none")
        return Actor(account_uuid=account.uuid, name=account.email)

    return make


@pytest.fixture
async def actor(make_actor: MakeActor) -> Actor:
    """A new account."""
    return await make_actor()


@pytest.fixture
async def project(actor: Actor) -> Project:
    """A new project that ``actor`` owns."""
    return await projects.create(actor, "Shop")


Headers = dict[str, str]


async def headers_of(actor: Actor) -> Headers:
    """Return the Authorization header of a user."""
    token = await identity.keyring.sign(actor.account_uuid, actor.name, 900)
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def owner(actor: Actor) -> Headers:
    """Headers with which ``actor`` asks over HTTP."""
    return await headers_of(actor)
