"""Writing and reading documents through GraphQL: exact values, versions, contexts, the past."""

from decimal import Decimal
from typing import Any

from app.domain.json_text import parse_json
from tests.schema.conftest import GraphQL

WRITTEN = "document { data version overrides { path value removed } } change { version origin } created"
EXACT = (
    '{"big": 123456789012345678901234567890, "money": 19.90, "tiny": 1E-7, "long": 0.1234567890123456789012345,'
    ' "null": null, "": {"a.b": [], "c/d~e": {}}, "text": "\\u00e9\\ud83d\\ude00", "zero": 0, "no": false}'
)


async def test_numbers_keep_their_digits_through_variables(graphql: GraphQL) -> None:
    value = parse_json(EXACT)
    wanted = {"projectId": graphql.project.id, "patch": {"put": value}}
    written = await graphql.do("writeDocument", wanted, WRITTEN)
    assert written["document"]["data"] == value
    answer = await graphql.post(
        'query ($id: Int!) { project(id: $id) { document { data money: value(pointer: "/money") } } }',
        {"id": graphql.project.id},
    )
    assert '"money":19.90' in answer.text
    assert '"big":123456789012345678901234567890' in answer.text
    assert parse_json(answer.content) == {"data": {"project": {"document": {"data": value, "money": Decimal("19.90")}}}}


async def test_numbers_keep_their_digits_through_literals(graphql: GraphQL) -> None:
    answer = await graphql.post(
        "mutation ($id: Int!, $nested: JSON) { writeDocument(input: {projectId: $id, patch: {put: {"
        'big: 123456789012345678901234567890, money: 19.90, list: [1.10, -0.0, 1e2, null, true, "x"],'
        " nested: {from: $nested}}}}) { ... on WriteDocumentPayload { document { data } } } }",
        {"id": graphql.project.id, "nested": Decimal("0.10000000000000000000001")},
    )
    assert answer.text == (
        '{"data":{"writeDocument":{"document":{"data":{"big":123456789012345678901234567890,"money":19.90,'
        '"list":[1.10,0.0,100,null,true,"x"],"nested":{"from":0.10000000000000000000001}}}}}}'
    )


async def test_put_merge_and_json_patch(graphql: GraphQL) -> None:
    env = await graphql.fork("one")

    async def write(patch: dict[str, Any], **more: object) -> Any:
        return await graphql.do("writeDocument", {"envUuid": env["uuid"], "patch": patch, **more}, WRITTEN)

    assert (await write({"put": {"a": 1, "b": {"c": 2}}}))["document"]["data"] == {"a": 1, "b": {"c": 2}}
    merged = await write({"merge": {"a": None, "b": {"d": 3}}})
    assert merged["document"]["data"] == {"b": {"c": 2, "d": 3}}
    patched = await write({"jsonPatch": [{"op": "replace", "path": "/b/c", "value": [1]}]})
    assert patched["document"]["data"] == {"b": {"c": [1], "d": 3}}
    assert patched["document"]["overrides"] == [
        {"path": "/b", "value": {"c": [1], "d": 3}, "removed": False},
    ]
    below = await write({"put": "deep"}, path="/b/d")
    assert below["document"]["data"] == {"b": {"c": [1], "d": "deep"}}
    nothing = await write({"putNull": True}, path="/b/c")
    assert nothing["document"]["data"] == {"b": {"c": None, "d": "deep"}}
    same = await write({"put": {"b": {"c": None, "d": "deep"}}})
    assert (same["change"], same["created"]) == (None, False)


