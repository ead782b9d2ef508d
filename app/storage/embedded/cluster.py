import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from urllib.parse import quote

from app.storage.embedded.binaries import reachable_binaries
from app.storage.embedded.errors import EmbeddedError, last_lines
from app.storage.embedded.folder import DataFolder, prepare_data_folder, prepare_socket_folder
from app.storage.embedded.initialise import ensure_cluster
from app.storage.embedded.postmaster import PidFile, ready_server, take_over, try_lock, wait_for
from app.storage.embedded.process import spawn

_GUEST_SECONDS = 20.0
_START_SECONDS = 120.0
"""Recovery after a crash replays the log first, which can take a while."""
_LOG_BYTES = 10_000_000

_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "cluster_name": "strata",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}
_FAST_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running embedded PostgreSQL: how to connect to it, and whether this process owns it.

    ``owner_dsn`` connects as strata_owner, which owns the database; ``app_dsn`` as strata_app, which owns
    nothing. When ``started_here`` is False another process owns the server, and takes it along when it ends.
    """

    owner_dsn: str
    app_dsn: str
    started_here: bool


@contextmanager
def running_cluster(data_dir: Path) -> Iterator[Cluster]:
    """Start the PostgreSQL of ``data_dir``, or join the one another process runs there.

    Call it from the main thread: when the thread that started the server ends, for whatever reason, the
    server shuts down. On leaving, the process that started it stops it. Raises EmbeddedError.
    """
    if not sys.platform.startswith("linux"):
        raise EmbeddedError("The embedded PostgreSQL runs on Linux only. Give Strata a STRATA_DATABASE_URL.")
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("running_cluster belongs in the main thread")
    folder = prepare_data_folder(data_dir)
    with _opened(folder, "lock") as lock:
        host = _own_or_join(folder, lock)
        if host:
            yield _cluster(host.socket_folder, started_here=False)
            return
        with _own_server(folder, lock) as socket_folder:
            yield _cluster(socket_folder, started_here=True)


def _cluster(socket_folder: Path, *, started_here: bool) -> Cluster:
    host = quote(str(socket_folder))
    owner, app = (f"postgresql://{role}@/strata?host={host}&port=5432" for role in ("strata_owner", "strata_app"))
    return Cluster(owner, app, started_here)


@contextmanager
def _opened(folder: DataFolder, name: str, flags: int = 0) -> Iterator[int]:
    try:
        descriptor = folder.open_file(name, flags)
    except OSError as error:
        raise EmbeddedError(
            f"Cannot open {folder.path / name}: {error.strerror}. Start Strata as the user that owns "
            "the data folder, or choose another one with STRATA_DATA_DIR."
        ) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _own_or_join(folder: DataFolder, lock: int) -> PidFile | None:
    """Return the server of the process that holds the lock; None if this process holds it now."""
    found: list[PidFile] = []

    def settled() -> bool:
        if try_lock(lock):
            return True
        server = ready_server(folder.cluster)
        # The owner enters its server in the lock file: a dead owner's one may still look ready.
        if server and os.pread(lock, 32, 0) == str(server.pid).encode():
            found.append(server)
        return bool(found)

    if not wait_for(settled, _GUEST_SECONDS):
        raise EmbeddedError(
            f"Another Strata process uses {folder.path}, but its PostgreSQL does not get ready. Look at what "
            f"that process prints and at {folder.log}, or stop it."
        )
    return found[0] if found else None


@contextmanager
def _own_server(folder: DataFolder, lock: int) -> Iterator[Path]:
    os.ftruncate(lock, 0)
    with _opened(folder, "server.lock") as server_lock:
        take_over(folder.cluster, server_lock)
        fast = os.environ.get("STRATA_TEST_FAST_PG") == "1"
        binaries = reachable_binaries(folder)
        ensure_cluster(folder, binaries, server_lock, sync=not fast)
        socket_folder = prepare_socket_folder(folder)
        settings = _SETTINGS | (_FAST_SETTINGS if fast else {})
        settings["unix_socket_directories"] = '"{}"'.format(str(socket_folder).replace('"', '""'))
        options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        _rotate(folder.log)
        with _opened(folder, folder.log.name, os.O_APPEND) as log:
            log_start = os.fstat(log).st_size
            command: list[str | Path] = [binaries / "postgres", "-D", folder.cluster, *options]
            server = spawn(command, folder.account, output=log, keep_open=[server_lock])
    try:
        _await_ready(server, folder, log_start)
        os.pwrite(lock, str(server.pid).encode(), 0)
        yield socket_folder
    finally:
        _stop(server)
        with suppress(OSError):
            socket_folder.rmdir()


def _await_ready(server: Popen[str], folder: DataFolder, log_start: int) -> None:
    def settled() -> bool:
        return server.poll() is not None or ready_server(folder.cluster) is not None

    in_time = wait_for(settled, _START_SECONDS)
    if in_time and server.poll() is None:
        return
    with folder.log.open(errors="replace") as log:
        log.seek(log_start)
        tail = last_lines(log.read())
    what = "ended at once" if in_time else f"was not ready after {_START_SECONDS:.0f} seconds"
    raise EmbeddedError(f"PostgreSQL {what}. The end of its log, {folder.log}:\n{tail}")


def _stop(server: Popen[str]) -> None:
    """Shut down fast (nothing is lost); only if that hangs, harder."""
    for told, seconds in ((signal.SIGINT, 60), (signal.SIGQUIT, 15), (signal.SIGKILL, 5)):
        server.send_signal(told)
        with suppress(TimeoutExpired):
            server.wait(seconds)
            return


def _rotate(log: Path) -> None:
    with suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_name(f"{log.name}.1"))
