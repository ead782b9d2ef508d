"""The server as a process: started, stopped in every way, beside other commands, twice on one database."""

import json
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import httpx
import pytest

from tests.conftest import Database
from tests.processes.served import Served, served, strata


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the embedded PostgreSQL's own user can reach, unlike pytest's."""
    made = Path(tempfile.mkdtemp(prefix="strata-test-"))
    made.chmod(0o755)
    yield made / "data"
    rmtree(made, ignore_errors=True)


def _servers_of(folder: Path) -> list[int]:
    """The PostgreSQL processes whose working directory is the folder's cluster."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink().is_relative_to(folder):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _gone(folder: Path) -> bool:
    deadline = time.monotonic() + 15
    while _servers_of(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not _servers_of(folder)


def account(server: Served) -> tuple[httpx.Client, int]:
    """Register, log in, make a project: a client with its token, and the project's id."""
    anonymous = server.client()
    credentials = {"email": f"{time.monotonic_ns()}@example.com", "password": "correct horse"}
    assert anonymous.post("/api/auth/register", json=credentials).status_code == 201
    token = anonymous.post("/api/auth/login", json=credentials).json()["access_token"]
    client = server.client(token)
    return client, client.post("/api/projects", json={"name": "Shop"}).json()["id"]


@pytest.mark.slow
def test_no_way_to_stop_leaves_an_orphan_and_the_next_start_has_the_data(folder: Path) -> None:
    settings = {"STRATA_DATA_DIR": str(folder), "STRATA_PASSWORD": "correct horse"}
    with served(settings) as server:
        client, project_id = account(server)
        client.put(f"/api/projects/{project_id}/data", json={"n": 1}).raise_for_status()
        token = client.headers["Authorization"].removeprefix("Bearer ")
    assert server.process.returncode == 0
    assert _gone(folder)
    for number, stop in enumerate((signal.SIGKILL, signal.SIGINT, signal.SIGTERM), start=1):
        with served(settings) as server:
            data = f"/api/projects/{project_id}/data"
            assert server.client(token).get(data).json() == {"n": number}
            server.client(token).put(data, json={"n": number + 1}).raise_for_status()
            server.process.send_signal(stop)
            server.process.wait(20)
        assert _gone(folder)


@pytest.mark.slow
def test_commands_work_while_the_server_runs_and_without_it(folder: Path) -> None:
    settings = {"STRATA_DATA_DIR": str(folder), "STRATA_PASSWORD": "correct horse"}
    with served(settings):
        assert strata(settings, "account", "create", "ada@example.com").returncode == 0
        made = strata(settings, "project", "create", "Shop", "--owner", "ada@example.com", "--json")
        assert (made.returncode, made.stderr) == (0, "")
        assert "Shop" in strata(settings, "project", "list").stdout
        found = strata(settings, "doctor")
        assert (found.returncode, "problem" in found.stdout) == (0, False), found.stdout
        second = strata(settings, "serve", "--port", "0")
        assert second.returncode == 1
        assert "Another Strata process serves" in second.stderr
    assert "Shop" in strata(settings, "project", "list").stdout


def test_two_processes_on_one_database_never_read_stale(database: Database) -> None:
    settings = {"STRATA_DATABASE_URL": database.app_dsn}
    with served(settings) as one, served(settings) as two:
        writer, project_id = account(one)
        reader = two.client(writer.headers["Authorization"].removeprefix("Bearer "))
        name = {"source_project_id": project_id, "env_name": "feature", "env_type": "sandbox"}
        writer.post("/api/sandbox/fork", json=name).raise_for_status()
        data = f"/api/projects/{project_id}/data"
        for number in range(100):
            written = writer.patch(data, json={"n": number}).headers["ETag"]
            read = reader.get(data)
            assert (read.json()["n"], read.headers["ETag"]) == (number, written)
            assert reader.get(data, params={"env": "feature"}).json()["n"] == number
            reader.patch(data, json={"m": number}, params={"env": "feature"}).raise_for_status()
            assert writer.get(data, headers={"X-AgentStack-Env": "feature"}).json()["m"] == number


def test_what_is_no_http_is_refused_in_the_body_that_errors_have(database: Database) -> None:
    with served({"STRATA_DATABASE_URL": database.app_dsn}) as server:
        address = httpx.URL(server.url)
        for sent in (b"\x00\x01\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", b"GET\r\n\r\n"):
            with socket.create_connection((address.host, address.port or 80), timeout=10) as connection:
                connection.sendall(sent)
                said = b"".join(iter(lambda: connection.recv(65_536), b""))
            head, _, body = said.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n")
            found = json.loads(body)
            assert found["error"] == "bad_request"
            assert found["message"]
            assert f"x-request-id: {found['request_id']}".encode() in head
