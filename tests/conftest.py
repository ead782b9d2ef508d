"""Fixtures: one real PostgreSQL for the run, and an owner with a project for each test.

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
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from app.domain.model import Actor, Plan, Project
from app.domain.rates import RateLimits
from app.services import background, identity, operator, projects, rates
from app.services.rates import Meter
from app.storage import accounts, db, deadline, master_key, migrations, wakes
from app.storage.embedded import running_cluster
from app.storage.master_key import MasterKey

MASTER_KEY = bytes(range(100, 132))
"""Of this process, and of the servers that it starts on the same database."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the fast tests first."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


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
async def pool(database: Database) -> AsyncIterator[None]:
    """The process's own pool, open for the whole run as a server's is."""
    master_key.use(MasterKey(MASTER_KEY))
    await db.open_pool(database.app_dsn, 10, 1_000)
    await identity.prepare()
    # Tests ask more of one project, and from one address, than anybody does; and machines that test are busy.
    deadline.seconds = 60.0
    rates.meter = Meter(RateLimits(factor=1_000))
    yield
    await background.finish()
    await wakes.sent()
    await db.close_pool()


MakeActor = Callable[[], Awaitable[Actor]]


@pytest.fixture
def make_actor(pool: None) -> MakeActor:
    """Makes new accounts; their password hash matches nothing."""

    async def make() -> Actor:
        account = await accounts.add_account(f"{uuid4().hex}@example.com", "none")
        return Actor(account_uuid=account.uuid, name=account.name)

    return make


@pytest.fixture
async def actor(make_actor: MakeActor) -> Actor:
    """A new account."""
    return await make_actor()


@pytest.fixture
async def project(actor: Actor) -> Project:
    """A new project that ``actor`` owns."""
    return await projects.create(actor, "Shop")


@pytest.fixture
async def unlimited(project: Project) -> None:
    """Gives the project the plan that limits nothing; others have it as ``project``."""
    await operator.set_plan(project.id, Plan.ENTERPRISE)
