"""Processes that run ``strata`` without importing it each: they are forked from one that has.

As real as any other: of their own process, environment and files. ``python -m tests.processes.nursery FD`` is the one
they are forked from; it ends, and all of them with it, when the other end of its socket is closed.
"""

import atexit
import gc
import importlib
import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import IO, Any, Final, NoReturn, Self

_MESSAGE: Final = 65_536


class Child:
    """A process of the nursery, in the words of ``subprocess.Popen``."""

    def __init__(self, pid: int, stdout: IO[str]) -> None:
        self._ended = threading.Event()
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None

    def ended(self, returncode: int) -> None:
        """Note how the process ended."""
        self.returncode = returncode
        self._ended.set()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait(60)
        self.stdout.close()


class Nursery:
    """The process that others are forked from, as the tests see it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.processes.nursery", str(theirs.fileno())]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        self._asking = threading.Lock()
        self._born = queue.SimpleQueue[int]()
        self._children: dict[int, Child] = {}
        self._ended: dict[int, int] = {}
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        atexit.register(self.close)

    def close(self) -> None:
        """End it, and all that it started."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._process.wait(30)

    def start(self, program: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Run the ``main`` of a module with ``arguments``; its standard error is that of the tests."""
        read, write = os.pipe()
        asked = {"program": program, "arguments": list(arguments), "environment": dict(environment)}
        with self._asking:
            socket.send_fds(self._socket, [json.dumps(asked).encode()], [write, 2])
            child = Child(self._born.get(timeout=60), os.fdopen(read))
        os.close(write)
        self._children[child.pid] = child
        self._tell(child.pid)
        return child

    def _read(self) -> None:
        while message := self._socket.recv(_MESSAGE):
            pid, returncode = json.loads(message)
            if returncode is None:
                self._born.put(pid)
            else:
                self._ended[pid] = returncode
                self._tell(pid)

    def _tell(self, pid: int) -> None:
        # Whichever comes second, the child's place here or the news of its end, tells it.
        if pid in self._children and pid in self._ended:
            self._children.pop(pid).ended(self._ended.pop(pid))


@cache
def nursery() -> Nursery:
    """Return this process's nursery; it is made when the first needs it."""
    return Nursery()


def _serve(theirs: socket.socket) -> str:
    """Fork whenever that is asked for; return in the child, with the module that it is to run."""
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking.fileno())
    running: set[int] = set()
    while True:
        ready, _, _ = select.select([theirs, woken], [], [])
        if woken in ready:
            woken.recv(_MESSAGE)
            _report_ended(theirs, running)
        if theirs in ready:
            message, files, _, _ = socket.recv_fds(theirs, _MESSAGE, 2)
            if not message:
                _end(running)
            pid = os.fork()
            if not pid:
                return _become(json.loads(message), files)
            running.add(pid)
            for file in files:
                os.close(file)
            theirs.send(json.dumps([pid, None]).encode())


def _end(running: Iterable[int]) -> NoReturn:
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    sys.exit()


def _report_ended(theirs: socket.socket, running: set[int]) -> None:
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            running.discard(pid)
            theirs.send(json.dumps([pid, os.waitstatus_to_exitcode(status)]).encode())


def _become(asked: dict[str, Any], files: Sequence[int]) -> str:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, file in enumerate(files, 1):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = ["strata", *asked["arguments"]]
    program: str = asked["program"]
    return program


def main() -> None:
    """Fork processes until the tests have ended; in each of those, run what it is for."""
    importlib.import_module("app.main")
    importlib.import_module("app.cli")
    gc.collect()
    gc.freeze()
    program = _serve(socket.socket(fileno=int(sys.argv[1])))
    importlib.import_module(program).main()


if __name__ == "__main__":
    main()
