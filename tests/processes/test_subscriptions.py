"""Following a project over each transport, with clients that others wrote and real servers that stop and die."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import httpx
import pytest
from gql import Client, GraphQLRequest
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import ConnectionClosed

from app.domain.events import Event, EventType, cursor_at, version_of
from app.domain.model import Actor, Project
from app.services import environments, identity
from app.services.branching import ForkOptions
from app.services.publishing import publish
from app.storage import changes, db, events
from tests.conftest import Database
from tests.processes.served import Served, served
from tests.processes.sockets import EVENTS, opened

FOLLOW = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def server(database: Database) -> Iterator[Served]:
    with served({"STRATA_DATABASE_URL": database.app_dsn}) as found:
        yield found


@pytest.fixture
async def token(actor: Actor) -> str:
    return await identity.keyring.sign(actor.account_uuid, actor.name, 900)


async def happen(project: Project, type_: EventType = EventType.FREEZE_STARTED, **data: Any) -> int:
    """Have something happen, in this process and not in the server's; return its version."""
    async with db.transaction():
        return await publish(project.id, type_, data=data)


async def cursor_now(project: Project) -> str:
    return cursor_at(project.id, await changes.current_version(project.id))


def transport_of(server: Served, token: str) -> WebsocketsTransport:
    return WebsocketsTransport(
        server.url.replace("http://", "ws://") + "/graphql",
        init_payload={"Authorization": f"Bearer {token}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )


async def test_gql_follows_a_project(server: Served, token: str, project: Project) -> None:
    request = GraphQLRequest(EVENTS, variable_values={"p": project.id, "after": await cursor_now(project)})
    versions = [await happen(project) for _ in range(3)]
    async with Client(transport=transport_of(server, token), fetch_schema_from_transport=False) as session:
        found = session.subscribe(request)
        got = [(await anext(found))["environmentEvents"]["cursor"] for _ in range(3)]
        versions += [await happen(project) for _ in range(3)]
        got += [(await anext(found))["environmentEvents"]["cursor"] for _ in range(3)]
        await found.aclose()
    assert got == [cursor_at(project.id, version) for version in versions]


ROLLOUT = """
    subscription ($env: UUID!, $after: String) {
      rolloutProgress(envUuid: $env, after: $after) {
        cursor type status weight previousWeight step steps nextStepAt reason
        health { environment { requests errors } production { requests } } environment { name }
      }
    }
"""


async def _roll(project: Project, env: str, type_: EventType, status: str, weight: int, **data: Any) -> None:
    @db.atomic()
    async def moved() -> None:
        await db.execute("UPDATE environment SET status = $1, traffic_weight = $2 WHERE uuid = $3", status, weight, env)
        await publish(project.id, type_, env_uuid=UUID(env), data={"status": status, "traffic_weight": weight, **data})

    await moved()


async def test_a_rollout_is_followed_from_where_it_stands_to_its_end(
    server: Served, token: str, actor: Actor, project: Project
) -> None:
    env = str((await environments.fork(actor, project.id, ForkOptions("canary"))).environment.uuid)
    await _roll(project, env, EventType.ROLLOUT_STARTED, "rolling_out", 20)
    got: list[dict[str, Any]] = []
    async with Client(transport=transport_of(server, token), fetch_schema_from_transport=False) as session:
        async for result in session.subscribe(GraphQLRequest(ROLLOUT, variable_values={"env": env})):
            got.append(result["rolloutProgress"])
            if len(got) == 1:
                await _roll(
                    project,
                    env,
                    EventType.ROLLOUT_ADVANCED,
                    "rolling_out",
                    50,
                    previous_traffic_weight=20,
                    step=3,
                    next_step_at="2030-01-01T00:00:00+00:00",
                    health={"environment": {"requests": 5}},
                )
                await happen(project)
                await _roll(project, env, EventType.ROLLOUT_ABORTED, "ready", 0, reason="error rate")
                await _roll(project, env, EventType.ROLLOUT_STARTED, "rolling_out", 5)
    states = [(state["type"], state["status"], state["weight"], state["previousWeight"]) for state in got]
    assert states == [
        (None, "ROLLING_OUT", 20, 5),
        ("ROLLOUT_ADVANCED", "ROLLING_OUT", 50, 20),
        ("ROLLOUT_ABORTED", "READY", 0, 50),
    ]
    assert [(state["step"], state["steps"], state["reason"]) for state in got] == [
        (2, 4, None),
        (3, 4, None),
        (3, 4, "error rate"),
    ]
    assert got[1]["nextStepAt"] == "2030-01-01T00:00:00Z"
    assert got[1]["health"] == {"environment": {"requests": 5, "errors": 0}, "production": {"requests": 0}}
    assert {state["environment"]["name"] for state in got} == {"canary"}
    async with Client(transport=transport_of(server, token), fetch_schema_from_transport=False) as session:
        wanted = {"env": env, "after": got[0]["cursor"]}
        again = [
            result["rolloutProgress"]
            async for result in session.subscribe(GraphQLRequest(ROLLOUT, variable_values=wanted))
        ]
    assert [state["cursor"] for state in again] == [state["cursor"] for state in got[1:]]


async def test_a_rollout_that_is_over_is_told_and_that_is_all(
    server: Served, token: str, actor: Actor, project: Project
) -> None:
    env = str((await environments.fork(actor, project.id, ForkOptions("canary"))).environment.uuid)
    before = await cursor_now(project)
    await _roll(project, env, EventType.ROLLOUT_COMPLETED, "live", 100)
    await happen(project)
    for after, expected in ((None, [None]), (before, ["ROLLOUT_COMPLETED"]), (await cursor_now(project), [])):
        async with opened(server) as socket:
            await (await socket.begin(token)).subscribe("1", ROLLOUT, env=env, after=after)
            for type_ in expected:
                assert (await socket.get())["payload"]["data"]["rolloutProgress"]["type"] == type_
            assert await socket.get() == {"id": "1", "type": "complete"}


@asynccontextmanager
async def streamed(server: Served, token: str, **request: Any) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
    """Give the events of a stream, each with the fields that it has."""
    headers = {"Authorization": f"Bearer {token}", **request.pop("headers", FOLLOW)}
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=20) as client,
        client.stream(request.pop("method", "GET"), headers=headers, **request) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield _events(response)


async def _events(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif fields:
            yield fields
            fields = {}


async def test_rest_tells_events_with_an_id_to_come_back_with(server: Served, token: str, project: Project) -> None:
    address = "/api/sandbox/events"
    start = await cursor_now(project)
    versions = [await happen(project, n=number) for number in range(4)]
    ids = [cursor_at(project.id, version) for version in versions]
    wanted = {"project_id": str(project.id), "after": start}
    async with streamed(server, token, url=address, params=wanted) as found:
        assert 1_000 <= int((await anext(found))["retry"]) <= 5_000
        got = [await anext(found) for _ in range(4)]
    assert [fields["id"] for fields in got] == ids
    assert {fields["event"] for fields in got} == {"freeze.started"}
    told = json.loads(got[2]["data"])
    assert (told["id"], told["type"], told["data"], told["version"]) == (
        ids[2],
        "freeze.started",
        {"n": 2},
        versions[2],
    )
    async with streamed(server, token, url=address, params=wanted, headers={"Last-Event-ID": ids[1]}) as found:
        await anext(found)
        assert [(await anext(found))["id"] for _ in range(2)] == ids[2:]
    chosen = {**wanted, "type": ["freeze.lifted", "plan.changed"]}
    await happen(project, EventType.FREEZE_LIFTED)
    async with streamed(server, token, url=address, params=chosen) as found:
        await anext(found)
        assert (await anext(found))["event"] == "freeze.lifted"


@pytest.mark.parametrize(
    ("params", "status", "error"),
    [
        ({"project_id": "999999999"}, 404, "project_not_found"),
        ({"after": "nonsense"}, 400, "bad_request"),
        ({"after": cursor_at(999_999, 1)}, 409, "resync_required"),
        ({"after": "ahead"}, 409, "resync_required"),
        ({"type": "no.such"}, 400, "bad_request"),
    ],
)
async def test_rest_refuses_before_it_begins(
    server: Served, token: str, project: Project, params: dict[str, str], status: int, error: str
) -> None:
    if params.get("after") == "ahead":
        params = {"after": cursor_at(project.id, 1_000_000)}
    async with httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {token}"}) as client:
        answer = await client.get("/api/sandbox/events", params={"project_id": str(project.id), **params})
    assert (answer.status_code, answer.json()["error"]) == (status, error)


async def test_rest_ends_the_stream_of_a_token_that_expires(server: Served, actor: Actor, project: Project) -> None:
    token = await identity.keyring.sign(actor.account_uuid, actor.name, 2)
    async with streamed(server, token, url="/api/sandbox/events", params={"project_id": str(project.id)}) as found:
        async with asyncio.timeout(8):
            async for _ in found:
                pass


async def test_graphql_streams_where_that_is_preferred(server: Served, token: str, project: Project) -> None:
    after = await cursor_now(project)
    versions = [await happen(project) for _ in range(2)]
    body = {"query": EVENTS, "variables": {"p": project.id, "after": after}}
    async with streamed(server, token, method="POST", url="/graphql", json=body) as found:
        await anext(found)
        got = [await anext(found) for _ in range(2)]
    assert {fields["event"] for fields in got} == {"next"}
    cursors = [json.loads(fields["data"])["data"]["environmentEvents"]["cursor"] for fields in got]
    assert cursors == [cursor_at(project.id, version) for version in versions]
    refused = {"query": EVENTS, "variables": {"p": 999_999_999}}
    async with streamed(server, token, method="POST", url="/graphql", json=refused) as found:
        told = [fields async for fields in found]
    assert [fields.get("event") for fields in told] == [None, "next", "complete"]
    assert json.loads(told[1]["data"])["errors"][0]["extensions"]["code"] == "project_not_found"
    async with httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {token}"}) as client:
        accepted = {"Accept": "application/json, text/event-stream"}
        answer = await client.post("/graphql", json={"query": "{ viewer { __typename } }"}, headers=accepted)
        assert answer.headers["content-type"].startswith("application/json")
        answer = await client.post("/graphql", json=body, headers={"Accept": "application/json"})
        assert "errors" in answer.json()


@pytest.mark.slow
async def test_stopping_ends_each_stream_as_if_there_were_no_more(
    database: Database, token: str, project: Project
) -> None:
    with served({"STRATA_DATABASE_URL": database.app_dsn}) as server:
        params = {"project_id": str(project.id)}
        async with (
            opened(server) as socket,
            streamed(server, token, url="/api/sandbox/events", params=params) as found,
        ):
            await socket.begin(token)
            for number in range(5):
                await socket.subscribe(str(number), EVENTS, p=project.id)
            await anext(found)
            await asyncio.sleep(1)
            server.process.terminate()
            code, _, got = await socket.closed()
            assert sorted(message["id"] for message in got) == ["0", "1", "2", "3", "4"]
            assert {message["type"] for message in got} == {"complete"}
            assert code == 1012
            assert [fields async for fields in found] == []
        assert server.process.wait(10) == 0


class Reconnecting:
    """A client that is cut off all the time, and goes on from its cursor."""

    def __init__(self, project: Project, token: str, cursor: str) -> None:
        self.project, self.token, self.cursor = project, token, cursor
        self.got: list[str] = []

    async def follow(self, server: Served, most: int) -> None:
        """Follow for up to ``most`` events, or as long as the server lives."""
        with suppress(ConnectionClosed, OSError, TimeoutError):
            async with opened(server) as socket:
                await socket.begin(self.token)
                await socket.subscribe("1", EVENTS, p=self.project.id, after=self.cursor)
                for _ in range(most):
                    message = await socket.get(0.3)
                    assert message["type"] == "next"
                    self.cursor = message["payload"]["data"]["environmentEvents"]["cursor"]
                    self.got.append(self.cursor)


async def _committed(project: Project, after: str) -> list[Event]:
    found: list[Event] = []
    version = version_of(project.id, after)
    while page := await events.page(project.id, version, 200):
        found += page
        version = page[-1].version
    return found


@pytest.mark.slow
async def test_received_is_committed_through_200_reconnections(server: Served, token: str, project: Project) -> None:
    start = await cursor_now(project)
    client = Reconnecting(project, token, start)
    done = asyncio.Event()

    async def write() -> None:
        while not done.is_set():
            await happen(project)
            await asyncio.sleep(random.uniform(0, 0.02))

    writing = asyncio.create_task(write())
    for _ in range(200):
        await client.follow(server, random.randint(0, 8))
    done.set()
    await writing
    await client.follow(server, 1_000_000)
    assert client.got == [cursor_at(project.id, event.version) for event in await _committed(project, start)]
    assert len(client.got) > 200


@pytest.mark.slow
async def test_received_is_committed_though_the_server_dies(database: Database, token: str, project: Project) -> None:
    start = await cursor_now(project)
    client = Reconnecting(project, token, start)
    for _ in range(4):
        with served({"STRATA_DATABASE_URL": database.app_dsn}) as server:
            following = asyncio.create_task(client.follow(server, 1_000_000))
            for _ in range(20):
                await happen(project)
            await asyncio.sleep(random.uniform(0, 0.1))
            server.kill()
            await following
        await happen(project)
    with served({"STRATA_DATABASE_URL": database.app_dsn}) as server:
        await client.follow(server, 1_000_000)
    assert client.got == [cursor_at(project.id, event.version) for event in await _committed(project, start)]
    assert len(client.got) == 84
