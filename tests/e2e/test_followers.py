"""The npm clients ``graphql-ws`` and ``graphql-sse`` against a real server."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from app.domain.events import EventType, cursor_at
from app.domain.model import Actor, Project
from app.services import identity
from app.services.publishing import publish
from app.storage import changes, db
from tests.conftest import Database
from tests.e2e.node import needs_node, running
from tests.processes.served import Served, served
from tests.processes.sockets import EVENTS

pytestmark = needs_node
TRANSPORTS = pytest.mark.parametrize("transport", ["ws", "sse"])


@pytest.fixture
def server(database: Database) -> Iterator[Served]:
    with served({"STRATA_DATABASE_URL": database.app_dsn}) as found:
        yield found


async def token_of(actor: Actor, seconds: int = 900) -> str:
    return await identity.keyring.sign(actor.account_uuid, actor.name, seconds)


async def happen(project: Project) -> str:
    async with db.transaction():
        return cursor_at(project.id, await publish(project.id, EventType.FREEZE_STARTED))


@TRANSPORTS
async def test_what_happens_is_told_until_the_server_stops(
    server: Served, actor: Actor, project: Project, transport: str
) -> None:
    start = cursor_at(project.id, await changes.current_version(project.id))
    cursors = [await happen(project) for _ in range(3)]
    variables = json.dumps({"p": project.id, "after": start})
    got = []
    async with running("follow.mjs", transport, server.url, await token_of(actor), EVENTS, variables) as told:
        for _ in range(3):
            got.append((await told.next("next"))[1]["data"]["environmentEvents"]["cursor"])
        cursors += [await happen(project) for _ in range(3)]
        for _ in range(3):
            got.append((await told.next("next"))[1]["data"]["environmentEvents"]["cursor"])
        if transport == "ws":
            await told.next("pong")
        server.process.terminate()
        assert (await told.next("complete", "error"))[0] == "complete"
    assert got == cursors


@TRANSPORTS
async def test_a_refusal_is_an_error_of_the_subscription(server: Served, actor: Actor, transport: str) -> None:
    variables = json.dumps({"p": 999_999_999})
    async with running("follow.mjs", transport, server.url, await token_of(actor), EVENTS, variables) as told:
        kind, value = await told.next("error", "next")
        errors = value if kind == "error" else value["errors"]
        assert errors[0]["extensions"]["code"] == "project_not_found"


@pytest.mark.parametrize(("seconds", "begins"), [(None, False), (3, True)])
async def test_a_bad_token_closes_with_4403(
    server: Served, actor: Actor, project: Project, seconds: int | None, begins: bool
) -> None:
    token = "nonsense" if seconds is None else await token_of(actor, seconds)
    async with running("follow.mjs", "ws", server.url, token, EVENTS, json.dumps({"p": project.id})) as told:
        assert (await told.next("connected", "closed")) == (("connected", None) if begins else ("closed", 4403))
        if begins:
            await asyncio.sleep(0)
            assert await told.next("closed") == ("closed", 4403)
