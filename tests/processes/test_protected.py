"""Protected fields with several processes: wrong values are counted together, and a job sweeps beside all else."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from tests.conftest import Database
from tests.processes.served import Served, served, strata

PASSWORD = "correct horse"
SECRET = "sk_live_in_several_processes"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def settings(database: Database) -> dict[str, str]:
    return {"STRATA_DATABASE_URL": database.app_dsn}


@pytest.fixture(scope="module")
def servers(settings: dict[str, str]) -> Iterator[tuple[Served, Served]]:
    """Two servers on the tests' database, with a worker inside each."""
    with served(settings) as one, served(settings) as two:
        yield one, two


@pytest.fixture
def clients(servers: tuple[Served, Served]) -> tuple[httpx.Client, httpx.Client]:
    """The same owner at both servers."""
    credentials = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
    servers[0].client().post("/api/auth/register", json=credentials).raise_for_status()
    token = servers[0].client().post("/api/auth/login", json=credentials).json()["access_token"]
    return servers[0].client(token), servers[1].client(token)


def vault(client: httpx.Client) -> tuple[int, str]:
    """Make a project with a secret and return its id and production's UUID."""
    made = client.post("/api/projects", json={"name": "Vault"}).json()
    document = {"keys": {"api": SECRET}, "config": {}}
    client.put(f"/api/projects/{made['id']}/data", json=document).raise_for_status()
    return made["id"], made["production_uuid"]


def protect(client: httpx.Client, project: int) -> None:
    patch = {"config": {"protected_fields": ["keys.*"]}}
    client.patch(f"/api/projects/{project}/data", json=patch).raise_for_status()


def test_wrong_values_are_counted_by_all_together(clients: tuple[httpx.Client, httpx.Client]) -> None:
    project, production = vault(clients[0])
    protect(clients[0], project)

    def guess(number: int) -> int:
        body = {"env_uuid": production, "field_path": "keys.api", "value": f"guess {number}"}
        return clients[number % 2].post("/api/sandbox/protected-check", json=body).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(guess, range(24)))
    assert statuses.count(200) <= 5
    assert set(statuses) <= {200, 429, 503}


def test_a_worker_sweeps_and_commands_work_beside_servers(
    clients: tuple[httpx.Client, httpx.Client], settings: dict[str, str]
) -> None:
    project, _ = vault(clients[0])
    clients[0].post("/api/sandbox/backup", json={"project_id": project}).raise_for_status()
    before = clients[1].get(f"/api/projects/{project}/data")
    protect(clients[0], project)
    for client in clients:
        assert client.get(f"/api/projects/{project}/data").json()["keys"] == {"api": {"$protected": True}}
    stale = clients[1].get(f"/api/projects/{project}/data", headers={"If-None-Match": before.headers["ETag"]})
    assert stale.status_code == 200
    until = time.monotonic() + 30
    while True:
        rows = clients[1].get("/api/sandbox/audit", params={"project_id": project, "operation": "sweep_protected"})
        if any(row["after"]["set"][""]["done"] for row in rows.json()["entries"]):
            break
        assert time.monotonic() < until
        time.sleep(0.2)
    assert strata(settings, "sweep").stdout.strip() == "Nothing to sweep."
    rotated = strata(settings, "secrets", "rotate", "--json")
    assert rotated.returncode == 0, rotated.stderr
    assert json.loads(rotated.stdout)["projects"][str(project)] == 1
    for client in clients:
        answer = client.get(f"/api/projects/{project}/data", params={"decrypt_protected": "true"})
        assert answer.json()["keys"] == {"api": SECRET}
