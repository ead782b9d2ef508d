"""Several processes at one address: they share requests and figures, are replaced when they die, and stop together."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.conftest import Database
from tests.processes.served import Served, served
from tests.processes.test_serve import account
from tests.rest.test_metrics import figures


def _workers(server: Served) -> list[int]:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def _figure(server: Served, name: str) -> float:
    with httpx.Client(base_url=server.url) as client:
        return sum(value for _, value in figures(client.get("/metrics").text)[name])


def _answers(server: Served) -> int:
    # A connection of its own, so that any of the processes may take it.
    with httpx.Client(base_url=server.url) as client:
        return client.get("/health/ready").status_code


def test_processes_share_an_address_and_are_replaced(database: Database) -> None:
    with served({"STRATA_DATABASE_URL": database.app_dsn}, "serve", "--workers", "2") as server:
        client, project_id = account(server)
        data = f"/api/projects/{project_id}/data"
        client.put(data, json={"n": 1}).raise_for_status()
        before = _figure(server, "strata_http_requests_total")
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(lambda _: _answers(server), range(40))) == {200}
        assert _figure(server, "strata_http_requests_total") == before + 41
        assert _figure(server, "strata_pool_connections_limit") == 20
        first, second = _workers(server)
        os.kill(first, signal.SIGKILL)
        while first in (found := _workers(server)) or len(found) < 2:
            pass
        assert second in found
        assert [_answers(server) for _ in range(10)] == [200] * 10
        assert server.client(client.headers["Authorization"].removeprefix("Bearer ")).get(data).json() == {"n": 1}
        assert _figure(server, "strata_http_requests_total") > before + 41
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in found)


def test_a_request_under_way_is_answered_before_the_end(database: Database) -> None:
    with served({"STRATA_DATABASE_URL": database.app_dsn}, "serve", "--workers", "2") as server:
        client, project_id = account(server)

        def lines() -> Iterator[bytes]:
            yield b'{"kind": "page", "key": "one", "data": {}}\n'
            server.process.send_signal(signal.SIGTERM)
            while _listens(server):
                pass
            yield b'{"kind": "page", "key": "two", "data": {}}\n'

        headers = {"Content-Type": "application/x-ndjson"}
        done = client.post(f"/api/projects/{project_id}/import", content=lines(), headers=headers)
        assert (done.status_code, done.json()["created"]) == (200, 2)
        assert server.process.wait(30) == 0


def _listens(server: Served) -> bool:
    try:
        _answers(server)
    except httpx.TransportError:
        return False
    return True
