"""One document at depth 5 by REST, beside a bare Litestar route that runs one statement for the same bytes.

Run by hand: ``python -m tests.bench.document_read``. One process serves both routes; they are measured in
turns. Needs ``wrk``.
"""

import asyncio
import multiprocessing
import re
import secrets
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import uvicorn
from litestar import Response, get

from app import serving
from app.domain.model import PROJECT_KEY, PROJECT_KIND, Actor
from app.domain.rates import RateLimits
from app.domain.values import Value
from app.main import create_app
from app.services import document_bodies, documents, environments, identity, projects
from app.services.branching import ForkOptions
from app.settings import Settings
from app.storage import accounts, master_key, migrations
from app.storage.embedded import Cluster, running_cluster
from app.storage.master_key import MasterKey

DEPTH = 5
ROUNDS = 5
SECONDS = 4
CONNECTIONS = 32
LIMITS = RateLimits(factor=1_000)
"""No request is refused, and all are counted: 200,000 points a second on the plan Pro."""


@contextmanager
def temporary_cluster() -> Iterator[Cluster]:
    """Give an embedded PostgreSQL, migrated, that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="strata-bench-"))
    folder.chmod(0o755)
    try:
        with running_cluster(folder / "data") as cluster:
            asyncio.run(migrations.migrate(cluster.owner_dsn))
            master_key.use(MasterKey(secrets.token_bytes(32)))
            yield cluster
    finally:
        shutil.rmtree(folder)


async def new_actor() -> Actor:
    """Return an account that nobody can log in to."""
    account = await accounts.add_account(f"{uuid4().hex}@example.com", "none")
    return Actor(account.uuid, account.name)


async def prepare() -> tuple[str, str, bytes]:
    """Make a document at some depth; return its address, a token of its owner, and what is sent."""
    actor = await new_actor()
    project = await projects.create(actor, "Bench")
    sections: dict[str, Value] = {f"section{n}": {"title": "x" * 40, "limit": n} for n in range(16)}
    await documents.put(actor, project.id, None, PROJECT_KIND, PROJECT_KEY, {"config": sections})
    parent, name = None, ""
    for depth in range(DEPTH):
        name = f"level-{depth}"
        fork = await environments.fork(actor, project.id, ForkOptions(name, parent_env_uuid=parent))
        parent = fork.environment.uuid
        patch: Value = {"config": {f"section{depth}": {"limit": depth * 100}}}
        await documents.merge(actor, project.id, name, PROJECT_KIND, PROJECT_KEY, patch)
    body = await document_bodies.read(actor, project.id, name, PROJECT_KIND, PROJECT_KEY)
    token = await identity.keyring.sign(actor.account_uuid, actor.name, 900)
    return f"/api/projects/{project.id}/entities/project/project?env={name}", token, body.content


def _serve(dsn: str, listening: socket.socket) -> None:
    app = create_app(Settings(database_url=dsn, rate_limits=LIMITS))
    pools: list[asyncpg.Pool[asyncpg.Record]] = []

    async def open_pool() -> None:
        pools.append(await asyncpg.create_pool(dsn, min_size=10, max_size=10))

    @get("/bare", media_type="application/json")
    async def bare() -> Response[bytes]:
        text = await pools[0].fetchval("SELECT data FROM bare WHERE id = $1", 1)
        return Response(text.encode(), media_type="application/json")

    app.register(bare)
    app.on_startup.append(open_pool)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="websockets-sansio", lifespan="on", log_config=None, access_log=False
    )
    serving.Server(config, lambda: None).run(sockets=[listening])


async def _add_bare_row(dsn: str, content: bytes) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE bare (id integer PRIMARY KEY, data text NOT NULL)")
    await connection.execute("INSERT INTO bare VALUES (1, $1)", content.decode())
    await connection.execute("GRANT SELECT ON bare TO strata_app")
    await connection.close()


def requests_per_second(url: str, token: str, seconds: int = SECONDS) -> float:
    """Return what wrk measures for one address."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"Authorization: Bearer {token}"]
    said = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said:
        raise RuntimeError(said)
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None:
        raise RuntimeError(said)
    return float(found[1])


def main() -> None:
    with temporary_cluster() as cluster:
        path, token, content = serving.run_at(serving.Database(cluster.owner_dsn, cluster.app_dsn), prepare)
        asyncio.run(_add_bare_row(cluster.owner_dsn, content))
        listening = serving.listening_socket("127.0.0.1", 0)
        url = serving.url_of(listening, "127.0.0.1")
        server = multiprocessing.get_context("fork").Process(target=_serve, args=(cluster.app_dsn, listening))
        server.start()
        try:
            time.sleep(3)
            for address in (path, "/bare"):
                requests_per_second(url + address, token)
            rounds = [
                (requests_per_second(url + "/bare", token), requests_per_second(url + path, token))
                for _ in range(ROUNDS)
            ]
        finally:
            server.terminate()
            server.join()
    bare, read = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"bare route, one statement   {bare:8,.0f} requests/s")
    print(f"document at depth {DEPTH}         {read:8,.0f} requests/s   {len(content)} bytes")
    print(f"ratio                       {read / bare:8.2f}   (at least 0.5)")


if __name__ == "__main__":
    main()
