"""Two servers on one database, and the last place that a project's plan has."""

from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import httpx
import pytest

from tests.conftest import Database
from tests.processes.served import served, strata
from tests.processes.test_serve import account

MANY = 50
ROUNDS = 5


def _environments(client: httpx.Client, project_id: int) -> list[str]:
    answer = client.get("/api/sandbox/environments", params={"project_id": project_id, "status": "draft"})
    answer.raise_for_status()
    return [environment["anchor_uuid"] for environment in answer.json()["environments"]]


@pytest.mark.slow
def test_of_50_forks_through_two_servers_for_one_place_one_succeeds(database: Database) -> None:
    settings = {"STRATA_DATABASE_URL": database.app_dsn}
    with served(settings) as one, served(settings) as two, ThreadPoolExecutor(MANY) as threads:
        client, project_id = account(one)
        clients = cycle((client, two.client(client.headers["Authorization"].removeprefix("Bearer "))))
        assert strata(settings, "project", "set-plan", str(project_id), "basic").returncode == 0
        for number in range(ROUNDS):
            while len(living := _environments(client, project_id)) > 2:
                client.delete("/api/sandbox/environment", params={"env_uuid": living[0]}).raise_for_status()
            for missing in range(2 - len(living)):
                _fork(client, project_id, f"{number} first {missing}").raise_for_status()
            names = [f"{number} at once {attempt}" for attempt in range(MANY)]
            answers = list(threads.map(_fork, (next(clients) for _ in names), (project_id for _ in names), names))
            statuses = sorted(answer.status_code for answer in answers)
            assert statuses == [201] + [403] * (MANY - 1)
            codes = {answer.json()["error"] for answer in answers if answer.status_code == 403}
            assert codes == {"sandbox_limit_exceeded"}
            assert len(_environments(client, project_id)) == 3


def _fork(client: httpx.Client, project_id: int, name: str) -> httpx.Response:
    return client.post("/api/sandbox/fork", json={"source_project_id": project_id, "env_name": name})
