"""Every operation of both doors is on record, once, with all that is to be known of it, or it is not done."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from graphql import build_schema
from litestar import Litestar
from litestar.routes import HTTPRoute

from app.domain.audit import INSTALLATION, Action, Door, Filter, Recorded
from app.domain.login_limits import LoginLimits
from app.domain.model import Actor, Plan, Role
from app.services import access, documents, identity, operator, revert, transfer
from app.storage import audit as trail
from app.storage import db
from schema.root import schema_text
from tests.conftest import Database, MakeActor
from tests.doors import headers_of
from tests.operations.world import (
    CALLS,
    COUNTED,
    MUTATIONS,
    REST,
    SESSIONS,
    UNKEYED,
    Call,
    Mutation,
    Rest,
    World,
    is_done,
)

Contents = Callable[[], Awaitable[Mapping[str, str]]]
SAFE = {"GET", "HEAD", "OPTIONS"}
READ_BY_POST = "POST /api/sandbox/segment/preview"


def test_every_operation_of_both_doors_is_among_the_calls(app: Litestar) -> None:
    routes = {
        f"{method} {route.path_format}"
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/api/")
        for handler in route.route_handlers
        if handler.resolve_include_in_schema()
        for method in handler.http_methods
        if method not in SAFE
    }
    assert routes - UNKEYED - {READ_BY_POST} == {call.name for call in REST}
    mutation = build_schema(schema_text()).mutation_type
    assert mutation is not None
    assert set(mutation.fields) - SESSIONS == {call.name for call in MUTATIONS}


async def all_rows() -> set[tuple[int, int]]:
    """Return what names each row of the whole trail."""
    return {(row["project_id"], row["number"]) for row in await db.fetch("SELECT project_id, number FROM audit")}


async def newest(project_id: int, **wanted: Any) -> Recorded:
    return (await trail.list_page(project_id, Filter(**wanted), 1, None))[0]


ON_TRAIL = [call for call in CALLS if call.action not in COUNTED]


@pytest.mark.parametrize("call", ON_TRAIL, ids=lambda call: call.name)
async def test_an_operation_is_recorded_once(world: World, call: Call, address: str) -> None:
    before = await all_rows()
    answer = await call.send(world)
    assert is_done(answer), answer.text
    ((project_id, number),) = await all_rows() - before
    row = await newest(project_id)
    assert (row.number, row.operation, row.refusal) == (number, call.action, None)
    assert (row.account_uuid, row.key_uuid, row.actor) == (world.actor.account_uuid, None, world.actor.name)
    assert row.door is (Door.GRAPHQL if isinstance(call, Mutation) else Door.REST)
    assert (row.address, row.request_id) == (address, answer.headers["X-Request-Id"])
    assert row.object_type is not None
    assert row.after is not None or row.first_version is not None
    assert await trail.first_broken(project_id) is None


@pytest.mark.parametrize("call", ON_TRAIL, ids=lambda call: call.name)
async def test_what_cannot_be_recorded_is_not_done(
    database: Database,
    world: World,
    call: Call,
    contents: Contents,
    schema_owner: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    if database.owner_dsn == database.app_dsn:
        pytest.skip("the application owns the tables here")
    await schema_owner.execute("REVOKE INSERT ON audit FROM strata_app")
    try:
        before = await contents()
        answer = await call.send(world)
        assert await contents() == before
    finally:
        await schema_owner.execute("GRANT INSERT ON audit TO strata_app")
    if isinstance(call, Rest):
        assert (answer.status_code, answer.json()["error"]) == (503, "audit_unavailable")
        assert answer.headers["Retry-After"]
    else:
        assert [error["extensions"]["code"] for error in answer.json()["errors"]] == ["audit_unavailable"]
    assert is_done(await call.send(world))


async def add_member(world: World, member: Actor, role: Role) -> None:
    await db.execute(
        "INSERT INTO member (project_id, account_uuid, role) VALUES ($1, $2, $3)",
        world.project.id,
        member.account_uuid,
        role.value,
    )
    access.forget(member.account_uuid)


OF_ANYBODY = {
    Action.CREATE_PROJECT,
    Action.ACCEPT_INVITATION,
    Action.SET_ACTIVE_ENVIRONMENT,
    Action.RECORD_EXPOSURES,
}
PRIVILEGED = [call for call in CALLS if call.action not in OF_ANYBODY]


@pytest.mark.parametrize("call", PRIVILEGED, ids=lambda call: call.name)
async def test_a_call_that_a_viewer_may_not_make_is_recorded_and_changes_nothing(
    world: World, make_actor: MakeActor, call: Call, contents: Contents
) -> None:
    viewer = await make_actor()
    await add_member(world, viewer, Role.VIEWER)
    world.client.headers.update(await headers_of(viewer))
    before = await contents()
    answer = await call.send(world, key=uuid4().hex)
    assert not is_done(answer)
    assert "forbidden" in answer.text
    after = await contents()
    assert {name for name in after if after[name] != before[name]} == {"audit", "audit_head"}
    row = await newest(world.project.id)
    assert (row.operation, row.refusal, row.account_uuid) == (call.action, "forbidden", viewer.account_uuid)
    assert (row.object_id, row.before, row.after) == (None, None, None)


async def test_refusals_are_recorded_ten_times_an_hour_each(world: World, make_actor: MakeActor) -> None:
    viewers = [await make_actor() for _ in range(2)]
    for viewer in viewers:
        await add_member(world, viewer, Role.VIEWER)
        world.client.headers.update(await headers_of(viewer))
        for call in (REST[1], REST[3]):
            for _ in range(12):
                assert (await call.send(world)).status_code == 403
    refusals = await trail.list_page(world.project.id, Filter(refused=True), 200, None)
    assert len(refusals) == 40
    assert {(row.account_uuid, row.operation) for row in refusals} == {
        (viewer.account_uuid, action) for viewer in viewers for action in (Action.CREATE_API_KEY, Action.WRITE_DOCUMENT)
    }


async def test_a_key_where_a_token_is_needed_is_recorded(world: World) -> None:
    made = (await REST[1].send(world)).json()
    world.client.headers["Authorization"] = f"Bearer {made['key']}"
    fork = next(call for call in REST if call.action is Action.FORK_ENVIRONMENT)
    assert (await fork.send(world)).status_code == 403
    row = await newest(world.project.id)
    assert (row.operation, row.refusal, str(row.key_uuid)) == (fork.action, "jwt_required", made["uuid"])
    assert row.actor == f"key {made['prefix']}"


async def test_reading_the_trail_is_recorded_where_it_is_refused(world: World, make_actor: MakeActor) -> None:
    editor = await make_actor()
    await add_member(world, editor, Role.EDITOR)
    world.client.headers.update(await headers_of(editor))
    before = await all_rows()
    for address in ("/api/sandbox/audit", f"/api/projects/{world.project.id}/api-keys"):
        assert (await world.client.get(address, params={"project_id": world.project.id})).status_code == 403
    added = await all_rows() - before
    assert len(added) == 2
    found = {row.operation for row in await trail.list_page(world.project.id, Filter(refused=True), 9, None)}
    assert found == {Action.READ_AUDIT, Action.LIST_API_KEYS}


async def test_what_changes_nothing_is_not_recorded(world: World) -> None:
    write, revoke = REST[3], next(call for call in REST if call.action is Action.REVOKE_API_KEY)
    undo = next(call for call in REST if call.action is Action.REVERT_CHANGES)
    for call in (write, revoke, undo):
        assert is_done(await call.send(world))
    before = await all_rows()
    for call in (write, revoke, undo):
        assert is_done(await call.send(world))
    assert await all_rows() == before


async def test_a_document_is_recorded_by_its_change(world: World) -> None:
    actor, project = world.actor, world.project
    written = await documents.merge(actor, project.id, None, "page", "a", {"n": 9})
    assert written.change is not None
    row = await newest(project.id)
    assert (row.door, row.address, row.request_id) == (Door.COMMAND_LINE, None, None)
    assert (row.first_version, row.last_version) == (written.change.version, written.change.version)
    assert (row.object_id, row.object_name) == (str(written.document.entity.uuid), "page/a")
    assert (row.before, row.after) == (written.change.reverse, written.change.forward)
    stored = await db.fetchrow(
        "SELECT before, after FROM audit WHERE project_id = $1 AND number = $2", project.id, row.number
    )
    assert stored is not None
    assert tuple(stored) == (None, None)
    await documents.merge(actor, project.id, None, "page", "a", {"text": uuid4().hex * 500})
    row = await newest(project.id)
    assert row.first_version == written.change.version + 1
    assert row.after is None or "$characters" in str(row.after)


async def test_many_documents_are_one_row_with_the_range_of_their_changes(world: World) -> None:
    async def lines() -> AsyncIterator[bytes]:
        yield b"".join(b'{"kind": "item", "key": "k%04d", "data": {"n": 1}}\n' % n for n in range(1_200))

    actor, project = world.actor, world.project
    await transfer.import_documents(actor, project.id, "env", lines())
    imported = await newest(project.id)
    assert (imported.operation, imported.object_name) == (Action.IMPORT_DOCUMENTS, "env")
    assert imported.first_version is not None
    assert imported.last_version == imported.first_version + 1_199
    await revert.revert(actor, world.env)
    reverted = await newest(project.id)
    assert reverted.operation is Action.REVERT_CHANGES
    # The number between is that of the event that the import was.
    assert reverted.first_version == imported.last_version + 2
    assert reverted.last_version == reverted.first_version + 1_201
    assert (reverted.before, reverted.after) == (None, None)


async def test_before_and_after_of_settings(world: World) -> None:
    update = next(call for call in REST if call.action is Action.UPDATE_ENVIRONMENT)
    assert is_done(await update.send(world))
    row = await newest(world.project.id)
    assert row.before == {"set": {"/name": "env"}, "unset": []}
    assert row.after == {"set": {"/name": "renamed"}, "unset": []}


async def test_accounts_and_plans_are_recorded(world: World, client: httpx.AsyncClient) -> None:
    email = f"{uuid4().hex}@example.com"
    credentials = {"email": email, "password": "correct horse"}
    assert (await client.post("/api/auth/register", json=credentials)).status_code == 201
    row = await newest(INSTALLATION)
    assert (row.operation, row.actor, row.object_name, row.door) == (Action.REGISTER_ACCOUNT, email, email, Door.REST)
    assert row.account_uuid is not None
    await identity.set_password(row.account_uuid, "another horse")
    assert (await newest(INSTALLATION)).operation is Action.SET_PASSWORD
    await operator.set_plan(world.project.id, Plan.FREE)
    row = await newest(world.project.id)
    assert (row.operation, row.actor, row.after) == (
        Action.SET_PLAN,
        None,
        {"set": {"": {"plan": "free"}}, "unset": []},
    )


async def test_refused_logins_are_recorded_but_not_for_ever(
    app: Litestar, client: httpx.AsyncClient, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await identity.register(f"{uuid4().hex}@example.com", "correct horse")
    patient = LoginLimits(per_minute=12, in_a_row=1_000)
    monkeypatch.setattr(app.state, "settings", replace(app.state.settings, login_limits=patient))

    async def log_in(email: str | None) -> int:
        answer = await client.post("/api/auth/login", json={"email": email, "password": "wrong"})
        return answer.status_code

    assert [await log_in(account.email) for _ in range(12)] == [401] * 12
    rows = await trail.list_page(INSTALLATION, Filter(object_id=str(account.uuid), refused=True), 50, None)
    assert len(rows) == 10
    assert {(row.operation, row.refusal, row.actor, row.address) for row in rows} == {
        (Action.LOGIN, "invalid_credentials", None, address)
    }
    typed_into_the_wrong_field = uuid4().hex
    assert await log_in(typed_into_the_wrong_field) == 429
    row = await newest(INSTALLATION)
    assert (row.operation, row.refusal, row.object_id, row.address) == (
        Action.LOGIN,
        "too_many_attempts",
        None,
        address,
    )
    assert not await db.fetchval(
        "SELECT count(*) FROM audit WHERE audit::text LIKE '%' || $1 || '%'", typed_into_the_wrong_field
    )


async def test_sessions_and_keys_are_recorded(world: World, client: httpx.AsyncClient) -> None:
    credentials = {"email": f"{uuid4().hex}@example.com", "password": "correct horse"}
    account = (await client.post("/api/auth/register", json=credentials)).json()
    first = (await client.post("/api/auth/login", json=credentials)).json()
    refresh = {"refresh_token": first["refresh_token"]}
    second = (await client.post("/api/auth/refresh", json=refresh)).json()
    other = (await client.post("/api/auth/login", json=credentials)).json()
    assert (await client.post("/api/auth/refresh", json=refresh)).status_code == 401
    row = await newest(INSTALLATION)
    assert (row.operation, row.refusal, row.object_id) == (
        Action.REFRESH_TOKENS,
        "invalid_refresh_token",
        account["uuid"],
    )
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    assert (await client.post("/api/auth/logout", headers=headers)).status_code == 204
    row = await newest(INSTALLATION)
    assert (row.operation, row.actor, row.object_id) == (Action.LOGOUT, credentials["email"], account["uuid"])
    kid = await operator.rotate_signing_key()
    row = await newest(INSTALLATION)
    assert (row.operation, row.object_id, row.actor) == (Action.ROTATE_SIGNING_KEY, kid, None)
    await operator.revoke_key(str(world.key))
    row = await newest(world.project.id)
    assert (row.operation, row.object_id, row.actor) == (Action.REVOKE_API_KEY, str(world.key), None)
    await operator.revoke_key(str(world.key))
    assert (await newest(world.project.id)).number == row.number
    trails = "".join(row["t"] for row in await db.fetch("SELECT t::text AS t FROM audit t"))
    for tokens in (first, second, other):
        assert tokens["refresh_token"] not in trails
        assert tokens["access_token"] not in trails
