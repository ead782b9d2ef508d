"""Reading the trail through both doors, and that it cannot be rewritten unseen."""

import asyncio
from datetime import datetime
from typing import Any

import asyncpg
import httpx
import pytest

from app.doctor import look_at_database
from app.domain.audit import Action
from app.domain.model import Role
from app.services import audit, documents
from app.storage import audit as trail
from app.storage import db
from tests.conftest import Database, MakeActor
from tests.doors import headers_of
from tests.operations.test_recorded import add_member
from tests.operations.world import CALLS, REST, World, is_done

ENTRIES = """
query ($id: Int!, $filter: AuditFilter, $first: Int, $after: String) { project(id: $id) {
  audit(filter: $filter, first: $first, after: $after) { totalCount pageInfo { hasNextPage endCursor } nodes {
    number operation refusal door address requestId hash envUuid firstVersion lastVersion
    actor { name accountUuid keyUuid } object { type id name }
    before { set { path value } unset } after { set { path value } unset } } } } }
"""


async def by_rest(world: World, **params: Any) -> dict[str, Any]:
    answer = await world.client.get("/api/sandbox/audit", params={"project_id": world.project.id, **params})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def by_graphql(world: World, **variables: Any) -> dict[str, Any]:
    asked = {"query": ENTRIES, "variables": {"id": world.project.id, **variables}}
    body = (await world.client.post("/graphql", json=asked)).json()
    assert "errors" not in body, body
    found: dict[str, Any] = body["data"]["project"]["audit"]
    return found


async def test_both_doors_show_the_same_newest_first(world: World) -> None:
    for call in CALLS[3:9]:
        assert is_done(await call.send(world))
    rest, graphql = (await by_rest(world))["entries"], await by_graphql(world)
    assert [entry["number"] for entry in rest] == list(range(len(rest), 0, -1))
    assert graphql["totalCount"] == len(rest)
    for old, new in zip(rest, graphql["nodes"], strict=True):
        assert new["number"] == old["number"]
        assert new["operation"] == old["operation"].upper()
        assert new["actor"] == {
            "name": old["actor"]["name"],
            "accountUuid": old["actor"]["account_uuid"],
            "keyUuid": old["actor"]["key_uuid"],
        }
        assert (new["object"], new["hash"], new["requestId"]) == (old["object"], old["hash"], old["request_id"])
        assert (new["after"] is None) == (old["after"] is None)
    assert [entry["operation"] for entry in rest[:2]] == ["import_documents", "delete_document"]
    assert rest[1]["before"] == {"set": {"": {"n": 6}}, "unset": []}
    assert rest[1]["after"] == {"set": {}, "unset": [""]}


async def test_pages_go_on_where_the_last_one_ended(world: World) -> None:
    whole = [entry["number"] for entry in (await by_rest(world))["entries"]]
    found: list[int] = []
    cursor = None
    while cursor or not found:
        page = await by_rest(world, limit=2, **({"cursor": cursor} if cursor else {}))
        found += [entry["number"] for entry in page["entries"]]
        cursor = page["next_cursor"]
    assert found == whole
    first = await by_graphql(world, first=2)
    second = await by_graphql(world, first=200, after=first["pageInfo"]["endCursor"])
    assert [node["number"] for node in first["nodes"] + second["nodes"]] == whole


async def test_filters(world: World, make_actor: MakeActor) -> None:
    editor = await make_actor()
    await add_member(world, editor, Role.EDITOR)
    await documents.put(editor, world.project.id, "env", "page", "a", {"n": 30})
    entity = (await documents.read(editor, world.project.id, None, "page", "a")).entity
    whole = (await by_rest(world))["entries"]
    mine = await by_rest(world, actor=str(editor.account_uuid))
    assert [entry["object"]["id"] for entry in mine["entries"]] == [str(entity.uuid)]
    assert (await by_graphql(world, filter={"actor": str(editor.account_uuid)}))["totalCount"] == 1
    writes = await by_rest(world, operation="write_document")
    assert [entry["number"] for entry in writes["entries"]] == [
        entry["number"] for entry in whole if entry["operation"] == "write_document"
    ]
    rarer = await by_rest(world, operation=["checkpoint", "backup_production"])
    assert {entry["operation"] for entry in rarer["entries"]} == {"checkpoint", "backup_production"}
    assert (await by_graphql(world, filter={"operations": ["CHECKPOINT"]}))["totalCount"] == 1
    about = await by_rest(world, object=str(entity.uuid))
    assert {entry["object"]["name"] for entry in about["entries"]} == {"page/a"}
    assert len(about["entries"]) == 4
    middle = whole[3]["created_at"]
    since, until = (await by_rest(world, since=middle))["entries"], (await by_rest(world, until=middle))["entries"]
    assert since + until == whole
    assert all(datetime.fromisoformat(entry["created_at"]) >= datetime.fromisoformat(middle) for entry in since)
    assert (await by_rest(world, refused="true"))["entries"] == []
    assert (await by_rest(world, refused="false"))["entries"] == whole
    answer = await world.client.get("/api/sandbox/audit", params={"project_id": world.project.id, "operation": "x"})
    assert answer.status_code == 400


