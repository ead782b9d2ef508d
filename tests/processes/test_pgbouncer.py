"""Behind PgBouncer, which gives each transaction whatever session is free."""

import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import Database
from tests.processes.served import served, strata
from tests.processes.test_serve import account

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed"),
    pytest.mark.skipif("STRATA_TEST_DATABASE_URL" in os.environ, reason="for the embedded PostgreSQL"),
]

CONFIGURATION = """
[databases]
strata = host={host} port=5432 dbname=strata user=strata_app
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
"""


@pytest.fixture
def pooled_url(database: Database) -> Iterator[str]:
    """The tests' database through a PgBouncer with four sessions, in transaction mode."""
    host = parse_qs(urlsplit(database.app_dsn).query)["host"][0]
    port = random.randint(20_000, 50_000)
    folder = Path(tempfile.mkdtemp(prefix="strata-test-"))
    folder.chmod(0o755)
    file = folder / "pgbouncer.ini"
    file.write_text(CONFIGURATION.format(host=host, port=port))
    owner = pwd.getpwuid(Path(host).stat().st_uid).pw_name
    command = [PROGRAM or "", *(("-u", owner) if os.geteuid() == 0 else ()), str(file)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield f"postgresql://anyone@127.0.0.1:{port}/strata"
        process.terminate()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_server_works_through_it(database: Database, pooled_url: str) -> None:
    settings = {"STRATA_DATABASE_URL": pooled_url, "STRATA_DIRECT_DATABASE_URL": database.app_dsn}
    with served(settings) as server:
        client, project_id = account(server)
        data = f"/api/projects/{project_id}/data"
        forked = {"source_project_id": project_id, "env_name": "feature", "env_type": "sandbox"}
        client.post("/api/sandbox/fork", json=forked).raise_for_status()

        def write(number: int) -> int:
            client.patch(data, json={f"n{number}": number}).raise_for_status()
            client.patch(data, json={f"n{number}": -number}, params={"env": "feature"}).raise_for_status()
            query = {"query": f"{{ project(id: {project_id}) {{ name environments {{ nodes {{ name }} }} }} }}"}
            assert "errors" not in client.post("/graphql", json=query).raise_for_status().json()
            return int(client.get(data, params={"env": "feature"}).json()[f"n{number}"])

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(write, range(60))) == [-number for number in range(60)]
        ready = client.get("/health/ready").json()
        assert ready["missing"] == []
        lines = b"".join(b'{"kind": "page", "key": "%d", "data": {"n": %d}}\n' % (n, n) for n in range(500))
        headers = {"Content-Type": "application/x-ndjson"}
        imported = client.post(f"/api/projects/{project_id}/import", content=lines, headers=headers)
        assert imported.json()["created"] == 500
        assert len(client.get(f"/api/projects/{project_id}/export").text.splitlines()) == 501
        promoted = client.post("/api/sandbox/promote", json={"env_uuid": _feature(client.get, project_id)})
        assert promoted.status_code in (201, 409), promoted.text
    done = strata(settings, "doctor")
    assert "has this version.s tables" in done.stdout.replace("'", "."), done.stdout


def _feature(get: object, project_id: int) -> str:
    assert callable(get)
    found = get("/api/sandbox/environments", params={"project_id": project_id}).json()["environments"]
    return next(str(item["anchor_uuid"]) for item in found if item["env_name"] == "feature")
