"""The GraphQL door with what settings switch off: GraphiQL and queries by GET."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from tests.conftest import Database
from tests.doors import OwnTask

if TYPE_CHECKING:
    from httpx._transports.asgi import _ASGIApp

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
QUERY = {"query": "{ __typename }"}


@pytest.fixture
async def closed(database: Database, pool: None, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that has both switched off, and suggestions on."""
    settings = Settings(database_url=database.app_dsn, graphiql=False, get_queries=False, suggestions=True)
    transport = OwnTask(app=cast("_ASGIApp", create_app(settings)), client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as found:
        yield found


@pytest.mark.parametrize("accept", ["text/html,*/*;q=0.8", "*/*", "application/json", "text/event-stream"])
@pytest.mark.parametrize("params", [{}, QUERY, {"extensions": "{}"}], ids=["nothing", "query", "extensions"])
async def test_nothing_is_answered_by_get(closed: httpx.AsyncClient, accept: str, params: dict[str, str]) -> None:
    answer = await closed.get("/graphql", params=params, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["errors"][0]["extensions"]["code"] == "method_not_allowed"
    assert (await closed.post("/graphql", json=QUERY)).json() == {"data": {"__typename": "Query"}}


async def test_browsers_get_no_page(client: httpx.AsyncClient, closed: httpx.AsyncClient) -> None:
    assert "graphiql" in (await client.get("/graphql", headers=BROWSER)).text.lower()
    assert "graphiql" not in (await closed.get("/graphql", headers=BROWSER)).text.lower()


async def test_suggestions_are_made_only_where_they_are_wanted(
    client: httpx.AsyncClient, closed: httpx.AsyncClient
) -> None:
    for query, variables in (
        ("{ viewerr { name } }", None),
        (
            "query ($s: [EnvironmentStatus!]) { project(id: 1) { environments(status: $s) { totalCount } } }",
            {"s": ["RADY"]},
        ),
    ):
        asked = {"query": query, "variables": variables}
        assert "Did you mean" not in (await client.post("/graphql", json=asked)).text
        assert "Did you mean" in (await closed.post("/graphql", json=asked)).text
