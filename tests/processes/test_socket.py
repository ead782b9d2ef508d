"""The protocol ``graphql-transport-ws`` on real sockets: its order, its codes, and who may stay for how long."""

import asyncio
import socket as socketlib
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from app.domain.events import EventType
from app.domain.model import Actor, Project, Role, Scope
from app.services import api_keys, documents, identity, members
from app.services.publishing import publish
from app.storage import db
from app.storage import members as roster
from app.storage import projects as stored
from tests.conftest import Database, MakeActor
from tests.processes.served import Served, served
from tests.processes.sockets import EVENTS, Socket, opened

TCP_CLOSE = 7
INIT: dict[str, Any] = {"type": "connection_init"}


@pytest.fixture(scope="module")
def server(database: Database) -> Iterator[Served]:
    with served({"STRATA_DATABASE_URL": database.app_dsn}) as found:
        yield found


async def token_of(actor: Actor, seconds: int = 900) -> str:
    return await identity.keyring.sign(actor.account_uuid, actor.name, seconds)


@pytest.fixture
async def token(actor: Actor) -> str:
    return await token_of(actor)


async def happen(project: Project, type_: EventType = EventType.FREEZE_STARTED, **data: Any) -> None:
    """Have something happen, in this process and not in the server's."""
    async with db.transaction():
        await publish(project.id, type_, env_uuid=project.production_uuid, data=data)


async def following(socket: Socket, project: Project, name: str = "1") -> Socket:
    """Subscribe to the project's events, and return when that has begun."""
    await socket.subscribe(name, EVENTS, p=project.id)
    for _ in range(200):
        await happen(project)
        try:
            await socket.get(0.1)
        except TimeoutError:
            continue
        return socket
    raise AssertionError("no event came")


SUBSCRIBE = {
    "id": "1",
    "type": "subscribe",
    "payload": {"query": "subscription { environmentEvents(projectId: 1) { cursor } }"},
}


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([SUBSCRIBE], 4401),
        ([INIT], 4401),
        ([{**INIT, "payload": {"Authorization": 5}}], 4401),
        ([{**INIT, "payload": {"authorization": "Bearer nonsense"}}], 4403),
        ([{**INIT, "payload": {"authorization": "Basic YTpi"}}], 4403),
        ([{**INIT, "payload": [1]}], 4400),
        ([{"type": "start"}], 4400),
        ([{"no": "type"}], 4400),
        (["no JSON"], 4400),
        (["[]"], 4400),
        ([b'{"type": "ping"}'], 4400),
        (['{"type": "ping", "type": "pong"}'], 4400),
        (["[" * 10_000], 4400),
        (["x" * 70_000], 1009),
    ],
)
async def test_what_the_server_does_not_take(server: Served, messages: list[Any], code: int) -> None:
    async with opened(server) as socket:
        await socket.send(*messages)
        assert (await socket.closed())[0] == code


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (INIT, 4429),
        ({"type": "subscribe", "payload": {"query": "{ viewer }"}}, 4400),
        ({"type": "subscribe", "id": "", "payload": {"query": "{ viewer }"}}, 4400),
        ({"type": "subscribe", "id": "x" * 129, "payload": {"query": "{ viewer }"}}, 4400),
        ({"type": "subscribe", "id": 1, "payload": {"query": "{ viewer }"}}, 4400),
        ({"type": "subscribe", "id": "1"}, 4400),
        ({"type": "subscribe", "id": "1", "payload": {"query": 1}}, 4400),
        ({"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "variables": [1]}}, 4400),
    ],
)
async def test_what_it_does_not_take_later(server: Served, token: str, message: Any, code: int) -> None:
    async with opened(server) as socket:
        await (await socket.begin(token)).send(message)
        assert (await socket.closed())[0] == code


async def test_one_name_is_for_one_subscription(server: Served, token: str, project: Project) -> None:
    async with opened(server) as socket:
        await following(await socket.begin(token), project)
        await socket.subscribe("1", EVENTS, p=project.id)
        assert (await socket.closed())[0] == 4409


async def test_a_name_is_free_again(server: Served, token: str, project: Project) -> None:
    async with opened(server) as socket:
        await following(await socket.begin(token), project)
        await socket.send({"id": "1", "type": "complete"}, {"id": "unknown", "type": "complete"})
        await following(socket, project)


