"""GraphiQL and the REST page in a headless Chromium: they work, and ask nothing of any other machine."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from schema.root import schema_text
from tests.e2e.node import needs_node, running
from tests.processes.served import Served, served
from tests.test_docs import _printed

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
STATIC = Path(__file__).parents[2] / "app" / "static"
SAVED: list[dict[str, str]] = json.loads((STATIC / "source" / "queries.json").read_text())
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
SECONDS = 120


@pytest.fixture(scope="module")
def demo() -> Iterator[Served]:
    folder = Path(tempfile.mkdtemp(prefix="strata-test-"))
    folder.chmod(0o755)
    with served({"STRATA_DATA_DIR": str(folder / "data")}, "demo") as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


def _token(server: Served) -> str:
    email, password = _printed(server, "Login").split()
    answer = server.client().post("/api/auth/login", json={"email": email, "password": password})
    token: str = answer.json()["access_token"]
    return token


async def _drive(server: Served, page: str) -> list[tuple[str, Any]]:
    """Return what the program saw."""
    found: list[tuple[str, Any]] = []
    async with running("pages.mjs", str(CHROMIUM), server.url, _token(server), page) as told:
        kinds = ("ran", "docs", "stored", "operations", "tried", "outside", "console", "failed", "broken", "done")
        while (line := await told.next(*kinds, seconds=SECONDS))[0] != "done":
            assert line[0] != "broken", (line[1], found)
            found.append(line)
    assert [line for line in found if line[0] in ("outside", "console", "failed")] == []
    return found


def test_saved_queries_fit_the_schema_and_are_in_the_bundle() -> None:
    schema = build_schema(schema_text())
    bundle = "".join(file.read_text() for file in (STATIC / "graphiql" / "assets").glob("index-*.js"))
    for saved in SAVED:
        assert validate(schema, parse(saved["query"])) == []
        assert saved["query"].splitlines()[0] in bundle


@needs_node
@needs_browser
async def test_graphiql_runs_every_saved_query(demo: Served) -> None:
    found = await _drive(demo, "graphiql")
    ran = {value["name"]: value["answer"] for kind, value in found if kind == "ran"}
    assert list(ran) == ["Me", "Environments", "Document", "Tree", "Events", "Fork"]
    assert "connection_ack" in ran.pop("Events")
    assert all("errors" not in answer for answer in ran.values()), ran
    assert ran["Me"]["data"]["projects"]["nodes"][0]["name"] == "Lantern & Oak"
    shown = ran["Document"]["data"]["project"]["environment"]["document"]
    assert shown["value"] == "tochka"
    assert ran["Fork"]["data"]["forkEnvironment"]["environment"]["name"] == "my-first-fork"
    (stored,) = [value for kind, value in found if kind == "stored"]
    assert "Environments" in stored
    assert "Bearer eyJ" not in stored


@needs_node
@needs_browser
async def test_the_rest_page_shows_and_tries_every_call(demo: Served) -> None:
    found = dict(await _drive(demo, "docs"))
    paths = demo.client().get("/docs/openapi.json").json()["paths"]
    assert found["operations"] == sum(len(item) for item in paths.values())
    assert found["tried"]["status"] == 200
    assert found["tried"]["body"]["projects"][0]["name"] == "Lantern & Oak"
