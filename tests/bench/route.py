"""``GET /api/sandbox/route`` while nothing changes (304), beside a bare Litestar route of the same server.

Run by hand: ``python -m tests.bench.route``. One process serves both; they are measured in turns, and the figure is
the median of the rounds' ratios. Both are sent the same headers. The bare
route takes no token, no parameters, no database: ``return b"…"`` of the
size of a route's answer. Rate limits are on, a thousand times as high as usual. Needs ``wrk``.
"""

import multiprocessing
import re
import socket
import statistics
import subprocess
import time
from contextlib import suppress

import httpx
import uvicorn
from litestar import get

from app import serving
from app.domain.model import Project, Scope, Strategy
from app.domain.rates import RateLimits
from app.domain.values import Value
from app.main import create_app
from app.services import api_keys, documents, environments, identity, projects, promoting
from app.services.branching import ForkOptions
from app.services.promoting import PromoteOptions
from app.settings import Settings
from tests.bench.document_read import new_actor, temporary_cluster

ROUNDS = 9
SECONDS = 2
CONNECTIONS = 32


async def _prepare() -> tuple[Project, str, str]:
    actor = await new_actor()
    project = await projects.create(actor, "Bench")
    fork = await environments.fork(actor, project.id, ForkOptions("canary"))
    await documents.put(actor, project.id, "canary", "page", "a", {"price": 2})
    steps: list[Value] = [{"weight": 20, "pause_minutes": 60, "auto_advance": True}, {"weight": 100}]
    await promoting.promote(actor, fork.environment.uuid, PromoteOptions(Strategy.CANARY, rollout_steps=steps))
    key = await api_keys.create(actor, project.id, "gateway", [Scope.EVALUATE])
    assert key.secret is not None
    return project, key.secret, await identity.keyring.sign(actor.account_uuid, actor.name, 900)


def _serve(dsn: str, listening: socket.socket, size: int) -> None:
    app = create_app(Settings(database_url=dsn, rate_limits=RateLimits(factor=1_000)))
    content = b"x" * size

    @get("/bare", media_type="application/json")
    async def bare() -> bytes:
        return content

    app.register(bare)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="websockets-sansio", lifespan="on", log_config=None, access_log=False
    )
    serving.Server(config, lambda: None).run(sockets=[listening])


def requests_per_second(url: str, *headers: str, script: str | None = None) -> float:
    """Return what wrk measures for one address; every answer has to be 200 or 304. ``script`` is one of wrk's."""
    options = [option for header in headers for option in ("-H", header)] + (["-s", script] if script else [])
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", *options, url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None or "Non-2xx" in said:
        raise RuntimeError(said)
    return float(found[1])


def _measure(url: str, path: str, token: str) -> tuple[float, float, float]:
    """Return the medians of the bare route and of the route's 304, and of their ratios in each round."""
    bearer = f"Authorization: Bearer {token}"
    first = httpx.get(url + path, headers={"Authorization": f"Bearer {token}"})
    known = f"If-None-Match: {first.headers['ETag']}"
    again = httpx.get(url + path, headers={"Authorization": f"Bearer {token}", "If-None-Match": first.headers["ETag"]})
    if (first.status_code, again.status_code) != (200, 304):
        raise RuntimeError(f"{first.text} {again.status_code}")
    rounds = []
    for _ in range(ROUNDS):
        bare = requests_per_second(url + "/bare", bearer, known)
        rounds.append((bare, requests_per_second(url + path, bearer, known)))
    ratios = [route / bare for bare, route in rounds]
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    return medians[0], medians[1], statistics.median(ratios)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            httpx.get(url)
            return
        time.sleep(0.2)
    raise RuntimeError("the server does not answer")


def main() -> None:
    with temporary_cluster() as cluster:
        project, key, token = serving.run_at(serving.Database(cluster.owner_dsn, cluster.app_dsn), _prepare)
        listening = serving.listening_socket("127.0.0.1", 0)
        url = serving.url_of(listening, "127.0.0.1")
        server = multiprocessing.get_context("fork").Process(target=_serve, args=(cluster.app_dsn, listening, 400))
        server.start()
        try:
            wait_for(url + "/bare")
            path = f"/api/sandbox/route?project_id={project.id}&user_uuid=c1a2f7b0-1d0f-4b53-a3a5-2f0f3c0d7e15"
            for name, credential in (("API key", key), ("user's token", token)):
                bare, route, ratio = _measure(url, path, credential)
                said = f"bare {bare:8,.0f}  route 304 {route:8,.0f} requests/s  ratio {ratio:.2f}  (at least 0.8)"
                print(f"{name:12}  {said}")
        finally:
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()
