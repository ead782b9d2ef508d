"""X1: protected values are nowhere but sealed, whatever is asked of both doors, by whomever may ask everything."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import asyncpg
import httpx
import pytest
from litestar import Litestar
from structlog.testing import capture_logs

from app.domain.audit import Action
from app.domain.egress import Allowed
from app.domain.model import Actor, Plan
from app.domain.values import Value
from app.services import documents, egress, operator, projects, sweeping, transfer
from app.storage import scrub
from app.storage.codec import encode
from tests.conftest import Database, MakeActor
from tests.doors import headers_of
from tests.matrix.requests import REQUESTS, Change
from tests.operations import world as operations
from tests.operations.world import Mutation, Rest, World, is_done
from tests.services.canaries import forms_of, hits

NUMBER = 20
GLOBS: list[Value] = ["keys.*.payment_secret", "**.token", "ssn", "deep.*.er", "project:vault", "user:only"]


class Canaries:
    """Values that share a core, by which they are looked for all at once; and all that was heard meanwhile."""

    def __init__(self) -> None:
        self.core = token_hex(12)
        self.values = [f'sk_"live"/{self.core}{number:02}+é<' for number in range(NUMBER)]
        self.heard: list[tuple[str, bytes]] = []
        self._next = iter(self.values * 1_000)

    def one(self) -> str:
        return next(self._next)

    def patch(self) -> dict[str, Value]:
        """Return a merge patch that sets values."""
        return {"keys": {"api": {"payment_secret": self.one()}}, "ssn": self.one()}

    def document(self, n: int = 3) -> dict[str, Value]:
        """Return a document with values wherever some are protected, in every kind."""
        return {
            "n": n,
            "keys": {"api": {"payment_secret": self.one(), "id": 1}, "other": {"payment_secret": [self.one()]}},
            "a": {"token": {self.one(): self.one()}},
            "ssn": self.one(),
            "deep": {"x": {"er": self.one()}},
        }

    def project(self) -> dict[str, Value]:
        keys: Value = {"api": {"payment_secret": self.one()}}
        return {
            "config": {"protected_fields": GLOBS, "flags": {"on": {"value": True}}},
            "vault": self.one(),
            "keys": keys,
        }

    def leaked(self, place: bytes) -> bool:
        return any(form in place for form in self.patterns)

    @property
    def patterns(self) -> list[bytes]:
        return forms_of(self.core)


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> Canaries:
    monkeypatch.setattr(egress, "allowed", Allowed.parse("127.0.0.1"))
    # The list is production's here, from the beginning.
    monkeypatch.setattr(operations, "PROTECTED", {"of": "the environment"})
    return Canaries()


@pytest.fixture
async def client(app: Litestar, canaries: Canaries) -> AsyncIterator[httpx.AsyncClient]:
    """A client of which everything that it is answered is kept."""
    from tests.doors import OwnTask

    async def hear(answer: httpx.Response) -> None:
        await answer.aread()
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        canaries.heard.append((f"{answer.request.method} {answer.request.url}", head.encode() + answer.content))

    transport = OwnTask(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    hooks: Any = {"response": [hear]}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", event_hooks=hooks) as found:
        yield found


async def planted(client: httpx.AsyncClient, actor: Actor, canaries: Canaries) -> World:
    """Return a world with values in production, in its environment, in a checkpoint, a pin and a backup."""
    project = await projects.create(actor, "Vault")
    await operator.set_plan(project.id, Plan.PREMIUM)
    await documents.put(actor, project.id, None, "project", "project", canaries.project())
    await documents.put(actor, project.id, None, "user", "ann", {**canaries.document(), "only": canaries.one()})

    async def lines() -> AsyncIterator[bytes]:
        for key in ("b", "c"):
            yield encode({"kind": "page", "key": key, "data": canaries.document()}) + b"\n"

    await transfer.import_documents(actor, project.id, None, lines())
    client.headers.update(await headers_of(actor))
    world = await World.made(client, actor, project)
    for env, n in ((None, 2), ("env", 1)):
        await documents.put(actor, project.id, env, "page", "a", canaries.document(n))
        await documents.merge(actor, project.id, env, "page", "a", canaries.patch())
    await documents.put(actor, project.id, "env", "page", "own", canaries.document())
    return world


def _with_values(change: Change, canaries: Canaries) -> dict[str, Any]:
    """Return how a request is sent with values in what it writes or compares."""
    call = change.call
    if isinstance(call, Mutation):
        changed: dict[str, Any] = {}
        if call.name == "writeDocument":
            changed = {"patch": {"put": canaries.document()}}
        elif call.name == "checkProtectedField":
            changed = {"value": canaries.one()}
        return changed
    if call.action is Action.WRITE_DOCUMENT:
        if call.method == "PATCH":
            return {"body": canaries.patch()}
        return {"body": canaries.project() if call.route.endswith("/data") else canaries.document()}
    if call.action is Action.IMPORT_DOCUMENTS:
        return {"body": encode({"kind": "page", "key": "b", "data": canaries.document()}) + b"\n"}
    return {}


async def send(change: Change, world: World, canaries: Canaries) -> httpx.Response:
    call: Rest | Mutation = change.call
    return await call.send(world, key=token_hex(8), **_with_values(change, canaries))


async def awkward(world: World, canaries: Canaries) -> None:
    """Ask for what is refused, with values in it: no refusal of a well-formed request repeats them."""
    page = f"/api/projects/{world.project.id}/entities/page/a"
    patches: list[list[dict[str, Any]]] = [
        [{"op": "test", "path": "/keys/api/payment_secret", "value": canaries.one()}],
        [{"op": "move", "from": "/keys", "path": "/shown"}],
        [{"op": "add", "path": "/keys/api/payment_secret/x", "value": canaries.one()}],
        [{"op": "replace", "path": "/nowhere", "value": canaries.one()}],
    ]
    for patch in patches:
        content = json.dumps(patch)
        headers = {"Content-Type": "application/json-patch+json"}
        assert (await world.client.patch(page, content=content, headers=headers)).status_code >= 400
    bodies: list[Any] = [{"keys": {"api": {"payment_secret": {"$protected": True, "x": canaries.one()}}}}]
    bodies += [{"keys": {"api": {"payment_secret": "\0" + canaries.one()}}}]
    for body in bodies:
        assert (await world.client.put(page, json=body)).status_code >= 400
    check = {"env_uuid": str(world.env), "field_path": "title", "value": canaries.one()}
    assert (await world.client.post("/api/sandbox/protected-check", json=check)).status_code == 400
    rule = [{"field": "ssn", "op": "eq", "value": canaries.one()}]
    filtered = f"/api/projects/{world.project.id}/entities/user"
    assert (await world.client.get(filtered, params={"filter": json.dumps(rule)})).status_code == 422


async def _tables(connection: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[tuple[str, bytes]]:
    for (name,) in await connection.fetch("SELECT relname FROM pg_stat_user_tables ORDER BY relname"):
        parts: list[bytes] = []

        async def keep(part: bytes, parts: list[bytes] = parts) -> None:
            parts.append(part)

        await connection.copy_from_table(name, output=keep)
        yield name, b"".join(parts)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path


def _files_with(folder: Path, canaries: Canaries) -> list[str]:
    found = []
    for path in _files(folder):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        if canaries.leaked(content):
            found.append(str(path.relative_to(folder)))
    return found


async def _flushed_folder(database: Database) -> Path:
    """Have PostgreSQL write what it has in memory, and return where; only its own superuser may ask for that."""
    connection = await asyncpg.connect(database.owner_dsn.replace("strata_owner@", "postgres@"))
    try:
        await connection.execute("CHECKPOINT")
        return Path(await connection.fetchval("SHOW data_directory"))
    finally:
        await connection.close()


async def files_with(database: Database, canaries: Canaries) -> list[str]:
    """Look through a dump of every table, and return the files of the database that have a value in them."""
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        async for name, content in _tables(connection):
            assert not canaries.leaked(content), name
            assert hits(canaries.values, content) == [], name
    finally:
        await connection.close()
    if database.owner_dsn == database.app_dsn:
        # Another server's files are not ours to look at.
        return []
    return await asyncio.to_thread(_files_with, await _flushed_folder(database), canaries)


async def everything_asked(client: httpx.AsyncClient, make_actor: MakeActor, canaries: Canaries) -> None:
    """Send every request of both doors, before and after all that change something have been done."""
    world = await planted(client, await make_actor(), canaries)
    await awkward(world, canaries)
    await read_all(world)
    undone: list[str] = []
    for change in CHANGES:
        # In the world that the others have left, if it can be done there, else in a new one.
        if is_done(await send(change, world, canaries)):
            continue
        world = await planted(client, await make_actor(), canaries)
        if change.call.prepare is not None:
            await change.call.prepare(world)
        if not is_done(await send(change, world, canaries)):
            undone.append(change.name)
    assert undone == []
    await read_all(world)


async def read_all(world: World) -> None:
    """Send every request that reads."""
    reads = [request for request in REQUESTS if not request.changes]
    answers = [await request.send(world) for request in reads]
    assert [request.name for request, answer in zip(reads, answers, strict=True) if answer.status_code >= 400] == []


CHANGES = [request for request in REQUESTS if isinstance(request, Change)]


@pytest.mark.slow
async def test_protected_values_are_nowhere(
    database: Database,
    client: httpx.AsyncClient,
    make_actor: MakeActor,
    canaries: Canaries,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.WARNING, "httpx"), capture_logs() as logged:
        await everything_asked(client, make_actor, canaries)
    assert len(canaries.heard) > len(REQUESTS)
    for name, content in canaries.heard:
        assert not canaries.leaked(content), name
        assert hits(canaries.values, content) == [], name
    said = f"{caplog.text}{logged!r}".encode()
    assert not canaries.leaked(said)
    assert hits(canaries.values, said) == []
    assert await files_with(database, canaries) == []


@pytest.mark.slow
async def test_values_from_before_are_nowhere_after_the_sweep(
    database: Database, client: httpx.AsyncClient, make_actor: MakeActor, canaries: Canaries
) -> None:
    actor = await make_actor()
    project = await projects.create(actor, "Vault")
    await operator.set_plan(project.id, Plan.PREMIUM)
    client.headers.update(await headers_of(actor))
    world = await World.made(client, actor, project)
    for env in (None, "env"):
        await documents.put(actor, project.id, env, "page", "a", canaries.document())
    for change in CHANGES:
        if change.call.action in (Action.WRITE_DOCUMENT, Action.PROMOTE, Action.CHECKPOINT):
            await send(change, world, canaries)
    assert await tables_with_any(database, canaries)
    await documents.put(actor, project.id, None, "project", "project", canaries.project())
    while await sweeping.sweep(project.id):
        pass
    await scrub.scrub(database.owner_dsn)
    assert [name for name in await files_with(database, canaries) if not name.startswith("pg_wal/")] == []


async def tables_with_any(database: Database, canaries: Canaries) -> list[str]:
    """Return the tables that have a value in them."""
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        return [name async for name, content in _tables(connection) if canaries.leaked(content)]
    finally:
        await connection.close()
