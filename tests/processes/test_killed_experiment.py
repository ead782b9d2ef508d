"""kill -9 of the server while many tell of users: the counts are what stands in the tables, and miss nobody told of."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import httpx
import pytest

from app.domain.ab_metrics import Tally
from app.storage import db, experiment_counts
from tests.conftest import Database
from tests.processes.served import served
from tests.processes.test_serve import account

WRITERS = 8
BATCH = 200
pytestmark = pytest.mark.slow


@dataclass
class Writer:
    """Tells of users of its own, batch after batch, until its server is gone; knows what was answered."""

    client: httpx.Client
    test: str
    name: str
    exposed: int = 0
    converted: int = 0
    begun: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            for number in range(10_000):
                users = [f"{self.name} {number} {at}" for at in range(BATCH)]
                self.exposed += self._tell("exposure", {"exposures": [{"user_uuid": user} for user in users]})
                self.begun.set()
                results = [{"user_uuid": user, "outcome": "converted", "value": 2} for user in users[::2]]
                self.converted += self._tell("result", {"results": results})
        except httpx.HTTPError:
            return

    def _tell(self, what: str, body: object) -> int:
        answer = self.client.post(f"/api/sandbox/ab-test/{self.test}/{what}", json=body)
        answer.raise_for_status()
        accepted: int = answer.json()["accepted"]
        return accepted


def _all_at_once(runs: list[Callable[[], None]]) -> list[threading.Thread]:
    threads = [threading.Thread(target=run) for run in runs]
    for thread in threads:
        thread.start()
    return threads


async def test_counts_are_exact_after_a_kill(database: Database, pool: None) -> None:
    settings = {"STRATA_DATABASE_URL": database.app_dsn}
    exposed = converted = 0
    with served(settings) as server:
        client, project_id = account(server)
        token = client.headers["Authorization"].removeprefix("Bearer ")
        fork = client.post("/api/sandbox/fork", json={"source_project_id": project_id, "env_name": "tried"}).json()
        production = client.get(f"/api/projects/{project_id}").json()["production_uuid"]
        sides = {"env_a_uuid": production, "env_b_uuid": fork["anchor_uuid"]}
        test: str = client.post("/api/sandbox/ab-test", json=sides).json()["test_id"]
    for number in range(4):
        with served(settings) as server:
            writers = [Writer(server.client(token), test, f"{number} {at}") for at in range(WRITERS)]
            threads = _all_at_once([writer.run for writer in writers])
            for writer in writers:
                assert writer.begun.wait(30)
            await asyncio.sleep(0.1 * number)
            server.kill()
            for thread in threads:
                thread.join(30)
        exposed += sum(writer.exposed for writer in writers)
        converted += sum(writer.converted for writer in writers)
        await _check(project_id, UUID(test), exposed, converted, unanswered=(number + 1) * WRITERS * BATCH)


async def _check(project_id: int, test: UUID, exposed: int, converted: int, *, unanswered: int) -> None:
    """Compare the kept counts with the tables, and with what was answered: that is there, and a batch more at most."""
    await _until_idle()
    kept: list[Tally] = list((await experiment_counts.tallies(project_id, [test]))[test].values())
    rows = await db.fetchrow(
        "SELECT (SELECT count(*) FROM experiment_exposure WHERE project_id = $1 AND test_uuid = $2) AS exposed,"
        " (SELECT count(*) FROM experiment_result WHERE project_id = $1 AND test_uuid = $2) AS converted",
        project_id,
        test,
    )
    assert rows is not None
    assert sum(side.exposed for side in kept) == rows["exposed"]
    assert sum(side.converted for side in kept) == rows["converted"]
    assert sum(side.value_sum for side in kept) == 2 * rows["converted"]
    assert exposed <= rows["exposed"] <= exposed + unanswered
    assert converted <= rows["converted"] <= converted + unanswered


async def _until_idle() -> None:
    """Return once no session is left of a server that is gone."""
    while await db.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
        " AND query LIKE '%experiment_%' AND pid <> pg_backend_pid()"
    ):
        pass