@pytest.mark.parametrize(("role", "status"), [("owner", 200), ("admin", 200), ("editor", 403), ("viewer", 403)])
async def test_who_may_read(world: World, make_actor: MakeActor, role: str, status: int) -> None:
    member = await make_actor()
    await add_member(world, member, Role(role))
    world.client.headers.update(await headers_of(member))
    answer = await world.client.get("/api/sandbox/audit", params={"project_id": world.project.id})
    assert answer.status_code == status


async def test_strangers_and_keys(world: World, make_actor: MakeActor, client: httpx.AsyncClient) -> None:
    made = {}
    for scope in ("admin", "read"):
        body = {"name": scope, "scopes": [scope]}
        made[scope] = (await REST[1].send(world, body=body)).json()["key"]
    for scope, status in (("admin", 200), ("read", 403)):
        answer = await client.get("/api/sandbox/audit", headers={"Authorization": f"Bearer {made[scope]}"})
        assert answer.status_code == status
    stranger = await headers_of(await make_actor())
    answer = await client.get("/api/sandbox/audit", params={"project_id": world.project.id}, headers=stranger)
    assert answer.status_code == 404


async def test_numbers_have_no_gaps_however_many_write_at_once(world: World) -> None:
    actor, project = world.actor, world.project
    await asyncio.gather(
        *(documents.put(actor, project.id, None, "page", f"k{n % 7}", {"n": n}) for n in range(60)),
        *(call.send(world) for call in CALLS if call.action is Action.CREATE_API_KEY for _ in range(5)),
    )
    numbers = [row.number for row in (await audit.list_entries(actor, project.id, limit=200)).items]
    assert numbers == list(range(len(numbers), 0, -1))
    assert await audit.first_broken(actor, project.id) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'somebody else' WHERE project_id = $1 AND number = 3",
        'UPDATE audit SET after = \'{"set": {}, "unset": []}\' WHERE project_id = $1 AND number = 3',
        "UPDATE audit SET created_at = created_at + interval '1 us' WHERE project_id = $1 AND number = 3",
        "DELETE FROM audit WHERE project_id = $1 AND number = 2",
        "DELETE FROM audit WHERE project_id = $1 AND number >= 3",
    ],
)
async def test_rewriting_by_who_owns_the_database_is_seen(
    database: Database, world: World, schema_owner: "asyncpg.Connection[asyncpg.Record]", statement: str
) -> None:
    assert await trail.first_broken(world.project.id) is None
    async with schema_owner.transaction():
        await schema_owner.execute("ALTER TABLE audit DISABLE TRIGGER audit_append_only")
        await schema_owner.execute(statement, world.project.id)
        await schema_owner.execute("ALTER TABLE audit ENABLE TRIGGER audit_append_only")
    found = await trail.first_broken(world.project.id)
    assert found is not None
    assert found >= 3
    said = [finding.message for finding in await look_at_database(database.app_dsn, external=False)]
    assert any("audit trail" in message and "not what was written" in message for message in said), said


async def test_nobody_numbers_rows_by_hand(world: World) -> None:
    await db.execute(
        "INSERT INTO audit (project_id, number, created_at, operation, door, hash)"
        " VALUES ($1, 999, '2001-01-01Z', 'forged', 'rest', '')",
        world.project.id,
    )
    row = await db.fetchrow(
        "SELECT number, created_at FROM audit WHERE project_id = $1 ORDER BY number DESC LIMIT 1", world.project.id
    )
    assert row is not None
    assert row["number"] < 999
    assert row["created_at"].year > 2001
    assert await trail.first_broken(world.project.id) is None
