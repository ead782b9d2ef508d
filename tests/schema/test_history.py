"""Checkpoints, rollback, pins, revert, differences, blame, backups and keys through GraphQL."""

from typing import Any
from uuid import uuid4

from app.domain.model import Actor, Scope
from app.services import api_keys
from tests.schema.conftest import GraphQL

CHECKPOINT = (
    "checkpoint { uuid number kind isCheckpoint diffOnly sealed label entityCount environment { name } } entities"
)


async def _put(graphql: GraphQL, value: object, **where: object) -> Any:
    where = where or {"projectId": graphql.project.id}
    return await graphql.do(
        "writeDocument", {**where, "patch": {"put": value}}, "change { version } document { version }"
    )


async def test_checkpoint_rollback_and_delete(graphql: GraphQL) -> None:
    env = await graphql.fork("one")
    await _put(graphql, {"n": 1}, envUuid=env["uuid"])
    made = await graphql.do("checkpoint", {"envUuid": env["uuid"], "label": "v1"}, CHECKPOINT)
    checkpoint = made["checkpoint"]
    assert made["entities"] == 1
    assert checkpoint | {"uuid": ""} == {
        "uuid": "",
        "number": 2,
        "kind": "CHECKPOINT",
        "isCheckpoint": True,
        "diffOnly": False,
        "sealed": True,
        "label": "v1",
        "entityCount": 1,
        "environment": {"name": "one"},
    }
    await _put(graphql, {"n": 2}, envUuid=env["uuid"])
    wanted = {"checkpointUuid": checkpoint["uuid"], "envName": "back"}
    back = await graphql.do("rollbackToCheckpoint", wanted, "environment { name generation document { data } }")
    assert back["environment"] == {"name": "back", "generation": 3, "document": {"data": {"n": 1}}}
    taken = await graphql.do("rollbackToCheckpoint", wanted, "forkedCount")
    assert taken["__typename"] == "EnvironmentNameTaken"
    kept = await graphql.do("deleteCheckpoint", {"checkpointUuid": checkpoint["uuid"]}, "checkpointUuid")
    assert (kept["__typename"], kept["code"]) == ("InvalidTransition", "conflict")
    unknown = await graphql.do("deleteCheckpoint", {"checkpointUuid": str(uuid4())}, "checkpointUuid")
    assert (unknown["__typename"], unknown["code"]) == ("NotFound", "checkpoint_not_found")


async def test_a_checkpoint_that_nothing_stands_on_is_deleted(graphql: GraphQL) -> None:
    query = "query ($id: Int!) { project(id: $id) { production { uuid } checkpoints { totalCount } } }"
    uuid = (await graphql.ask(query, {"id": graphql.project.id}))["project"]["production"]["uuid"]
    made = await graphql.do("checkpoint", {"envUuid": uuid}, CHECKPOINT)
    assert (await graphql.ask(query, {"id": graphql.project.id}))["project"]["checkpoints"] == {"totalCount": 1}
    gone = await graphql.do(
        "deleteCheckpoint",
        {"checkpointUuid": made["checkpoint"]["uuid"]},
        "checkpointUuid environment { name checkpoints { totalCount nodes { uuid } } }",
    )
    assert gone["checkpointUuid"] == made["checkpoint"]["uuid"]
    assert gone["environment"] == {"name": "production", "checkpoints": {"totalCount": 0, "nodes": []}}
    refused = await graphql.do("checkpoint", {"envUuid": str(uuid4())}, CHECKPOINT)
    assert (refused["__typename"], refused["code"]) == ("NotFound", "environment_not_found")


async def test_pin_shows_what_was(graphql: GraphQL) -> None:
    env = await graphql.fork("one")
    await _put(graphql, {"n": 1}, envUuid=env["uuid"])
    selection = "pinned { uuid kind document { data } } environment { pinned { uuid } head { kind } }"
    made = await graphql.do("pinEnvironment", {"envUuid": env["uuid"]}, selection)
    assert made["pinned"]["kind"] == "PIN"
    assert made["environment"] == {"pinned": {"uuid": made["pinned"]["uuid"]}, "head": {"kind": "LINE"}}
    await _put(graphql, {"n": 2}, envUuid=env["uuid"])
    seen = await graphql.ask(
        "query ($uuid: UUID!) { generation(uuid: $uuid) { document { data } } }", {"uuid": made["pinned"]["uuid"]}
    )
    assert seen["generation"] == {"document": {"data": {"n": 1}}}
    refused = await graphql.do("pinEnvironment", {"envUuid": str(uuid4())}, selection)
    assert (refused["__typename"], refused["code"]) == ("NotFound", "environment_not_found")


