"""The world of each test, and all that the database holds."""

from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import httpx
import pytest

from app.domain.egress import Allowed
from app.domain.model import Actor, Project
from app.services import egress
from tests.conftest import Database
from tests.doors import Headers, address, app, client, headers_of, owner
from tests.operations.world import Mutation, Rest, World

__all__ = ["address", "app", "client", "contents", "headers_of", "owner", "schema_owner", "world"]

Contents = dict[str, str]


@pytest.fixture
async def world(
    client: httpx.AsyncClient,
    owner: Headers,
    actor: Actor,
    project: Project,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """The owner's client, and something to do for every operation, the one that the test is about above all."""
    monkeypatch.setattr(egress, "allowed", Allowed.parse("127.0.0.1"))
    client.headers.update(owner)
    made = await World.made(client, actor, project)
    call = request.node.callspec.params.get("call") if hasattr(request.node, "callspec") else None
    if isinstance(call, Rest | Mutation) and call.prepare is not None:
        await call.prepare(made)
    return made


@pytest.fixture
async def schema_owner(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection of the schema's owner."""
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


@pytest.fixture
def contents(schema_owner: "asyncpg.Connection[asyncpg.Record]") -> Callable[[], Awaitable[Contents]]:
    """Reads a digest of each table, but of what requests cost: a refused one does, too."""

    async def read() -> Contents:
        tables = await schema_owner.fetch(
            "SELECT relname FROM pg_stat_user_tables WHERE relname <> 'rate_bucket' ORDER BY relname"
        )
        statement = "SELECT md5(coalesce(string_agg(row::text, '|' ORDER BY row::text), '')) FROM {} AS row"
        return {name: await schema_owner.fetchval(statement.format(name)) for (name,) in tables}

    return read