async def test_documents_of_other_kinds_are_made_hidden_and_listed(graphql: GraphQL) -> None:
    project_id = graphql.project.id
    order = {"projectId": project_id, "kind": "order", "key": "A-1"}
    made = await graphql.do("writeDocument", order | {"patch": {"put": {"total": 5}}}, WRITTEN)
    assert made["created"] is True
    env = await graphql.fork("one")
    hidden = await graphql.do(
        "deleteDocument", {"envUuid": env["uuid"], "kind": "order", "key": "A-1"}, "change { kind key origin }"
    )
    assert hidden["change"] == {"kind": "order", "key": "A-1", "origin": "WRITE"}
    query = (
        'query ($id: Int!) { project(id: $id) { environments { nodes { name document(kind: "order", key: "A-1")'
        ' { data } documents(kind: "order") { totalCount nodes { key data } } } } } }'
    )
    nodes = (await graphql.ask(query, {"id": project_id}))["project"]["environments"]["nodes"]
    production, fork = nodes
    assert production["document"] == {"data": {"total": 5}}
    assert production["documents"] == {"totalCount": 1, "nodes": [{"key": "A-1", "data": {"total": 5}}]}
    assert fork["document"] is None
    assert fork["documents"] == {"totalCount": 0, "nodes": []}


async def test_refused_writes_change_nothing(graphql: GraphQL) -> None:
    project_id = graphql.project.id
    first = await graphql.do("writeDocument", {"projectId": project_id, "patch": {"put": {"a": 1}}}, WRITTEN)
    version = first["document"]["version"]
    await graphql.do("writeDocument", {"projectId": project_id, "patch": {"put": {"a": 2}}}, WRITTEN)
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"expectedVersion": version, "patch": {"put": {}}}, "VersionConflict", "version_conflict"),
        ({"expectedExists": False, "patch": {"put": {}}}, "VersionConflict", "version_conflict"),
        ({"patch": {"put": 5}}, "ValidationFailed", "validation_failed"),
        ({"patch": {"put": {"a": "\0"}}}, "ValidationFailed", "value_not_storable"),
        ({"patch": {"putNull": False}}, "ValidationFailed", "validation_failed"),
        ({"patch": {"jsonPatch": {}}}, "ValidationFailed", "validation_failed"),
        ({"patch": {"jsonPatch": [{"op": "remove", "path": "/x"}]}}, "ValidationFailed", "patch_failed"),
        (
            {"patch": {"jsonPatch": [{"op": "test", "path": "/a", "value": 1}]}},
            "PatchTestFailed",
            "patch_test_failed",
        ),
        ({"path": "/a/y", "patch": {"put": 1}}, "NotFound", "path_not_found"),
        ({"kind": "order", "key": "1", "patch": {"merge": {}}}, "NotFound", "document_not_found"),
        ({"kind": "order", "patch": {"put": {}}}, "ValidationFailed", "validation_failed"),
        ({"kind": "no kind", "key": "1", "patch": {"put": {}}}, "ValidationFailed", "validation_failed"),
        ({"kind": "order", "key": "\0", "patch": {"put": {}}}, "ValidationFailed", "validation_failed"),
    ]
    for change, typename, code in cases:
        refused = await graphql.do("writeDocument", {"projectId": project_id, **change}, WRITTEN)
        assert (refused["__typename"], refused["code"]) == (typename, code), change
    history = "query ($id: Int!) { project(id: $id) { document { data } history { totalCount } } }"
    assert (await graphql.ask(history, {"id": project_id}))["project"] == {
        "document": {"data": {"a": 2}},
        "history": {"totalCount": 3},
    }


async def test_a_version_conflict_names_the_version_now(graphql: GraphQL) -> None:
    wanted = {"projectId": graphql.project.id, "patch": {"put": {"a": 1}}}
    now = (await graphql.do("writeDocument", wanted, WRITTEN))["document"]["version"]
    refused = await graphql.do(
        "writeDocument", wanted | {"expectedVersion": "old"}, WRITTEN, "... on VersionConflict { expected current }"
    )
    assert (refused["expected"], refused["current"]) == ("old", now)
    assert (await graphql.do("writeDocument", wanted | {"expectedVersion": now}, WRITTEN))["change"] is None


async def test_delete_refusals(graphql: GraphQL) -> None:
    project_id = graphql.project.id
    cases = [
        ({"kind": "project", "key": "project"}, "InvalidTransition", "document_required"),
        ({"kind": "order", "key": "none"}, "NotFound", "document_not_found"),
    ]
    for change, typename, code in cases:
        refused = await graphql.do("deleteDocument", {"projectId": project_id, **change}, "change { version }")
        assert (refused["__typename"], refused["code"]) == (typename, code)