@pytest.mark.slow
async def test_who_does_not_introduce_himself_is_sent_away(server: Served) -> None:
    began = time.monotonic()
    async with opened(server) as socket:
        await socket.send({"type": "ping", "payload": {"n": 1}})
        assert await socket.get() == {"type": "pong", "payload": {"n": 1}}
        assert (await socket.closed())[0] == 4408
    assert 4.5 < time.monotonic() - began < 6.5


async def test_protocols_of_old_are_not_spoken(server: Served) -> None:
    async with opened(server, "graphql-ws") as socket:
        assert socket.connection.subprotocol is None
        assert (await socket.closed())[0] == 4406


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_pages_of_others_get_no_connection(server: Served, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with opened(server, origin=origin):
            pass
    assert refused.value.response.status_code == 403


async def test_the_header_lets_in_as_well(server: Served, token: str, project: Project) -> None:
    async with opened(server, additional_headers={"Authorization": f"Bearer {token}"}, origin=server.url) as socket:
        await socket.send(INIT)
        assert await socket.get() == {"type": "connection_ack"}
        await following(socket, project)


async def test_a_connection_has_so_many_subscriptions(server: Served, token: str, project: Project) -> None:
    async with opened(server) as socket:
        await socket.begin(token)
        for number in range(21):
            await socket.subscribe(str(number), EVENTS, p=project.id)
        refused = await socket.get()
        assert (refused["id"], refused["type"]) == ("20", "error")
        assert refused["payload"][0]["extensions"]["code"] == "too_many_subscriptions"
        told: set[str] = set()
        async with asyncio.timeout(10):
            while len(told) < 20:
                await happen(project)
                with suppress(TimeoutError):
                    while True:
                        told.add((await socket.get(0.2))["id"])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ viewer { __typename } }", "graphql_invalid"),
        ('mutation { createProject(input: {name: "x"}) { __typename } }', "graphql_invalid"),
        ("subscription {", "graphql_parse_failed"),
        ("subscription { nothing }", "graphql_invalid"),
        ("subscription { environmentEvents(projectId: 999999999) { cursor } }", "project_not_found"),
        ('subscription { environmentEvents(projectId: %d, after: "x") { cursor } }', "bad_request"),
        ('subscription { environmentEvents(projectId: %d, after: "WzEsIDFd") { cursor } }', "resync_required"),
        (
            'subscription { rolloutProgress(envUuid: "00000000-0000-4000-8000-000000000000") { cursor } }',
            "environment_not_found",
        ),
    ],
)
async def test_refusals_end_one_subscription_only(
    server: Served, token: str, project: Project, query: str, code: str
) -> None:
    async with opened(server) as socket:
        await socket.begin(token)
        await socket.subscribe("1", query % project.id if "%d" in query else query)
        refused = await socket.get()
        assert (refused["id"], refused["type"]) == ("1", "error")
        assert refused["payload"][0]["extensions"]["code"] == code
        await following(socket, project)


async def test_a_stranger_hears_nothing(server: Served, make_actor: MakeActor, project: Project) -> None:
    async with opened(server) as socket:
        await socket.begin(await token_of(await make_actor()))
        await socket.subscribe("1", EVENTS, p=project.id)
        assert (await socket.get())["payload"][0]["extensions"]["code"] == "project_not_found"


async def test_a_token_that_expires_ends_the_connection(server: Served, actor: Actor, project: Project) -> None:
    async with opened(server) as socket:
        await following(await socket.begin(await token_of(actor, 3)), project)
        began = time.monotonic()
        code, reason, _ = await socket.closed()
        assert code == 4403
        assert "expired" in reason
        assert time.monotonic() - began < 4


async def _closes_soon(socket: Socket, project: Project, told_for: float = 0) -> None:
    """The connection is closed within five seconds; what happens from ``told_for`` seconds on is not told."""
    began = time.monotonic()
    await asyncio.sleep(told_for)
    marked = asyncio.create_task(happen(project, EventType.FREEZE_LIFTED))
    code, _, got = await socket.closed()
    await marked
    assert code == 4403
    assert time.monotonic() - began < 5
    told = [message["payload"]["data"] for message in got if message["type"] == "next" and message["payload"]["data"]]
    assert all(data["environmentEvents"]["type"] != "FREEZE_LIFTED" for data in told)


