"""``strata serve --trusted-documents``: only what is listed runs, over every transport."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.model import Actor, Project
from app.services import identity
from tests.conftest import Database
from tests.processes.served import Served, served, strata
from tests.processes.sockets import EVENTS, opened

LISTED = {"events": EVENTS, "name": "query Name { viewer { name } }"}
OTHER = "subscription ($p: Int!) { environmentEvents(projectId: $p) { type } }"


@pytest.fixture
def server(database: Database, tmp_path: Path) -> Iterator[Served]:
    file = tmp_path / "documents.json"
    file.write_text(json.dumps(LISTED))
    with served({"STRATA_DATABASE_URL": database.app_dsn}, "serve", "--trusted-documents", str(file)) as found:
        yield found


async def test_only_what_is_listed_runs(server: Served, actor: Actor, project: Project) -> None:
    token = await identity.keyring.sign(actor.account_uuid, actor.name, 900)
    client = server.client(token)
    assert client.post("/graphql", json={"documentId": "name"}).json() == {"data": {"viewer": {"name": actor.name}}}
    events = {"Accept": "text/event-stream"}
    for headers in ({}, events):
        refused = client.post("/graphql", json={"query": OTHER, "variables": {"p": project.id}}, headers=headers)
        assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (403, "document_not_trusted")
    asked = {"documentId": "events", "variables": {"p": project.id}}
    with client.stream("POST", "/graphql", json=asked, headers=events) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
    async with opened(server) as socket:
        await socket.begin(token)
        await socket.subscribe("1", OTHER, p=project.id)
        refusal = await socket.get()
        assert (refusal["type"], refusal["payload"][0]["extensions"]["code"]) == ("error", "document_not_trusted")
        await socket.send({"id": "2", "type": "subscribe", "payload": asked})
        await socket.send({"id": "3", "type": "subscribe", "payload": {"documentId": 5}})
        assert (await socket.closed())[0] == 4400


def test_a_list_that_cannot_be_used_is_refused_in_words(database: Database, tmp_path: Path) -> None:
    settings = {"STRATA_DATABASE_URL": database.app_dsn}
    file = tmp_path / "documents.json"
    missing = strata(settings, "serve", "--port", "0", "--trusted-documents", str(file))
    assert (missing.returncode, "No such file" in missing.stderr) == (1, True)
    for text, said in (("[]", "neither"), ('{"a": "{ nothing }"}', "Cannot query field 'nothing'")):
        file.write_text(text)
        done = strata(settings, "serve", "--port", "0", "--trusted-documents", str(file))
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
        assert "Traceback" not in done.stderr