async def test_the_request_names_the_environment(graphql: GraphQL) -> None:
    project_id = graphql.project.id
    env = await graphql.fork("feature/ü")
    await graphql.do(
        "writeDocument",
        {"projectId": project_id, "patch": {"put": {"here": 1}}},
        WRITTEN,
        **{"X-AgentStack-Env": env["uuid"]},
    )
    query = (
        "query ($id: Int!) { project(id: $id) { document { data } activeEnvironment { name }"
        " production { document { data } } } }"
    )
    for header in (env["uuid"], "feature/%C3%BC"):
        seen = (await graphql.ask(query, {"id": project_id}, **{"X-AgentStack-Env": header}))["project"]
        assert seen == {
            "document": {"data": {"here": 1}},
            "activeEnvironment": {"name": "feature/ü"},
            "production": {"document": {"data": {}}},
        }
    assert (await graphql.ask(query, {"id": project_id}))["project"]["document"] == {"data": {}}
    assert await graphql.errors(query, {"id": project_id}, **{"X-AgentStack-Env": "none"}) == [
        "environment_not_found",
        "environment_not_found",
    ]


async def test_the_past(graphql: GraphQL) -> None:
    env = await graphql.fork("one")
    wanted = {"envUuid": env["uuid"]}
    first = await graphql.do("writeDocument", wanted | {"patch": {"put": {"n": 1}}}, WRITTEN)
    checkpoint = (await graphql.do("checkpoint", wanted, "checkpoint { uuid createdAt }"))["checkpoint"]
    await graphql.do("writeDocument", wanted | {"patch": {"put": {"n": 2}}}, WRITTEN)
    query = (
        "query ($env: UUID!, $at: At) { environment(uuid: $env) { document(at: $at) { data }"
        ' documents(kind: "project", at: $at) { totalCount nodes { data } } } }'
    )
    for moment in (
        {"version": first["change"]["version"]},
        {"time": checkpoint["createdAt"]},
        {"checkpoint": checkpoint["uuid"]},
    ):
        seen = (await graphql.ask(query, {"env": env["uuid"], "at": moment}))["environment"]
        assert seen["document"] == {"data": {"n": 1}}, moment
        total = 1 if "checkpoint" in moment else None
        assert seen["documents"] == {"totalCount": total, "nodes": [{"data": {"n": 1}}]}
    assert "version_not_found" in await graphql.errors(query, {"env": env["uuid"], "at": {"version": 10**6}})
    assert await graphql.errors(query, {"env": env["uuid"], "at": {}}) == ["graphql_invalid"]
    blame = (
        "query ($env: UUID!, $at: At) { environment(uuid: $env) {"
        ' document(at: $at) { blame(pointer: "/n") { version } } } }'
    )
    at_checkpoint = await graphql.ask(blame, {"env": env["uuid"], "at": {"checkpoint": checkpoint["uuid"]}})
    assert at_checkpoint["environment"]["document"]["blame"] == {"version": first["change"]["version"]}
    assert await graphql.errors(blame, {"env": env["uuid"], "at": {"version": 3}}) == ["validation_failed"]


async def test_filter(graphql: GraphQL) -> None:
    for number in range(5):
        user = {"projectId": graphql.project.id, "kind": "user", "key": f"u{number}"}
        await graphql.do("writeDocument", user | {"patch": {"put": {"age": 20 + number}}}, WRITTEN)
    query = (
        "query ($id: Int!, $filter: JSON) { project(id: $id) { production {"
        ' documents(kind: "user", filter: $filter, first: 2) { nodes { key } pageInfo { hasNextPage } } } } }'
    )
    rules = [{"field": "age", "op": "gt", "value": 21}]
    seen = (await graphql.ask(query, {"id": graphql.project.id, "filter": rules}))["project"]["production"]["documents"]
    assert seen == {"nodes": [{"key": "u2"}, {"key": "u3"}], "pageInfo": {"hasNextPage": True}}
    for wrong in ({"a": 1}, [{"field": "age"}], "x"):
        assert await graphql.errors(query, {"id": graphql.project.id, "filter": wrong}) == ["validation_failed"]
