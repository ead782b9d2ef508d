"""Three servers on one database give a project together what its plan allows."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from app.domain.model import Plan
from app.domain.rates import BURST_SECONDS, PER_SECOND
from tests.conftest import Database
from tests.processes.served import served, strata
from tests.processes.test_serve import account

SERVERS = 3
SECONDS = 6


def _ask(client: httpx.Client, path: str, until: float) -> tuple[int, int]:
    """Ask until that moment; return how many were answered, and how many refused."""
    statuses = []
    while time.monotonic() < until:
        answer = client.get(path)
        statuses.append(answer.status_code)
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1
            time.sleep(0.01)
    assert set(statuses) <= {200, 429}
    return statuses.count(200), statuses.count(429)


@pytest.mark.slow
def test_three_servers_admit_what_the_plan_allows(database: Database) -> None:
    settings = {"STRATA_DATABASE_URL": database.app_dsn, "STRATA_RATE_LIMITS": "on"}
    with ExitStack() as opened:
        servers = [opened.enter_context(served(settings)) for _ in range(SERVERS)]
        threads = opened.enter_context(ThreadPoolExecutor(2 * SERVERS))
        client, project_id = account(servers[0])
        token = client.headers["Authorization"].removeprefix("Bearer ")
        assert strata(settings, "project", "set-plan", str(project_id), "free").returncode == 0
        # Whatever making the project has cost is there again.
        time.sleep(BURST_SECONDS)
        clients = [server.client(token) for server in servers for _ in range(2)]
        began = time.monotonic()
        path = f"/api/projects/{project_id}/data"
        found = list(threads.map(lambda asking: _ask(asking, path, began + SECONDS), clients))
        passed = time.monotonic() - began
    given, refused = (sum(column) for column in zip(*found, strict=True))
    assert refused > 0
    assert given == pytest.approx(PER_SECOND[Plan.FREE] * (BURST_SECONDS + passed), rel=0.05)
