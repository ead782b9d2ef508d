"""Running things: a database to work on, and the server in front of it."""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NoReturn, TypeVar

import uvicorn
from litestar import Litestar

from app import metrics, workers
from app.http_protocol import BoundedHttp
from app.log import configure_logging
from app.main import create_app
from app.services import background, egress, identity, live
from app.settings import Settings
from app.storage import db, master_key, migrations, tracing, wakes
from app.storage.embedded import default_data_dir, running_cluster
from app.storage.master_key import MasterKey
from app.worker import running
from app.workers import CannotStart as CannotStart
from schema.persisted import UnfitDocuments

OWNER_SECONDS: Final = 5.0
DRAIN_SECONDS: Final = 10
TICKS_A_SECOND: Final = 10
ABANDONED_SECONDS: Final = 10.0
MAX_SOCKET_MESSAGE: Final = 64 * 1024
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Database:
    """How to connect: as who may change the schema, and as the application, for connections that may be shared.

    ``direct``, also the application's, is for those that keep their session, if the others lead through PgBouncer.
    """

    owner_dsn: str
    app_dsn: str
    direct: str | None = None

    @property
    def direct_dsn(self) -> str:
        """The address for connections that keep their session."""
        return self.direct or self.app_dsn


@contextmanager
def database(settings: Settings, *, own: bool = False, migrate: bool = True) -> Iterator[Database]:
    """Give a database: the external one of the settings, else the embedded one, started or joined.

    With ``own`` the embedded server is this process's, so that no other one takes it away on its end; a short
    command that holds it is waited for. Unless ``migrate`` is False, it is ready to be worked on: its tables are
    this version's and the master key is in use. Raises EmbeddedError, MigrationFailed, MasterKeyError, CannotStart.
    """
    url = settings.database_url
    with nullcontext(_external(url, settings)) if url else _embedded(settings, own=own) as found:
        if migrate:
            asyncio.run(migrations.migrate(found.owner_dsn))
            master_key.use(_master_key(settings))
        yield found


def _external(url: str, settings: Settings) -> Database:
    return Database(settings.direct_url, url, settings.direct_database_url)


def _master_key(settings: Settings) -> MasterKey:
    if settings.master_key is not None:
        return MasterKey(settings.master_key)
    return master_key.read_or_make_file(master_key.folder_of(settings.database_url, settings.data_dir))


@contextmanager
def _embedded(settings: Settings, *, own: bool) -> Iterator[Database]:
    folder = settings.data_dir or default_data_dir()
    deadline = time.monotonic() + OWNER_SECONDS
    while True:
        with running_cluster(folder) as cluster:
            if cluster.started_here or not own:
                yield Database(cluster.owner_dsn, cluster.app_dsn)
                return
        if time.monotonic() > deadline:
            raise CannotStart(
                f"Another Strata process serves {folder}. Stop it, choose another folder with STRATA_DATA_DIR, or "
                "give both the same STRATA_DATABASE_URL."
            )
        time.sleep(0.3)


def run_on(settings: Settings, work: Callable[[], Awaitable[R]]) -> R:
    """Run ``work`` on a database with an open pool, as commands do beside a server or without one."""
    with database(settings) as found:
        return run_at(found, work)


def run_at(found: Database, work: Callable[[], Awaitable[R]], connections: int = 2) -> R:
    """Run ``work`` with a pool on a database that is there."""

    async def connected() -> R:
        await db.open_pool(found.app_dsn, connections, pooled=found.direct is not None)
        try:
            return await work()
        finally:
            await background.finish()
            await wakes.sent()
            await db.close_pool()

    return asyncio.run(connected())


class Server(uvicorn.Server):
    """uvicorn, saying when it listens, and letting those who follow something know that it is over."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._closing: dict[asyncio.Transport, float] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_A_SECOND == 0:
            self._abandon(ABANDONED_SECONDS)
        return await super().on_tick(counter)

    def _abandon(self, seconds: float) -> None:
        """Let go of connections that were closed so long ago and whose clients do not take what was written to them."""
        now = time.monotonic()
        transports = {connection.transport for connection in self.server_state.connections}
        closing = [transport for transport in transports if transport.is_closing()]
        self._closing = {transport: self._closing.get(transport, now) for transport in closing}
        for transport, since in self._closing.items():
            if now - since >= seconds:
                transport.abort()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn itself would close the sockets first, and no stream would get its end.
        await live.end_all()
        self._abandon(0)
        await super().shutdown(sockets)


def listening_socket(host: str, port: int, *, search: bool = False) -> socket.socket:
    """Return a socket bound to ``host`` and ``port``, or the next free port with ``search``. Raises CannotStart."""
    for candidate in range(port, port + (50 if search and port else 1)):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, candidate))
            return bound
        except OSError as error:
            bound.close()
            reason = error.strerror
    raise CannotStart(f"Cannot listen on {host}:{port}: {reason}. Choose another port with --port.")


def serve(settings: Settings, listening: socket.socket, found: Database, on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, then drain; returns when all is closed. Raises CannotStart, MasterKeyError."""
    configure_logging()
    if settings.tracing:
        tracing.check()
    # Here and not only in the application's own start, where a failure would be a traceback.
    run_at(found, identity.prepare)
    if settings.workers == 1:
        _serve(settings, listening, found, on_ready)
        return
    with TemporaryDirectory(prefix="strata-metrics-") as figures:
        metrics.share(Path(figures))
        workers.supervise(settings.workers, lambda ready: _serve(settings, listening, found, ready), on_ready)


def _serve(settings: Settings, listening: socket.socket, found: Database, on_ready: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    config = uvicorn.Config(
        _application(replace(settings, database_url=found.app_dsn)),
        loop="uvloop",
        http=BoundedHttp,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_max_size=MAX_SOCKET_MESSAGE,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    try:
        Server(config, on_ready).run(sockets=[listening])
    except SystemExit as stopped:
        if stopped.code:
            raise CannotStart("The server could not start; the lines above say why.") from None


def _application(settings: Settings) -> Litestar:
    try:
        return create_app(settings)
    except UnfitDocuments as error:
        raise CannotStart(str(error)) from None


def work(settings: Settings, found: Database, on_ready: Callable[[], None]) -> None:
    """Do background work until SIGINT or SIGTERM, then drain; returns when all is closed."""
    configure_logging()
    egress.allowed = settings.webhook_allow
    run_at(found, lambda: _work(found.direct_dsn, on_ready), settings.pool_size)


async def _work(dsn: str, on_ready: Callable[[], None]) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with running.at_work(dsn):
        on_ready()
        await stopped.wait()


def _leave(number: int, _: object) -> NoReturn:
    # uvicorn raises the signal again once it has drained; by then there is only the database to stop.
    sys.exit(0)


def url_of(listening: socket.socket, host: str) -> str:
    """Return the address under which the socket is reached from this machine."""
    port = listening.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"