async def test_revert_paths_and_all(graphql: GraphQL) -> None:
    await _put(graphql, {"a": 1, "b": 1})
    env = await graphql.fork("one")
    await _put(graphql, {"a": 2, "b": 2, "c": 2}, envUuid=env["uuid"])
    selection = "environment { document { data overrides { path } } } changes { origin forward { set { path } unset } }"
    some = await graphql.do("revertChanges", {"envUuid": env["uuid"], "paths": ["/a"]}, selection)
    assert some["environment"]["document"]["data"] == {"a": 1, "b": 2, "c": 2}
    assert some["changes"] == [{"origin": "REVERT", "forward": {"set": [{"path": "/a"}], "unset": []}}]
    rest = await graphql.do("revertChanges", {"envUuid": env["uuid"]}, selection)
    assert rest["environment"]["document"] == {"data": {"a": 1, "b": 1}, "overrides": []}
    production = await graphql.ask(
        "query ($id: Int!) { project(id: $id) { production { uuid } } }", {"id": graphql.project.id}
    )
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"envUuid": production["project"]["production"]["uuid"]}, "InvalidTransition", "production_protected"),
        ({"envUuid": env["uuid"], "key": "x"}, "ValidationFailed", "validation_failed"),
        ({"envUuid": env["uuid"], "kind": "order", "key": "x"}, "NotFound", "document_not_found"),
        ({"envUuid": str(uuid4())}, "NotFound", "environment_not_found"),
    ]
    for wanted, typename, code in cases:
        refused = await graphql.do("revertChanges", wanted, selection)
        assert (refused["__typename"], refused["code"]) == (typename, code)


async def test_diff_of_two_states(graphql: GraphQL) -> None:
    await _put(graphql, {"same": 1, "changed": {"a.b": 1}, "gone": None})
    env = await graphql.fork("one")
    await _put(graphql, {"same": 1, "changed": {"a.b": 2}, "new": []}, envUuid=env["uuid"])
    production = await graphql.ask(
        "query ($id: Int!) { project(id: $id) { production { uuid } } }", {"id": graphql.project.id}
    )
    query = (
        "query ($a: UUID!, $b: UUID!) { diff(a: $a, b: $b) { isEmpty added { path value } removed { path value }"
        " modified { path dottedPath old new } jsonPatch } }"
    )
    a = production["project"]["production"]["uuid"]
    assert (await graphql.ask(query, {"a": a, "b": env["uuid"]}))["diff"] == {
        "isEmpty": False,
        "added": [{"path": "/new", "value": []}],
        "removed": [{"path": "/gone", "value": None}],
        "modified": [{"path": "/changed/a.b", "dottedPath": "changed.a\\.b", "old": 1, "new": 2}],
        "jsonPatch": [
            {"op": "remove", "path": "/gone"},
            {"op": "replace", "path": "/changed/a.b", "value": 2},
            {"op": "add", "path": "/new", "value": []},
        ],
    }
    assert (await graphql.ask(query, {"a": a, "b": a}))["diff"]["isEmpty"] is True
    assert await graphql.errors(query, {"a": a, "b": str(uuid4())}) == ["state_not_found"]


async def test_environment_diff_counts_and_pages(graphql: GraphQL) -> None:
    await _put(graphql, {}, projectId=graphql.project.id, kind="order", key="1")
    env = await graphql.fork("one")
    for key in ("2", "3"):
        await _put(graphql, {"n": key}, envUuid=env["uuid"], kind="order", key=key)
    await graphql.do("deleteDocument", {"envUuid": env["uuid"], "kind": "order", "key": "1"}, "change { version }")
    query = (
        "query ($env: UUID!, $after: String, $against: UUID) { environment(uuid: $env) {"
        " diff(first: 2, after: $after, against: $against) { added removed modified isEmpty entities { totalCount"
        " pageInfo { hasNextPage endCursor } nodes { kind key status old new diff { added { path } } } } } } }"
    )
    first = (await graphql.ask(query, {"env": env["uuid"]}))["environment"]["diff"]
    assert (first["added"], first["removed"], first["modified"], first["isEmpty"]) == (2, 1, 0, False)
    assert first["entities"]["totalCount"] == 3
    assert first["entities"]["nodes"] == [
        {"kind": "order", "key": "1", "status": "REMOVED", "old": {}, "new": None, "diff": {"added": []}},
        {
            "kind": "order",
            "key": "2",
            "status": "ADDED",
            "old": None,
            "new": {"n": "2"},
            "diff": {"added": [{"path": "/n"}]},
        },
    ]
    after = first["entities"]["pageInfo"]["endCursor"]
    second = (await graphql.ask(query, {"env": env["uuid"], "after": after}))["environment"]["diff"]
    assert [node["key"] for node in second["entities"]["nodes"]] == ["3"]
    assert second["entities"]["pageInfo"]["hasNextPage"] is False
    itself = (await graphql.ask(query, {"env": env["uuid"], "against": env["uuid"]}))["environment"]["diff"]
    assert itself["isEmpty"] is True


