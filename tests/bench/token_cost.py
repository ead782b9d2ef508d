"""What verifying a request's token and policy adds to a document read, and what the rate limits do.

Run by hand: ``python -m tests.bench.token_cost``. Four servers on one database, measured in turns: the whole one; one
without rate limits; one that lets everybody in as the document's owner, without token or policy, but counts its
requests; one that does neither. Needs ``wrk``.
"""

import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from app import serving
from app.domain.members import Membership
from app.domain.model import Actor, Role
from app.domain.policy import Operation
from app.main import create_app
from app.services import access, identity, rates
from app.settings import Settings
from app.storage import accounts
from tests.bench.document_read import LIMITS, prepare, requests_per_second, temporary_cluster

# Many short runs, for what is measured is smaller than what the machine does beside it.
ROUNDS = int(os.environ.get("ROUNDS", "30"))
SECONDS = 1


@dataclass(frozen=True)
class Build:
    """Whether a server asks who it is and may, and whether it counts requests."""

    asks: bool
    counts: bool


BUILDS: Mapping[str, Build] = {
    "whole": Build(asks=True, counts=True),
    "without rate limits": Build(asks=True, counts=False),
    "without token and policy": Build(asks=False, counts=True),
    "without any of them": Build(asks=False, counts=False),
}


def _let_in(actor: Actor) -> None:
    """Replace token and policy by a constant."""
    membership = Membership(Role.OWNER)

    async def authenticate(_: str | None) -> Actor:
        return actor

    async def authorize(_: Actor, project_id: int, __: Operation, ___: object = None) -> Membership:
        await rates.let_into(project_id)
        return membership

    vars(identity)["authenticate"] = authenticate
    vars(access)["authorize"] = authorize


def _serve(dsn: str, listening: socket.socket, build: Build, actor: Actor) -> None:
    if not build.asks:
        _let_in(actor)
    settings = Settings(database_url=dsn, rate_limits=LIMITS if build.counts else None)
    app = create_app(settings)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="websockets-sansio", lifespan="on", log_config=None, access_log=False
    )
    serving.Server(config, lambda: None).run(sockets=[listening])


@dataclass(frozen=True)
class Server:
    """A server that runs as one process."""

    url: str
    pid: int

    def processor_seconds(self) -> float:
        """Return the processor time that the process has had."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """One run: requests a second, and the server's processor time for a request in microseconds."""

    per_second: float
    processor: float


@contextmanager
def _server(dsn: str, build: Build, actor: Actor) -> Iterator[Server]:
    listening = serving.listening_socket("127.0.0.1", 0)
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(dsn, listening, build, actor))
    process.start()
    url = serving.url_of(listening, "127.0.0.1")
    try:
        _wait_for(url)
        assert process.pid is not None
        yield Server(url, process.pid)
    finally:
        process.terminate()
        process.join()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            httpx.get(f"{url}/schema/openapi.json", timeout=30)
            return
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _run(server: Server, path: str, token: str) -> Measured:
    before = server.processor_seconds()
    per_second = requests_per_second(server.url + path, token, SECONDS)
    return Measured(per_second, (server.processor_seconds() - before) / (per_second * SECONDS) * 1e6)


def _rounds(servers: Mapping[str, Server], path: str, token: str) -> dict[str, list[Measured]]:
    """Return what was measured of each build, round by round; each round begins with another build."""
    names = list(servers)
    for name in names:
        _run(servers[name], path, token)
    found: dict[str, list[Measured]] = {name: [] for name in names}
    for number in range(ROUNDS):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(_run(servers[name], path, token))
    return found


def _added(found: Mapping[str, list[Measured]], to: str, by: str) -> str:
    """Return what ``by`` adds to a request of ``to``, in percent of time and of processor time."""
    pairs = list(zip(found[to], found[by], strict=True))
    of_time = statistics.median((less.per_second / more.per_second - 1) * 100 for less, more in pairs)
    of_processor = statistics.median((more.processor / less.processor - 1) * 100 for less, more in pairs)
    return f"{of_time:7.1f} % of time   {of_processor:7.1f} % of processor time"


async def _prepare() -> tuple[str, str, Actor]:
    path, token, _ = await prepare()
    claims = await identity.keyring.verify(token)
    account = await accounts.account(claims.account_uuid)
    assert account is not None
    return path, token, Actor(account.uuid, account.name)


def main() -> None:
    with temporary_cluster() as cluster, ExitStack() as opened:
        path, token, actor = serving.run_at(serving.Database(cluster.owner_dsn, cluster.app_dsn), _prepare)
        servers = {name: opened.enter_context(_server(cluster.app_dsn, build, actor)) for name, build in BUILDS.items()}
        found = _rounds(servers, path, token)
    for name, runs in found.items():
        per_second = statistics.median(run.per_second for run in runs)
        processor = statistics.median(run.processor for run in runs)
        print(f"{name:26} {per_second:8,.0f} requests/s   {processor:6,.0f} us of the server's processor each")
    whole, uncounted, unasked, bare = BUILDS
    print(f"token and policy add       {_added(found, unasked, whole)}   (at most 15)")
    print(f"  without rate limits      {_added(found, bare, uncounted)}")
    print(f"rate limits add            {_added(found, uncounted, whole)}")
    print(f"all of them add            {_added(found, bare, whole)}")


if __name__ == "__main__":
    main()
