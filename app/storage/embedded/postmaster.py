import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from app.storage.embedded.errors import EmbeddedError
from app.storage.embedded.folder import SOCKET_NAME

_POLL_SECONDS = 0.01
_PATIENCE: tuple[tuple[signal.Signals | None, float], ...] = (
    (None, 10.0),
    (signal.SIGINT, 10.0),
    (signal.SIGQUIT, 7.0),
)
"""What a server of an earlier run is told, and the seconds it is then given to end."""


@dataclass(frozen=True, slots=True)
class PidFile:
    """What a server writes about itself into ``postmaster.pid``."""

    pid: int
    socket_folder: Path
    status: str


def read_pid_file(cluster: Path) -> PidFile | None:
    """Return the pid file's content; None if there is none, or it is not complete yet."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return PidFile(int(lines[0]), Path(lines[4]), lines[7].strip())
    except (FileNotFoundError, IndexError, ValueError):
        return None


def ready_server(cluster: Path) -> PidFile | None:
    """Return the pid file of a server that takes connections at this moment."""
    before = read_pid_file(cluster)
    if before is None or before.status != "ready" or not _listens(before.socket_folder / SOCKET_NAME):
        return None
    # A killed server's file says "ready" too. One that listens has written its own: so the file must not have
    # changed in between.
    return before if read_pid_file(cluster) == before else None


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def try_lock(descriptor: int) -> bool:
    """Take an open file's lock if nobody holds it; it lasts until each copy of the descriptor is closed."""
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll ``condition`` until it holds; False if it does not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def take_over(cluster: Path, server_lock: int) -> None:
    """Wait until nothing of an earlier server is alive, hold ``server_lock``, and clear its pid file away.

    Every process of a server inherits that lock, so it tells what no pid file can: that a backend has
    outlived a killed postmaster. The pid file is for servers started by hand. Raises EmbeddedError.
    """

    def free() -> bool:
        return try_lock(server_lock) and not _pid_file_is_live(cluster)

    for told, seconds in _PATIENCE:
        if told:
            for pid in _servers_of(cluster):
                with suppress(ProcessLookupError):
                    os.kill(pid, told)
        if wait_for(free, seconds):
            (cluster / "postmaster.pid").unlink(missing_ok=True)
            return
    pids = ", ".join(str(pid) for pid in _servers_of(cluster)) or "unknown"
    raise EmbeddedError(
        f"A PostgreSQL of an earlier run still uses {cluster} (process {pids}) and does not stop. "
        "End that process, then start again."
    )


def _pid_file_is_live(cluster: Path) -> bool:
    """Tell whether the process in the pid file is this cluster's server, not one that got its number."""
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        pid = int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        process = Path("/proc", str(pid))
        try:
            return _parent_of_postgres(process) is not None and (process / "cwd").samefile(cluster)
        except PermissionError:
            # In many containers root may not look into other users' processes.
            return process.stat().st_uid == cluster.stat().st_uid
    return False


def _servers_of(cluster: Path) -> Iterator[int]:
    """Yield the processes that work in the cluster's folder, without those whose parent does so too.

    Their children must not be signalled: SIGINT means another thing to some of them.
    """
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            parent = _parent_of_postgres(process)
            if parent is not None and (process / "cwd").samefile(cluster):
                parents[int(process.name)] = parent
    return (pid for pid, parent in parents.items() if parent not in parents)


def _parent_of_postgres(process: Path) -> int | None:
    """Return the parent of a living ``postgres`` process, None for another program or a zombie."""
    text = (process / "stat").read_text()
    name = text[text.index("(") + 1 : text.rindex(")")]
    state, parent = text[text.rindex(")") + 1 :].split()[:2]
    return int(parent) if name in ("postgres", "postmaster") and state not in "ZX" else None
