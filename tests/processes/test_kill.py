"""kill -9 of the server in the middle of large writes: whole, or not at all."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import httpx
import pytest

from tests.conftest import Database
from tests.processes.served import Served, served
from tests.processes.test_serve import account

USERS = 10_000
pytestmark = pytest.mark.slow


def _lines(count: int, kind: str) -> Iterator[bytes]:
    for start in range(0, count, 500):
        rows = ({"kind": kind, "key": f"u{n:05}", "data": {"n": n}} for n in range(start, start + 500))
        yield b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _import(client: httpx.Client, project_id: int, count: int, kind: str) -> httpx.Response:
    return client.post(
        f"/api/projects/{project_id}/import",
        content=_lines(count, kind),
        headers={"Content-Type": "application/x-ndjson"},
    )


def _killed_after(server: Served, delay: float, request: Callable[[], httpx.Response]) -> bool:
    """Kill the server ``delay`` seconds into the request; return whether it had answered well."""
    answers: list[int] = []

    def ask() -> None:
        try:
            answers.append(request().status_code)
        except httpx.HTTPError:
            answers.append(0)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(delay)
    server.kill()
    asking.join(30)
    return answers == [201] or answers == [200]


def _count(client: httpx.Client, project_id: int, kind: str, env: str | None = None) -> int:
    params = {"kind": kind} | ({"env": env} if env else {})
    answer = client.get(f"/api/projects/{project_id}/export", params=params)
    answer.raise_for_status()
    return len(answer.content.splitlines())


def test_a_killed_fork_of_selected_users_is_whole_or_not_at_all(database: Database) -> None:
    settings = {"STRATA_DATABASE_URL": database.app_dsn}
    keys = [f"u{number:05}" for number in range(USERS)]
    with served(settings) as server:
        client, project_id = account(server)
        assert _import(client, project_id, USERS + 500, "user").is_success
        token = client.headers["Authorization"].removeprefix("Bearer ")
        body = {"source_project_id": project_id, "env_type": "sandbox", "user_filter": {"user_uuids": keys}}
        started = time.monotonic()
        whole = client.post("/api/sandbox/fork", json=body | {"env_name": "whole"})
        seconds = time.monotonic() - started
        assert (whole.status_code, whole.json()["forked_count"]) == (201, USERS + 1)
    names: list[str] = []
    acknowledged = False
    for share in (0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.2, None):
        with served(settings) as server:
            client = server.client(token)
            if names:
                _check_fork(client, project_id, names[-1], acknowledged=acknowledged)
            if share is None:
                continue
            names.append(f"killed-{share}")
            asked = body | {"env_name": names[-1]}
            acknowledged = _killed_after(server, share * seconds, partial(client.post, "/api/sandbox/fork", json=asked))


def _check_fork(client: httpx.Client, project_id: int, name: str, *, acknowledged: bool) -> None:
    listed = client.get("/api/sandbox/environments", params={"project_id": project_id}).json()
    found = [env for env in listed["environments"] if env["env_name"] == name]
    assert found or not acknowledged
    if found:
        assert _count(client, project_id, "user", name) == USERS


def test_a_killed_import_is_whole_or_not_at_all(database: Database) -> None:
    settings = {"STRATA_DATABASE_URL": database.app_dsn}
    with served(settings) as server:
        client, project_id = account(server)
        token = client.headers["Authorization"].removeprefix("Bearer ")
    delays = (0.1, 0.5, 1.0, 1.5, 2.0, 3.0)
    acknowledged = False
    for number in range(len(delays) + 1):
        with served(settings) as server:
            client = server.client(token)
            if number:
                count = _count(client, project_id, f"row{number - 1}")
                assert count == USERS if acknowledged else count in (0, USERS)
            if number < len(delays):
                request = partial(_import, client, project_id, USERS, f"row{number}")
                acknowledged = _killed_after(server, delays[number], request)
