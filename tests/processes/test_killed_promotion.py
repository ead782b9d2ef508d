"""kill -9 of the server at each point of a promotion, and of the advance that completes a rollout.

All of it is there afterwards, or nothing; and the same request, repeated, is done once.
"""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.conftest import Database
from tests.processes import served as processes
from tests.processes.served import Served, served
from tests.processes.test_idempotency import DYING
from tests.processes.test_serve import account
from tests.services.invariants import check_invariants

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("pool")]
SWAP = "app.services.swap:Swap"
POINTS = (
    "before app.storage.lines:lock_releasing",
    "after app.storage.lines:lock_all",
    "after app.storage.entities:lock_many",
    f"before {SWAP}.run",
    f"after {SWAP}._production",
    "after app.storage.releases:add",
    f"after {SWAP}._mark_promoted",
    f"after {SWAP}._become_live",
    f"after {SWAP}._move_descendants",
    f"after {SWAP}._retire_former",
    f"after {SWAP}.run",
    "before commit",
    "after commit",
)
PROMOTION_POINTS = (*POINTS, "after app.storage.promotions:add")
ADVANCE_POINTS = (*POINTS, "before app.services.stepping:finish", "after app.services.stepping:finish")
OLD, NEW = {f"d{number}": {"n": 1} for number in range(5)}, {f"d{number}": {"n": 2} for number in range(5)}


@pytest.fixture(scope="module")
def living(database: Database) -> Iterator[Served]:
    with served({"STRATA_DATABASE_URL": database.app_dsn}) as server:
        yield server


class Scene:
    """A project with a live environment, one that is to follow it, and a fork of that."""

    def __init__(self, living: Served) -> None:
        self.client, self.project_id = account(living)
        self.token = self.client.headers["Authorization"].removeprefix("Bearer ")
        self.load(None, OLD)
        self.former = self.fork("former")
        self.promote(self.client, self.former, uuid4().hex)
        self.env = self.fork("env")
        self.load("env", NEW)
        self.fork("child", self.env)
        self.before = self.facts()

    def load(self, env: str | None, documents: dict[str, dict[str, int]]) -> None:
        lines = [json.dumps({"kind": "page", "key": key, "data": data}).encode() for key, data in documents.items()]
        self.client.post(
            f"/api/projects/{self.project_id}/import",
            content=b"\n".join(lines),
            params={"env": env} if env else {},
            headers={"Content-Type": "application/x-ndjson"},
        ).raise_for_status()

    def fork(self, name: str, parent: str | None = None) -> str:
        body = {"source_project_id": self.project_id, "env_type": "sandbox", "env_name": name}
        answer = self.client.post("/api/sandbox/fork", json=body | ({"parent_env_uuid": parent} if parent else {}))
        answer.raise_for_status()
        return next(str(each["anchor_uuid"]) for each in self.environments() if each["env_name"] == name)

    def environments(self) -> list[dict[str, Any]]:
        answer = self.client.get("/api/sandbox/environments", params={"project_id": self.project_id})
        found: list[dict[str, Any]] = answer.json()["environments"]
        return found

    def promote(self, client: httpx.Client, env: str, key: str, **options: object) -> httpx.Response:
        return client.post(
            "/api/sandbox/promote",
            json={"env_uuid": env, "strategy": "immediate"} | options,
            headers={"Idempotency-Key": key},
        )

    def advance(self, client: httpx.Client, key: str) -> httpx.Response:
        return client.post("/api/sandbox/canary/advance", json={"env_uuid": self.env}, headers={"Idempotency-Key": key})

    def shown(self, env: str | None = None) -> dict[str, dict[str, int]]:
        params = {"kind": "page"} | ({"env": env} if env else {})
        lines = self.client.get(f"/api/projects/{self.project_id}/export", params=params).content.splitlines()
        return {row["key"]: row["data"] for row in map(json.loads, lines)}

    def facts(self) -> tuple[object, ...]:
        """Return all that a promotion changes, as clients see it."""
        releases = self.client.get("/api/sandbox/releases", params={"project_id": self.project_id}).json()["releases"]
        statuses = {each["env_name"]: (each["status"], each.get("traffic_weight")) for each in self.environments()}
        return self.shown(), statuses, len(releases)

    def check_done(self) -> None:
        shown, statuses, releases = self.facts()
        assert shown == self.shown("env") == self.shown("child") == NEW
        assert isinstance(statuses, dict)
        assert (statuses["env"], releases) == (("live", 100), 2)
        assert statuses.get("former", ("archived", 0))[0] == "archived"


async def _killed(database: Database, scene: Scene, moment: str, request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    key = uuid4().hex
    with monkeypatch.context() as patched:
        patched.setattr(processes, "PROGRAM", DYING)
        with served({"STRATA_DATABASE_URL": database.app_dsn, "DIE": moment}) as server:
            with pytest.raises(httpx.TransportError):
                request(server.client(scene.token), key)
            assert server.process.wait(10) == -9
    done = moment == "after commit"
    if done:
        scene.check_done()
    else:
        assert scene.facts() == scene.before
    await check_invariants(scene.project_id)
    first, again = request(scene.client, key), request(scene.client, key)
    assert first.is_success, first.text
    assert first.content == again.content
    assert ("Idempotency-Replayed" in first.headers, "Idempotency-Replayed" in again.headers) == (done, True)
    scene.check_done()
    await check_invariants(scene.project_id)


@pytest.mark.parametrize("moment", PROMOTION_POINTS)
async def test_a_killed_promotion(
    database: Database, living: Served, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    scene = Scene(living)
    await _killed(database, scene, moment, lambda client, key: scene.promote(client, scene.env, key), monkeypatch)


@pytest.mark.parametrize("moment", ADVANCE_POINTS)
async def test_a_killed_advance(
    database: Database, living: Served, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    scene = Scene(living)
    steps = [{"weight": 50, "pause_minutes": 600}]
    answer = scene.promote(scene.client, scene.env, uuid4().hex, strategy="canary", rollout_steps=steps)
    assert answer.status_code == 202, answer.text
    scene.before = scene.facts()
    await _killed(database, scene, moment, scene.advance, monkeypatch)
