"""ASGI servers side by side on loopback: HTTP, WebSockets, start and shutdown.

By hand: ``python -m tests.bench.asgi_servers`` (about 3 minutes, Linux, better with ``wrk`` installed).
Every server runs the same application in a process of its own, one after another, three rounds.
"""

import asyncio
import contextlib
import importlib.util
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import uvloop

from tests.bench.asgi_clients import (
    ClosedLoop,
    broadcast,
    closed_loop,
    fetch,
    handshake,
    load_http,
    masked,
    subscribed,
)
from tests.bench.asgi_served import EMBEDDED, ONE_WORKER, UVICORN_SOCKETS

ROUNDS = 3
HTTP_SECONDS = 4.0
ECHO_CONNECTIONS, ECHO_SECONDS = 200, 2.5
SUBSCRIBERS, BROADCASTS, CLOSING_SUBSCRIBERS = 1_000, 10, 100
SERVERS = [*UVICORN_SOCKETS, EMBEDDED, ONE_WORKER]
HTTP_SERVERS = ["uvicorn sansio", EMBEDDED, ONE_WORKER]

figures: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))


def process_tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in process_tree(int(child)))]


class Running:
    """One server process, ready to answer; ``start_seconds`` is the time from exec to its first answer."""

    def __init__(self, name: str, closing_first: bool = False) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        command = [sys.executable, "-m", "tests.bench.asgi_served", name, str(self.port)]
        began = time.perf_counter()
        self.process = subprocess.Popen(
            command + ["--closing-first"] * closing_first,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not self.answers():
            if self.process.poll() is not None or time.perf_counter() > began + 20:
                self.stop()
                raise RuntimeError(f"{' '.join(command)} does not answer; run it by hand to see why")
            time.sleep(0.005)
        self.start_seconds = time.perf_counter() - began

    def answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 2) as connection,
        ):
            connection.sendall(b"GET /json HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return connection.recv(15).startswith(b"HTTP/1.1 200")
        return False

    def cpu_seconds(self) -> float:
        stats = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1] for pid in process_tree(self.process.pid)]
        return sum(int(ticks) for stat in stats for ticks in stat.split()[11:13]) / os.sysconf("SC_CLK_TCK")

    def memory_kb(self) -> float:
        pages = [Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in process_tree(self.process.pid)]
        return sum(map(int, pages)) * os.sysconf("SC_PAGE_SIZE") / 1024

    def stop(self) -> None:
        """Send SIGTERM and wait; whatever of the process tree is left after 10 s is killed."""
        if self.process.poll() is None:
            self.process.terminate()
            self.wait()

    def wait(self) -> None:
        tree = process_tree(self.process.pid) if self.process.poll() is None else []
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            for pid in reversed(tree):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()


@contextlib.contextmanager
def running(name: str, closing_first: bool = False) -> Iterator[Running]:
    server = Running(name, closing_first)
    try:
        yield server
    finally:
        server.stop()


async def measure_http(name: str) -> None:
    with running(name) as server:
        note("start to first answer, s", name, server.start_seconds)
        await load_http(server.port, 1)
        cpu, began = server.cpu_seconds(), time.perf_counter()
        load = await load_http(server.port, HTTP_SECONDS)
        cpu, took = server.cpu_seconds() - cpu, time.perf_counter() - began
    note("HTTP requests/s", name, load.per_second)
    note("HTTP p50, ms", name, load.p50_ms)
    note("HTTP p99, ms", name, load.p99_ms)
    note("HTTP CPU s per 1,000", name, cpu / load.requests * 1e3)
    note("HTTP cores used", name, cpu / took)


