"""Repeating a request after the server died in the middle of the first, and at two servers at once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.conftest import Database
from tests.processes import served as processes
from tests.processes.served import served
from tests.processes.test_serve import account

DYING = "tests.processes.dying"


def _token(client: httpx.Client) -> str:
    return client.headers["Authorization"].removeprefix("Bearer ")


def _backup(client: httpx.Client, project_id: int, key: str) -> httpx.Response:
    return client.post("/api/sandbox/backup", json={"project_id": project_id}, headers={"Idempotency-Key": key})


def _fork(client: httpx.Client, project_id: int, key: str) -> httpx.Response:
    query = (
        "mutation ($input: ForkEnvironmentInput!) { forkEnvironment(input: $input) {"
        " ... on ForkEnvironmentPayload { environment { uuid } } } }"
    )
    wanted = {"projectId": project_id, "envName": "once", "idempotencyKey": key}
    return client.post("/graphql", json={"query": query, "variables": {"input": wanted}})


def _listed(client: httpx.Client, project_id: int, what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/api/sandbox/{what}", params={"project_id": project_id}).json()[what]
    return found


@pytest.mark.parametrize(("moment", "done"), [("after commit", True), ("before commit", False)])
@pytest.mark.parametrize("door", ["rest", "graphql"])
def test_a_request_repeated_after_a_crash_is_done_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, moment: str, done: bool, door: str
) -> None:
    settings = {"STRATA_DATABASE_URL": database.app_dsn}
    request, what, had = (_backup, "backups", 0) if door == "rest" else (_fork, "environments", 1)
    key = uuid4().hex
    with served(settings) as server:
        client, project_id = account(server)
        token = _token(client)
    monkeypatch.setattr(processes, "PROGRAM", DYING)
    with served({**settings, "DIE": moment}) as server:
        with pytest.raises(httpx.TransportError):
            request(server.client(token), project_id, key)
        assert server.process.wait(10) == -9
    with served(settings) as server:
        client = server.client(token)
        listed = _listed(client, project_id, what)
        assert len(listed) == had + done
        first, again = request(client, project_id, key), request(client, project_id, key)
        assert first.is_success
        assert first.content == again.content
        assert ("Idempotency-Replayed" in first.headers, "Idempotency-Replayed" in again.headers) == (done, True)
        if done:
            name = "backup_uuid" if door == "rest" else "anchor_uuid"
            assert str(listed[-1][name]) in first.text
        assert len(_listed(client, project_id, what)) == had + 1
        operation = "backup_production" if door == "rest" else "fork_environment"
        trail = client.get("/api/sandbox/audit", params={"project_id": project_id, "operation": operation}).json()
        assert len(trail["entries"]) == 1


def test_two_servers_do_once_what_is_asked_of_both(database: Database) -> None:
    settings = {"STRATA_DATABASE_URL": database.app_dsn}
    with served(settings) as one, served(settings) as two:
        client, project_id = account(one)
        clients = [client, two.client(_token(client))]
        keys = [uuid4().hex for _ in range(8)]
        with ThreadPoolExecutor(16) as pool:
            asked = [pool.submit(_backup, clients[n % 2], project_id, keys[n // 2 % 8]) for n in range(160)]
            answers = [each.result() for each in asked]
        assert {answer.status_code for answer in answers} == {201}
        made = Counter(answer.json()["backup_uuid"] for answer in answers)
        assert set(made.values()) == {20}
        assert len(_listed(client, project_id, "backups")) == len(made) == len(keys)
