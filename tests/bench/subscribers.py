"""One rollout, followed by 1,000 WebSockets on one process: how soon all have an event, and what each costs.

Run by hand: ``python -m tests.bench.subscribers``. Asked: all within a second of the commit, at most 60 KB
of memory each. The clients share the machine with the server; their side of the work is in the times.
"""

import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import Final, cast
from uuid import UUID

from app.domain.events import EventType
from app.domain.model import Actor
from app.domain.values import Value
from app.services import environments, identity, projects
from app.services.branching import ForkOptions
from app.services.publishing import publish
from app.storage import db, master_key, wakes
from app.storage.master_key import MasterKey
from tests.bench.asgi_clients import masked, request
from tests.bench.document_read import new_actor, temporary_cluster
from tests.conftest import MASTER_KEY
from tests.processes.served import Served, served

SUBSCRIBERS: Final = 1_000
EVENTS: Final = 10
QUERY: Final = """
    subscription ($env: UUID!) {
      rolloutProgress(envUuid: $env) { cursor type status weight previousWeight step steps nextStepAt reason }
    }
"""
_TEXT, _PING, _PONG = 1, 9, 10


def frame(text: str) -> bytes:
    """Return a client's text frame of any length up to 64 KB; the mask is zero."""
    payload = text.encode()
    if len(payload) < 126:
        return masked(_TEXT, payload)
    return bytes([0x80 | _TEXT, 0x80 | 126]) + len(payload).to_bytes(2, "big") + bytes(4) + payload


class Subscriber(asyncio.Protocol):
    """One WebSocket: introduces itself, subscribes, and notes when the server's messages come."""

    def __init__(self, token: str, env_uuid: str) -> None:
        upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        bearer, protocol = f"Authorization: Bearer {token}", "Sec-WebSocket-Protocol: graphql-transport-ws"
        self._opening = request("/graphql", *upgrade, key, bearer, protocol)
        asked = {"query": QUERY, "variables": {"env": env_uuid}}
        self._messages = [
            frame(json.dumps({"type": "connection_init"})),
            frame(json.dumps({"id": "1", "type": "subscribe", "payload": asked})),
        ]
        self._buffer = b""
        self._upgraded = False
        self.got: list[float] = []
        self.changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._opening)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded:
            head, found, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            self._upgraded = True
            self.transport.write(b"".join(self._messages))
        while len(self._buffer) >= 2:
            size, start = self._buffer[1], 2
            if size == 126:
                size, start = int.from_bytes(self._buffer[2:4], "big"), 4
            if len(self._buffer) < start + size:
                return
            payload = self._buffer[start : start + size]
            if self._buffer[0] & 0x0F == _PING:
                self.transport.write(masked(_PONG, payload))
            elif b'"next"' in payload:
                self.got.append(time.perf_counter())
                self.changed.set()
            self._buffer = self._buffer[start + size :]


async def all_have(subscribers: list[Subscriber], number: int) -> float:
    """Return when the last of them had its message of that number."""
    for subscriber in subscribers:
        async with asyncio.timeout(60):
            while len(subscriber.got) < number:
                subscriber.changed.clear()
                await subscriber.changed.wait()
    return max(subscriber.got[number - 1] for subscriber in subscribers)


def memory(server: Served) -> int:
    """Return the resident memory of the server, in KB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


async def connected(server: Served, token: str, env_uuid: str, number: int) -> list[Subscriber]:
    """Connect, so many at a time as a server may expect, and return when all have the state at the beginning."""
    loop, port = asyncio.get_running_loop(), int(server.url.rsplit(":", 1)[1])
    made: list[Subscriber] = []
    for _ in range(0, number, 50):
        some = [Subscriber(token, env_uuid) for _ in range(min(50, number - len(made)))]
        for subscriber in some:
            await loop.create_connection(lambda subscriber=subscriber: subscriber, "127.0.0.1", port)  # type: ignore[misc]
        await all_have(some, 1)
        made += some
    return made


async def advance(project_id: int, env_uuid: str, weight: int) -> float:
    """Publish a step of the rollout, and return when it was committed."""
    data: dict[str, Value] = {
        "status": "rolling_out",
        "traffic_weight": weight,
        "previous_traffic_weight": weight - 1,
        "step": 1,
    }

    @db.atomic()
    async def step() -> None:
        await publish(project_id, EventType.ROLLOUT_ADVANCED, env_uuid=UUID(env_uuid), data=data)

    await step()
    return time.perf_counter()


async def rollout(actor: Actor) -> tuple[int, str]:
    """Return a project, and an environment of it that is being rolled out."""
    project = await projects.create(actor, "Shop")
    env_uuid = (await environments.fork(actor, project.id, ForkOptions("canary"))).environment.uuid
    await db.execute("UPDATE environment SET status = 'rolling_out' WHERE uuid = $1", env_uuid)
    return project.id, str(env_uuid)


async def measure(server: Served, actor: Actor) -> None:
    token = await identity.keyring.sign(actor.account_uuid, actor.name, 900)
    _, warm = await rollout(actor)
    for subscriber in await connected(server, token, warm, 50):
        subscriber.transport.close()
    project_id, env_uuid = await rollout(actor)
    before, began = memory(server), time.perf_counter()
    subscribers = await connected(server, token, env_uuid, SUBSCRIBERS)
    took = time.perf_counter() - began
    each = (memory(server) - before) / SUBSCRIBERS
    print(f"connecting {SUBSCRIBERS}: {took:.1f} s; memory of each {each:.0f} KB (asked <= 60)")
    lasts = []
    for number in range(EVENTS):
        committed = await advance(project_id, env_uuid, number + 1)
        lasts.append(await all_have(subscribers, number + 2) - committed)
        await asyncio.sleep(0.2)
    print(f"all have an event after {statistics.median(lasts):.2f} s, at worst {max(lasts):.2f} s (asked <= 1)")
    each = (memory(server) - before) / SUBSCRIBERS
    print(f"memory of each after {EVENTS} events {each:.0f} KB")
    for subscriber in subscribers:
        subscriber.transport.close()


async def run(server: Served, dsn: str) -> None:
    await db.open_pool(dsn, 2)
    await identity.prepare()
    try:
        await measure(server, await new_actor())
    finally:
        await wakes.sent()
        await db.close_pool()


def main() -> None:
    with temporary_cluster() as cluster:
        master_key.use(MasterKey(MASTER_KEY))
        with served({"STRATA_DATABASE_URL": cluster.app_dsn}) as server:
            asyncio.run(run(server, cluster.app_dsn))


if __name__ == "__main__":
    main()