async def measure_feed(server: Running, name: str) -> None:
    async with subscribed(server.port, 50) as clients:
        await broadcast(server.port, clients)
    await asyncio.sleep(0.3)
    memory, cpu, began = server.memory_kb(), server.cpu_seconds(), time.perf_counter()
    async with subscribed(server.port, SUBSCRIBERS) as clients:
        note("WS connect 1,000, s", name, time.perf_counter() - began)
        note("WS connect CPU ms each", name, server.cpu_seconds() - cpu)
        await asyncio.sleep(0.3)
        note("WS memory each, kB", name, (server.memory_kb() - memory) / SUBSCRIBERS)
        cpu = server.cpu_seconds()
        for _ in range(BROADCASTS):
            note("WS broadcast to 1,000, ms", name, await broadcast(server.port, clients) * 1e3)
        sent = BROADCASTS * SUBSCRIBERS
        note("WS broadcast CPU us per message", name, (server.cpu_seconds() - cpu) / sent * 1e6)
    await asyncio.sleep(0.3)


async def measure_sockets(name: str) -> None:
    with running(name) as server:
        note("start to first answer, s", name, server.start_seconds)
        await measure_feed(server, name)
        frame = masked(1, b"x" * 100)
        clients = [ClosedLoop(handshake("/echo"), frame, 102) for _ in range(ECHO_CONNECTIONS)]
        cpu = server.cpu_seconds()
        load = await closed_loop(server.port, clients, ECHO_SECONDS)
        cpu = server.cpu_seconds() - cpu
    note("WS echo messages/s", name, load.per_second)
    note("WS echo p50, ms", name, load.p50_ms)
    note("WS echo p99, ms", name, load.p99_ms)
    note("WS echo CPU s per 1,000", name, cpu / load.requests * 1e3)


async def describe_shutdown(name: str, closing_first: bool) -> str:
    """Send SIGTERM with 100 subscribers and one request in flight; say what the clients saw."""
    with running(name, closing_first) as server:
        async with subscribed(server.port, CLOSING_SUBSCRIBERS) as clients:
            late = asyncio.create_task(fetch(server.port, "/slow"))
            await asyncio.sleep(0.3)
            began = time.perf_counter()
            server.process.terminate()
            await asyncio.wait([client.closed for client in clients], timeout=10)
            closed = time.perf_counter() - began
            answer = (await asyncio.gather(late, return_exceptions=True))[0]
            await asyncio.to_thread(server.wait)
            took = time.perf_counter() - began
        codes = Counter(client.code if client.closed.done() else "left open" for client in clients)
        completes = sum(client.last_text == b"complete" for client in clients)
        drained = isinstance(answer, bytes) and answer.endswith(b"late but whole")
        return (
            f"complete frames {completes}/{len(clients)}, close codes {dict(codes)} in {closed:.2f} s, "
            f"request in flight {'drained' if drained else 'lost'}, "
            f"exit {server.process.returncode} in {took:.2f} s"
        )


def note(metric: str, name: str, value: float) -> None:
    figures[metric][name].append(value)


def readable(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def print_table() -> None:
    print("median (min to max)".ljust(31), *(name.rjust(23) for name in SERVERS))
    for metric, by_server in figures.items():
        cells = []
        for name in SERVERS:
            values = by_server[name] or [float("nan")]
            spread = f"({readable(min(values))}-{readable(max(values))})"
            cells.append(f"{readable(statistics.median(values))} {spread}" if by_server[name] else "-")
        print(metric.ljust(31), *(cell.rjust(23) for cell in cells))


async def main() -> None:
    servers = [name for name in SERVERS if name != "uvicorn wsproto" or importlib.util.find_spec("wsproto")]
    began = time.perf_counter()
    for turn in range(ROUNDS):
        for name in servers[turn:] + servers[:turn]:
            print(f"round {turn + 1}: {name}", file=sys.stderr)
            if name in HTTP_SERVERS:
                await measure_http(name)
            await measure_sockets(name)
    print_table()
    for name in servers:
        print(f"\nSIGTERM, {name}: {await describe_shutdown(name, closing_first=False)}")
        if name != ONE_WORKER:
            print(f"  application closes first: {await describe_shutdown(name, closing_first=True)}")
    print(f"\ntook {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    uvloop.run(main())
