"""One key, one effect: repeated, at once, by others, after crashes and refusals, through both doors."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from app.domain.audit import Action
from app.domain.errors import IdempotencyInProgress, InvalidIdempotencyKey
from app.domain.model import Role
from app.services import access, calls, documents, environments, idempotency
from app.services.branching import ForkOptions
from app.services.calls import IdempotencyKey
from app.storage import db
from tests.conftest import Database, MakeActor
from tests.doors import headers_of
from tests.operations.test_recorded import add_member, all_rows
from tests.operations.world import CALLS, MUTATIONS, REST, Call, Rest, World, is_done

Contents = Callable[[], Awaitable[Mapping[str, str]]]
REPLAYED = "Idempotency-Replayed"


def rest(action: Action) -> Rest:
    return next(call for call in REST if call.action is action)


def shown(answer: httpx.Response) -> Any:
    """Return what an answer says, without what it may say once only."""
    if not answer.content:
        return None
    body = answer.json()
    return {name: value for name, value in body.items() if name not in ("key", "token", "secret", "notice")}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
async def test_a_repeated_call_is_answered_alike_and_done_once(world: World, call: Call, contents: Contents) -> None:
    key = uuid4().hex
    first = await call.send(world, key)
    assert is_done(first), first.text
    assert REPLAYED not in first.headers
    before = await contents()
    for _ in range(2):
        again = await call.send(world, key)
        assert (again.status_code, shown(again)) == (first.status_code, shown(first))
        assert again.headers[REPLAYED] == "true"
        assert again.headers.get("ETag") == first.headers.get("ETag")
    assert await contents() == before


@pytest.mark.parametrize("action", [Action.CREATE_PROJECT, Action.WRITE_DOCUMENT, Action.CREATE_API_KEY])
async def test_another_body_is_refused_and_changes_nothing(world: World, action: Action, contents: Contents) -> None:
    call, key = rest(action), uuid4().hex
    assert is_done(await call.send(world, key))
    before = await contents()
    answer = await call.send(world, key, body={**call.body(world), "name": "another"})
    assert (answer.status_code, answer.json()["error"]) == (422, "idempotency_key_reused")
    assert await contents() == before


async def test_another_address_condition_or_environment_is_another_request(world: World, contents: Contents) -> None:
    put = next(call for call in REST if call.name.startswith("PUT") and "entities" in call.name)
    key = uuid4().hex
    assert is_done(await put.send(world, key))
    before = await contents()
    patch = next(call for call in REST if call.name.startswith("PATCH") and "entities" in call.name)
    others = [
        replace(put, route=put.route.replace("{key}", "b")),
        replace(put, query=lambda _: {"path": "m"}),
        replace(put, query=lambda _: {"env": "env"}),
        replace(patch, body=put.body),
    ]
    answers = [await call.send(world, key) for call in others]
    answers.append(await put.send(world, key, **{"X-AgentStack-Env": "env"}))
    answers.append(await put.send(world, key, **{"If-Match": "*"}))
    assert [answer.status_code for answer in answers] == [422] * 6
    assert {answer.json()["error"] for answer in answers} == {"idempotency_key_reused"}
    assert await contents() == before


async def test_the_same_key_of_another_caller_or_operation_is_another_key(
    world: World, make_actor: MakeActor, client: httpx.AsyncClient
) -> None:
    key, project = uuid4().hex, rest(Action.CREATE_PROJECT)
    first = (await project.send(world, key)).json()
    assert is_done(await rest(Action.BACKUP_PRODUCTION).send(world, key))
    client.headers.update(await headers_of(await make_actor()))
    answer = await project.send(world, key)
    assert answer.status_code == 201
    assert answer.json()["id"] != first["id"]
    assert REPLAYED not in answer.headers


async def test_200_at_once_under_10_keys_have_10_effects(world: World) -> None:
    call = rest(Action.BACKUP_PRODUCTION)
    keys = [uuid4().hex for _ in range(10)]
    before = await all_rows()
    answers = await asyncio.gather(*(call.send(world, keys[number % 10]) for number in range(200)))
    assert {answer.status_code for answer in answers} == {201}
    made = Counter(answer.json()["backup_uuid"] for answer in answers)
    assert (len(made), set(made.values())) == (10, {20})
    assert sum(REPLAYED in answer.headers for answer in answers) == 190
    assert len(await all_rows() - before) == 10
    listed = await world.client.get("/api/sandbox/backups", params={"project_id": world.project.id})
    assert len(listed.json()["backups"]) == 11


async def test_200_at_once_under_one_key_leave_connections_to_others(world: World) -> None:
    call = next(call for call in MUTATIONS if call.name == "writeDocument")
    key = uuid4().hex
    storm = asyncio.gather(*(call.send(world, key) for _ in range(200)))
    reads = [await asyncio.wait_for(world.client.get(f"/api/projects/{world.project.id}/data"), 5) for _ in range(20)]
    answers = await storm
    assert {answer.status_code for answer in reads} == {200}
    assert all(is_done(answer) for answer in answers)
    assert len({answer.json()["data"]["writeDocument"]["change"]["version"] for answer in answers}) == 1


async def test_a_refusal_is_not_kept(world: World) -> None:
    call, key = rest(Action.FORK_ENVIRONMENT), uuid4().hex
    taken = {"source_project_id": world.project.id, "env_name": "env"}
    assert (await call.send(world, key, body=taken)).status_code == 409
    await environments.archive(world.actor, world.env)
    again = await call.send(world, key, body=taken)
    assert (again.status_code, REPLAYED in again.headers) == (201, False)


async def test_a_secret_is_not_kept_and_the_repeated_answer_says_so(
    world: World, schema_owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    call, key = rest(Action.CREATE_API_KEY), uuid4().hex
    first, again = (await call.send(world, key)).json(), (await call.send(world, key)).json()
    assert first["key"].startswith(first["prefix"])
    assert first["notice"] is None
    assert again["key"] is None
    assert "revoke this key" in again["notice"]
    mutation = next(call for call in MUTATIONS if call.name == "createApiKey")
    asked = replace(mutation, selection="apiKey { uuid } secret")
    secrets = [(await asked.send(world, key + "x")).json()["data"]["createApiKey"]["secret"] for _ in range(2)]
    assert secrets[0]
    assert secrets[1] is None
    for secret in (first["key"], secrets[0], key):
        for table in ("idempotency", "audit", "api_key"):
            found = f"SELECT count(*) FROM {table} WHERE {table}::text LIKE '%' || $1 || '%'"
            assert await schema_owner.fetchval(found, secret) == 0


async def test_both_doors_share_keys(world: World, contents: Contents) -> None:
    key = uuid4().hex
    mutation = next(call for call in MUTATIONS if call.name == "forkEnvironment")
    first = await rest(Action.FORK_ENVIRONMENT).send(world, key)
    before = await contents()
    again = await mutation.send(world, key)
    assert again.json()["data"]["forkEnvironment"]["environment"]["uuid"] == first.json()["anchor_uuid"]
    assert again.headers[REPLAYED] == "true"
    refused = await mutation.send(world, key, envName="third")
    assert refused.json()["data"]["forkEnvironment"]["code"] == "idempotency_key_reused"
    assert await contents() == before


async def test_mutations_of_one_operation_have_a_key_each(world: World) -> None:
    field = "backupProduction(input: {{projectId: $id, idempotencyKey: {}}}) {{ ...B }}"
    query = (
        "fragment B on BackupProductionPayload { backup { uuid } }"
        " mutation ($id: Int!, $a: String, $b: String) {"
        f" one: {field.format('$a')} two: {field.format('$b')} three: {field.format('null')} }}"
    )

    async def backups(a: str, b: str) -> tuple[list[str], bool]:
        variables = {"id": world.project.id, "a": a, "b": b}
        answer = await world.client.post("/graphql", json={"query": query, "variables": variables})
        return [item["backup"]["uuid"] for item in answer.json()["data"].values()], REPLAYED in answer.headers

    first, replayed = await backups("a", "b")
    assert (len(set(first)), replayed) == (3, False)
    second, replayed = await backups("a", "a")
    assert (second[:2], replayed) == ([first[0], first[0]], True)
    assert second[2] not in first


@pytest.mark.parametrize("key", ["", " ", "a b", "k" * 256, "ключ", "a\tb"])
async def test_keys_that_are_none(world: World, key: str, contents: Contents) -> None:
    before = await contents()
    headers = [(b"Idempotency-Key", key.encode()), *((k.encode(), v.encode()) for k, v in world.client.headers.items())]
    address = f"/api/projects/{world.project.id}/data"
    answer = await world.client.patch(
        address, content=b'{"n": 1}', headers=[*headers, (b"Content-Type", b"application/json")]
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "idempotency_key_invalid")
    mutation = next(call for call in MUTATIONS if call.name == "writeDocument")
    answer = await mutation.send(world, key)
    assert answer.json()["data"]["writeDocument"]["code"] == "idempotency_key_invalid"
    assert await contents() == before


def test_the_longest_key_is_one() -> None:
    assert IdempotencyKey.of("~" * 255).text == "~" * 255
    with pytest.raises(InvalidIdempotencyKey):
        IdempotencyKey.of("~" * 256)


async def test_two_keys_in_one_request_are_refused(world: World) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await world.client.patch(f"/api/projects/{world.project.id}/data", json={}, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "idempotency_key_invalid")


async def test_a_key_on_a_read_means_nothing(world: World) -> None:
    address = f"/api/projects/{world.project.id}/data"
    for _ in range(2):
        answer = await world.client.get(address, headers={"Idempotency-Key": "a"})
        assert (answer.status_code, REPLAYED in answer.headers) == (200, False)


async def test_a_repeated_import_is_answered_without_reading_the_lines(world: World, contents: Contents) -> None:
    call, key = rest(Action.IMPORT_DOCUMENTS), uuid4().hex
    first = await call.send(world, key)
    before = await contents()
    again = await call.send(world, key, body=b"these are no lines")
    assert (again.status_code, again.json()) == (200, first.json())
    elsewhere = replace(call, query=lambda _: {"env": "env"})
    assert (await elsewhere.send(world, key)).status_code == 422
    assert await contents() == before


async def test_a_former_member_is_not_answered(world: World, make_actor: MakeActor) -> None:
    editor = await make_actor()
    await add_member(world, editor, Role.EDITOR)
    world.client.headers.update(await headers_of(editor))
    call, key = rest(Action.WRITE_DOCUMENT), uuid4().hex
    assert is_done(await call.send(world, key))
    await db.execute("DELETE FROM member WHERE account_uuid = $1", editor.account_uuid)
    access.forget(editor.account_uuid)
    assert (await call.send(world, key)).status_code == 404


async def _age(hours: int) -> None:
    await db.execute("UPDATE idempotency SET expires_at = expires_at - make_interval(hours => $1)", hours)


async def test_a_key_is_good_for_a_day(world: World) -> None:
    call, key = rest(Action.BACKUP_PRODUCTION), uuid4().hex
    first = (await call.send(world, key)).json()
    await _age(23)
    assert (await call.send(world, key)).json() == first
    await _age(1)
    again = await call.send(world, key)
    assert (again.json() != first, REPLAYED in again.headers) == (True, False)


async def test_old_answers_are_swept(world: World) -> None:
    call = rest(Action.BACKUP_PRODUCTION)
    for _ in range(6):
        await call.send(world, uuid4().hex)
    await _age(24)
    old = await db.fetchval("SELECT count(*) FROM idempotency WHERE expires_at <= now()")
    for _ in range(2):
        await call.send(world, uuid4().hex)
    assert await db.fetchval("SELECT count(*) FROM idempotency WHERE expires_at <= now()") == old - 4
    assert await idempotency.sweep() == old - 4
    assert await db.fetchval("SELECT count(*) FROM idempotency WHERE expires_at <= now()") == 0
    assert await db.fetchval("SELECT count(*) FROM idempotency") >= 2


async def test_another_process_at_work_is_waited_for_and_then_refused(world: World, database: Database) -> None:
    call, key = rest(Action.BACKUP_PRODUCTION), uuid4().hex
    assert is_done(await call.send(world, key))
    elsewhere = await asyncpg.connect(database.app_dsn)
    try:
        holding = elsewhere.transaction()
        await holding.start()
        await elsewhere.execute(
            "UPDATE idempotency SET answer = answer WHERE principal_uuid = $1", world.actor.account_uuid
        )
        answer = await call.send(world, key)
        assert (answer.status_code, answer.json()["error"]) == (409, "idempotency_in_progress")
        waiting = asyncio.create_task(call.send(world, key))
        await asyncio.sleep(0.2)
        await holding.rollback()
        assert (await waiting).headers[REPLAYED] == "true"
    finally:
        await elsewhere.close()


async def test_a_long_first_request_is_not_waited_for_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.05)
    started, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        started.set()
        await go_on.wait()
        return 1

    def request() -> idempotency.Request[int]:
        call = calls.Call(Action.IMPORT_DOCUMENTS, world.actor, None)
        return idempotency.Request(IdempotencyKey.of(key), call, [], int, work)

    key = uuid4().hex
    first = asyncio.create_task(idempotency.once(request(), repeatable=False))
    await started.wait()
    with pytest.raises(IdempotencyInProgress):
        await idempotency.once(request(), repeatable=False)
    go_on.set()
    assert await first == 1
    assert await idempotency.once(request(), repeatable=False) == 1
    assert not idempotency._turns


async def test_a_lost_race_is_run_again_as_a_whole(world: World) -> None:
    attempts = 0

    async def work() -> int:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise db.Retry
        return attempts

    call = calls.Call(Action.FORK_ENVIRONMENT, world.actor, None)
    key = IdempotencyKey.of(uuid4().hex)
    assert await idempotency.once(idempotency.Request(key, call, [], int, work), repeatable=True) == 3
    count = await db.fetchval("SELECT count(*) FROM idempotency WHERE principal_uuid = $1", world.actor.account_uuid)
    assert count == 1


async def test_an_answer_that_cannot_be_read_any_more_is_not_done_again(world: World, contents: Contents) -> None:
    call, key = rest(Action.BACKUP_PRODUCTION), uuid4().hex
    await call.send(world, key)
    await db.execute("UPDATE idempotency SET answer = '{}' WHERE principal_uuid = $1", world.actor.account_uuid)
    before = await contents()
    answer = await call.send(world, key)
    assert (answer.status_code, answer.json()["error"]) == (409, "idempotency_answer_unreadable")
    assert await contents() == before


async def test_documents_come_back_with_all_their_digits(world: World) -> None:
    body = json.dumps({"list": [1, None, {}], "deep": {"": {"a.b": []}}})[:-1] + ', "n": 1.10, "big": 9007199254740993}'
    put = next(call for call in REST if call.name.startswith("PUT") and "entities" in call.name)
    key = uuid4().hex
    first, again = [await put.send(world, key, body=body.encode()) for _ in range(2)]
    assert first.content == again.content
    assert b'"n":1.10' in again.content
    assert b"9007199254740993" in again.content


async def test_a_keyed_write_races_with_others_and_all_are_kept(world: World) -> None:
    actor, project = world.actor, world.project
    await environments.fork(actor, project.id, ForkOptions("busy"))
    patch = next(call for call in REST if call.name.startswith("PATCH") and "entities" in call.name)
    keyed = [patch.send(world, f"k{n // 2}", body={f"k{n // 2}": n // 2}) for n in range(40)]
    plain = [documents.merge(actor, project.id, None, "page", "a", {f"p{n}": n}) for n in range(20)]
    await asyncio.gather(*keyed, *plain)
    state = (await documents.read(actor, project.id, None, "page", "a")).state
    assert state == {"n": 2} | {f"k{n}": n for n in range(20)} | {f"p{n}": n for n in range(20)}