async def test_history_and_blame(graphql: GraphQL, actor: Actor) -> None:
    first = await _put(graphql, {"a": 1, "b": 1})
    await _put(graphql, {"a": 1, "b": 2})
    env = await graphql.fork("one")
    query = (
        "query ($env: UUID!) { environment(uuid: $env) { history { totalCount nodes { origin actor { name }"
        " generation { number } environment { name } reverse { unset } } }"
        ' document { a: blame(pointer: "/a") { version environment { name } } none: blame(pointer: "/none") { origin }'
        " } } }"
    )
    seen = (await graphql.ask(query, {"env": env["uuid"]}))["environment"]
    assert seen["document"]["a"] == {"version": first["change"]["version"], "environment": {"name": "production"}}
    assert seen["document"]["none"] is None
    assert seen["history"]["totalCount"] == 1
    assert seen["history"]["nodes"][0]["actor"] == {"name": actor.name}
    whole = await graphql.ask(
        'query ($id: Int!) { project(id: $id) { history(key: "project") { totalCount nodes { version kind } } } }',
        {"id": graphql.project.id},
    )
    assert whole["project"]["history"]["totalCount"] == 4


async def test_backup_and_restore(graphql: GraphQL) -> None:
    project_id = graphql.project.id
    await _put(graphql, {"n": 1})
    backup = await graphql.do(
        "backupProduction", {"projectId": project_id, "label": "b"}, "backup { uuid label } entities"
    )
    assert (backup["backup"]["label"], backup["entities"]) == ("b", 1)
    await _put(graphql, {"n": 2})
    await _put(graphql, {}, projectId=project_id, kind="order", key="1")
    counts = "created changed deleted backup { uuid }"
    wanted = {"projectId": project_id, "backupUuid": backup["backup"]["uuid"]}
    none = await graphql.do("restoreProduction", wanted | {"entities": []}, counts)
    assert (none["created"], none["changed"], none["deleted"]) == (0, 0, 0)
    done = await graphql.do("restoreProduction", wanted, counts)
    assert (done["created"], done["changed"], done["deleted"]) == (0, 1, 1)
    missing = wanted | {"entities": [{"kind": "order", "key": "1"}]}
    cases: list[tuple[dict[str, Any], str, str]] = [
        (missing, "NotFound", "document_not_found"),
        (wanted | {"backupUuid": str(uuid4())}, "NotFound", "backup_not_found"),
        (wanted | {"projectId": 999_999_999}, "NotFound", "project_not_found"),
    ]
    for change, typename, code in cases:
        refused = await graphql.do("restoreProduction", change, counts)
        assert (refused["__typename"], refused["code"]) == (typename, code)
    unlabelled = await graphql.do("backupProduction", {"projectId": project_id, "label": ""}, "entities")
    assert (unlabelled["__typename"], unlabelled["code"]) == ("ValidationFailed", "validation_failed")
    listed = await graphql.ask(
        "query ($id: Int!) { project(id: $id) { backups { totalCount nodes { label } } } }", {"id": project_id}
    )
    assert listed["project"]["backups"] == {"totalCount": 1, "nodes": [{"label": "b"}]}


async def test_api_keys(graphql: GraphQL, actor: Actor) -> None:
    project_id = graphql.project.id
    wanted = {"projectId": project_id, "name": "ci", "scopes": ["READ", "WRITE"]}
    made = await graphql.do("createApiKey", wanted, "apiKey { id uuid name prefix scopes revokedAt } secret")
    assert made["secret"].startswith(made["apiKey"]["prefix"])
    key = GraphQL(graphql.client, graphql.project, {"Authorization": f"Bearer {made['secret']}"})
    await _put(key, {"by": "key"})
    forbidden = await key.do("createApiKey", wanted, "secret")
    assert (forbidden["__typename"], forbidden["code"]) == ("Forbidden", "jwt_required")
    gone = await graphql.do(
        "revokeApiKey", {"projectId": project_id, "keyUuid": made["apiKey"]["uuid"]}, "apiKey { revokedAt }"
    )
    assert gone["apiKey"]["revokedAt"] is not None
    assert (await key.post("{ viewer { name } }")).status_code == 401
    listed = await graphql.ask("query ($id: Int!) { project(id: $id) { apiKeys { name } } }", {"id": project_id})
    assert listed["project"]["apiKeys"] == [{"name": "ci"}]
    for change, typename in (({"scopes": []}, "ValidationFailed"), ({"name": ""}, "ValidationFailed")):
        assert (await graphql.do("createApiKey", wanted | change, "secret"))["__typename"] == typename
    unknown = await graphql.do("revokeApiKey", {"projectId": project_id, "keyUuid": str(uuid4())}, "apiKey { name }")
    assert (unknown["__typename"], unknown["code"]) == ("NotFound", "not_found")


async def test_a_key_without_the_scope_is_refused(graphql: GraphQL, actor: Actor) -> None:
    made = await api_keys.create(actor, graphql.project.id, "reader", [Scope.READ])
    key = GraphQL(graphql.client, graphql.project, {"Authorization": f"Bearer {made.secret}"})
    refused = await key.do("writeDocument", {"patch": {"put": {}}}, "created")
    assert (refused["__typename"], refused["code"]) == ("Forbidden", "forbidden")
