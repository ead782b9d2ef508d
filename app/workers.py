"""Several processes that serve one address: started, started again when they die, and stopped together.

They are forked from a process that has imported everything, and share its memory until they write to it. That process
serves nothing itself; the embedded PostgreSQL, where there is one, is its child.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

import structlog

from app import metrics

PATIENCE_SECONDS: Final = 20.0
"""How long processes have to end, more than they have to drain."""

MOST_DEATHS: Final = 3
"""How many may die before all are ready for the first time; afterwards they are replaced for as long as it takes."""

PAUSE_SECONDS: Final = 1.0
_LOOKS_EVERY: Final = 0.1
_PR_SET_PDEATHSIG: Final = 1
_log = structlog.get_logger("strata")

Serve = Callable[[Callable[[], None]], None]
"""Serves until SIGTERM; is given what to call when it is ready."""


class CannotStart(RuntimeError):
    """Why the server cannot start, in words."""


def supervise(number: int, serve: Serve, on_ready: Callable[[], None]) -> None:
    """Have ``number`` processes run ``serve`` until SIGINT or SIGTERM; call ``on_ready`` when all of them are ready.

    Raises CannotStart if they die before.
    """
    with _stopping() as stopping:
        group = _Group(serve)
        try:
            for _ in range(number):
                group.start()
            said = False
            while not stopping():
                group.look_after(patient=said)
                if not said and group.ready >= number:
                    said = True
                    on_ready()
                time.sleep(_LOOKS_EVERY)
        finally:
            group.stop()


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    told: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: told.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield lambda: bool(told)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Group:
    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._pids: set[int] = set()
        self._deaths = 0
        self._due: list[float] = []
        self._told, self._tell = os.pipe()
        os.set_blocking(self._told, False)
        self._last_start = 0.0
        self.ready = 0

    def start(self) -> None:
        """Fork one more."""
        sys.stdout.flush()
        self._last_start = time.monotonic()
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            self._run(parent)
        self._pids.add(pid)

    def _run(self, parent: int) -> NoReturn:
        # It never returns to what the parent has open: the database is not its own to stop.
        status = 1
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            _end_with(parent)
            self._serve(self._say_ready)
            status = 0
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else 0
        except CannotStart as error:
            _log.error("worker cannot start", reason=str(error))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _say_ready(self) -> None:
        os.write(self._tell, b"!")

    def look_after(self, *, patient: bool) -> None:
        """Hear who is ready, and replace who has died; one at once, others after a pause. Raises CannotStart."""
        with suppress(BlockingIOError):
            self.ready += len(os.read(self._told, 1024))
        for pid in self._ended():
            _log.error("worker died", pid=pid)
            self._deaths += 1
            if self._deaths >= MOST_DEATHS and not patient:
                raise CannotStart("The processes that serve die before they are ready; the lines above say why.")
            self._due.append(max(time.monotonic(), self._last_start + PAUSE_SECONDS))
        now = time.monotonic()
        for _ in [due for due in self._due if due <= now]:
            self.start()
        self._due = [due for due in self._due if due > now]

    def _ended(self) -> list[int]:
        # Not any child: that would take the embedded PostgreSQL's end from whoever waits for it.
        ended = [pid for pid in self._pids if os.waitpid(pid, os.WNOHANG)[0]]
        for pid in ended:
            self._pids.discard(pid)
            metrics.forget(pid)
        return ended

    def stop(self) -> None:
        """Let all of them drain and end; those that do not are killed."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._pids and time.monotonic() < deadline:
            self._ended()
            time.sleep(_LOOKS_EVERY / 2)
        self._signal(signal.SIGKILL)
        for pid in self._pids:
            os.waitpid(pid, 0)
        os.close(self._told)
        os.close(self._tell)

    def _signal(self, number: int) -> None:
        for pid in self._pids:
            os.kill(pid, number)


def _end_with(parent: int) -> None:
    """Have this process told to stop when its parent is no more, however that ended."""
    if sys.platform.startswith("linux"):
        prctl = ctypes.CDLL(None).prctl
        prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
