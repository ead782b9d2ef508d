"""The pages and files of the package: complete, local and cacheable."""

import re
from collections.abc import AsyncIterator
from gzip import decompress
from typing import Any, cast

import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar
from litestar.openapi import OpenAPIConfig

from app.rest.static import CONTENT_SECURITY_POLICY, DocsPage, docs_page, docs_router, graphiql_page, static_asset


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    docs = OpenAPIConfig("Strata", "1", openapi_router=docs_router(), render_plugins=[DocsPage()])
    app = Litestar([static_asset], openapi_config=docs)
    transport = ASGITransport(cast(Any, app))
    async with AsyncClient(transport=transport, base_url="http://strata.test") as client:
        yield client


@pytest.mark.parametrize("page", [graphiql_page(), docs_page()], ids=["graphiql", "docs"])
async def test_a_page_names_only_files_that_are_served(client: AsyncClient, page: bytes) -> None:
    named = re.findall(r'(?:src|href)="([^"]+)"', page.decode())
    assert len(named) >= 3
    for url in named:
        assert url.startswith("/static/")
        assert (await client.get(url)).status_code == 200


@pytest.mark.parametrize("page", [graphiql_page(), docs_page()], ids=["graphiql", "docs"])
def test_a_page_has_no_inline_script(page: bytes) -> None:
    assert re.search(r"<script[^>]*>[^<]|\son\w+=|javascript:", page.decode()) is None


async def test_docs_show_the_description_under_the_policy(client: AsyncClient) -> None:
    page = await client.get("/docs")
    assert (page.status_code, page.content) == (200, docs_page())
    assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert (await client.get("/docs/openapi.json")).json()["info"]["title"] == "Strata"


async def test_hashed_files_are_kept_and_others_asked_for_again(client: AsyncClient) -> None:
    script = re.findall(r"/static/graphiql/assets/[\w.-]+\.js", graphiql_page().decode())[0]
    assert "immutable" in (await client.get(script)).headers["cache-control"]
    first = await client.get("/static/docs/page.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/static/docs/page.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("docs/page.js", "text/javascript; charset=utf-8"),
        ("docs/swagger-ui.css", "text/css; charset=utf-8"),
        ("favicon.svg", "image/svg+xml"),
        ("LICENSES.txt", "text/plain; charset=utf-8"),
    ],
)
async def test_media_types(client: AsyncClient, name: str, media_type: str) -> None:
    response = await client.get(f"/static/{name}")
    assert response.headers["content-type"] == media_type
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip", "gzip"), ("br, gzip;q=0.5", "gzip"), ("identity", None), ("gzip;q=0", None), ("", None)],
)
async def test_compression_is_the_clients_choice(client: AsyncClient, accepted: str, encoding: str | None) -> None:
    plain = await client.get("/static/docs/swagger-ui.css", headers={"accept-encoding": "identity"})
    chosen = client.stream("GET", "/static/docs/swagger-ui.css", headers={"accept-encoding": accepted})
    async with chosen as response:
        assert response.headers.get("content-encoding") == encoding
        raw = b"".join([chunk async for chunk in response.aiter_raw()])
    assert (decompress(raw) if encoding else raw) == plain.content


@pytest.mark.parametrize(
    "name", ["", "docs", "docs/absent.js", "source/main.js", "graphiql/index.html", "%2e%2e/rest/static.py"]
)
async def test_nothing_else_is_served(client: AsyncClient, name: str) -> None:
    assert (await client.get(f"/static/{name}")).status_code == 404
