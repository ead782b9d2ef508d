"""The README's clients, run as they stand against a real ``strata demo``."""

import asyncio
import os
import re
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.node import HERE, needs_node
from tests.processes.served import Served, served
from tests.test_docs import README, _printed

SECONDS = 60
CLIENTS = README.read_text().partition("## Clients\n")[2].partition("\n## ")[0]


def _example(language: str, word: str) -> str:
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", CLIENTS, re.DOTALL) if word in text]
    return str(found)


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


async def _started(server: Served, *command: str) -> Process:
    known = {**os.environ, "API": server.url, "TOKEN": _token(server)}
    return await asyncio.create_subprocess_exec(*command, env=known, stdout=PIPE, stderr=PIPE)


async def _said(process: Process) -> str:
    out, wrong = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 0, wrong.decode()
    return out.decode().strip()


@pytest.fixture
def program(request: pytest.FixtureRequest) -> Iterator[str]:
    """A file with the example that uses ``request.param``, beside node's packages, where node looks for them."""
    with tempfile.NamedTemporaryFile("w", suffix=".mjs", prefix="readme-", dir=HERE) as file:
        file.write(_example("js", request.param))
        file.flush()
        yield file.name


async def test_curl(demo: Served) -> None:
    assert await _said(await _started(demo, "bash", "-c", _example("sh", "curl"))) == '"EUR"'


async def test_gql(demo: Served) -> None:
    assert await _said(await _started(demo, sys.executable, "-c", _example("python", "gql"))) == "Lantern & Oak"


@needs_node
@pytest.mark.parametrize("program", ["ApolloClient"], indirect=True)
async def test_apollo_client(demo: Served, program: str) -> None:
    for _ in range(2):
        assert await _said(await _started(demo, "node", program)) == "Lantern & Oak"


@needs_node
@pytest.mark.parametrize("program", ["graphql-ws"], indirect=True)
async def test_graphql_ws(demo: Served, program: str) -> None:
    process = await _started(demo, "node", program)
    client = demo.client(_token(demo))
    for number in range(SECONDS):
        # It may not follow yet; what it sees first is one of these.
        client.patch("/api/projects/1/data", json={"config": {"number": number}})
        await asyncio.sleep(0.5)
        if process.returncode is not None:
            break
    assert await _said(process) == "DOCUMENT_CHANGED"
