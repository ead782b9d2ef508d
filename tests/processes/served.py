"""A real server process, for what only one can show."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from queue import Queue

import httpx

from tests.conftest import MASTER_KEY
from tests.processes.nursery import Child, nursery

PROGRAM = "app.cli"
_ROOMY = {"STRATA_RATE_LIMITS": "1000", "STRATA_REQUEST_SECONDS": "60", "STRATA_POOL_QUEUE": "1000"}
STRATA = [sys.executable, "-c", "from app.cli import main; main()"]


@dataclass(frozen=True)
class Served:
    """A server that answers at ``url``; its clients are closed with it."""

    process: Child
    url: str
    greeting: str
    opened: ExitStack

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.opened.enter_context(httpx.Client(base_url=self.url, headers=headers, timeout=60))

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(10)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without its own settings, and with ``settings``.

    Rates are a thousand times the usual ones, for tests ask more of one project than anybody does, and take their time.
    A server on the tests' database has their master key, unless ``settings`` has one.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("STRATA_")}
    shared = {"STRATA_MASTER_KEY": MASTER_KEY.hex()} if "STRATA_DATABASE_URL" in settings else {}
    return inherited | _ROOMY | shared | dict(settings)


@contextmanager
def served(settings: Mapping[str, str], *arguments: str) -> Iterator[Served]:
    """Run ``strata serve`` (or other ``arguments``) on a free port; afterwards it is stopped by SIGTERM."""
    with (
        ExitStack() as opened,
        nursery().start(PROGRAM, [*(arguments or ("serve",)), "--port", "0"], environment(settings)) as process,
    ):
        lines: Queue[str] = Queue()
        reading = threading.Thread(target=_read, args=(process, lines))
        reading.start()
        try:
            url, greeting = _greeting(lines)
            yield Served(process, url, greeting, opened)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(30)
            reading.join()


def _read(process: Child, lines: Queue[str]) -> None:
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def _greeting(lines: Queue[str]) -> tuple[str, str]:
    said = ""
    while line := lines.get(timeout=60):
        said += line
        if "Strata serves" in said or "Stop with" in said:
            return said[said.index("http://") :].split()[0].removesuffix("/graphql").rstrip("/"), said
    raise AssertionError(f"the server did not get ready: {said}")


def strata(settings: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*STRATA, *arguments], env=environment(settings), capture_output=True, text=True, timeout=60, check=False
    )