async def test_a_revoked_key_ends_the_connection(server: Served, actor: Actor, project: Project) -> None:
    made = await api_keys.create(actor, project.id, "key", [Scope.READ])
    async with opened(server) as socket:
        await following(await socket.begin(made.secret or ""), project)
        await api_keys.revoke(actor, project.id, made.key.uuid)
        await _closes_soon(socket, project)


async def test_a_session_that_ends_ends_the_connection(server: Served, project: Project, actor: Actor) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        account = {"email": f"{project.id}-socket@example.com", "password": "correct horse"}
        (await client.post("/api/auth/register", json=account)).raise_for_status()
        token = (await client.post("/api/auth/login", json=account)).json()["access_token"]
        own = Project(**(await _project_of(client, token)))
        async with opened(server) as socket:
            await following(await socket.begin(token), own)
            headers = {"Authorization": f"Bearer {token}"}
            (await client.post("/api/auth/logout", headers=headers)).raise_for_status()
            await _closes_soon(socket, own, 1.1)


async def _project_of(client: httpx.AsyncClient, token: str) -> dict[str, Any]:
    made = await client.post("/api/projects", json={"name": "Own"}, headers={"Authorization": f"Bearer {token}"})
    found = await stored.get(made.json()["id"])
    assert found is not None
    return {name: getattr(found, name) for name in found.__dataclass_fields__}


@pytest.mark.parametrize("by_itself", [False, True])
async def test_a_member_removed_ends_the_connection(
    server: Served, make_actor: MakeActor, actor: Actor, project: Project, by_itself: bool
) -> None:
    member = await make_actor()
    await roster.add(project.id, member.account_uuid, Role.VIEWER, None)
    async with opened(server) as socket:
        await following(await socket.begin(await token_of(member)), project)
        await members.remove(member if by_itself else actor, project.id, member.account_uuid)
        await _closes_soon(socket, project)


async def test_a_member_gone_without_a_word_ends_the_connection(
    server: Served, make_actor: MakeActor, project: Project
) -> None:
    member = await make_actor()
    await roster.add(project.id, member.account_uuid, Role.VIEWER, None)
    async with opened(server) as socket:
        await following(await socket.begin(await token_of(member)), project)
        await db.execute("DELETE FROM member WHERE account_uuid = $1", member.account_uuid)
        await _closes_soon(socket, project, 1.1)


async def test_each_event_shows_what_is_so_then(server: Served, actor: Actor, token: str, project: Project) -> None:
    query = "subscription ($p: Int!) { environmentEvents(projectId: $p) { environment { document { data } } } }"
    async with opened(server) as socket:
        await socket.begin(token)
        await socket.subscribe("1", query, p=project.id)
        await asyncio.sleep(0.5)
        for number in range(5):
            await documents.put(actor, project.id, None, "project", "project", {"n": number})
            shown = (await socket.get())["payload"]["data"]["environmentEvents"]["environment"]["document"]["data"]
            assert shown == {"n": number}


@pytest.mark.slow
async def test_who_reads_nothing_is_let_go_and_the_others_are_not(server: Served, token: str, project: Project) -> None:
    deaf = socketlib.socket()
    deaf.setsockopt(socketlib.SOL_SOCKET, socketlib.SO_RCVBUF, 4_096)
    deaf.connect(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
    deaf.setblocking(False)
    query = "subscription ($p: Int!) { environmentEvents(projectId: $p) { type data } }"
    async with opened(server) as hearing, opened(server, sock=deaf, max_queue=1) as socket:
        await following(await hearing.begin(token), project)
        await socket.begin(token)
        for number in range(20):
            await socket.subscribe(str(number), query, p=project.id)
        await asyncio.sleep(1)
        before = _memory(server)
        for _ in range(20):
            await happen(project, EventType.FREEZE_LIFTED, filling="x" * 50_000)
            while (await hearing.get())["payload"]["data"]["environmentEvents"]["type"] != "FREEZE_LIFTED":
                pass
        assert _memory(server) - before < 20_000
        async with asyncio.timeout(40):
            while deaf.getsockopt(socketlib.IPPROTO_TCP, socketlib.TCP_INFO, 1)[0] != TCP_CLOSE:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
        await following(hearing, project, "2")
        socket.connection.transport.abort()


def _memory(server: Served) -> int:
    """Return the resident memory of the server, in KB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
