"""Global ids, and pages that join without gap or repeat."""

from base64 import urlsafe_b64encode
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import MakeActor
from tests.schema.conftest import GraphQL, headers_of


async def _walk(graphql: GraphQL, field: str, item: str, size: int) -> list[Any]:
    query = (
        f"query ($id: Int!, $after: String) {{ project(id: $id) {{ {field} {{ totalCount pageInfo {{ hasNextPage"
        f" hasPreviousPage startCursor endCursor }} nodes {{ {item} }} edges {{ cursor node {{ {item} }} }} }} }} }}"
    )
    items: list[Any] = []
    after = None
    while True:
        found = (await graphql.ask(query, {"id": graphql.project.id, "after": after}))["project"]
        page = found.popitem()[1]
        page = page.get("documents", page)
        assert page["nodes"] == [edge["node"] for edge in page["edges"]]
        assert len(page["nodes"]) <= size
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        if page["edges"]:
            assert page["pageInfo"]["startCursor"] == page["edges"][0]["cursor"]
        items += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            assert page["totalCount"] == len(items)
            return items


async def test_pages_of_everything(graphql: GraphQL) -> None:
    for number in range(5):
        env = await graphql.fork(f"env{number}")
        await graphql.do("checkpoint", {"envUuid": env["uuid"]}, "entities")
        await graphql.do("backupProduction", {"projectId": graphql.project.id}, "entities")
    names = [env["name"] for env in await _walk(graphql, "environments(first: 2, after: $after)", "name", 2)]
    assert names == ["production", *(f"env{number}" for number in range(5))]
    checkpoints = await _walk(graphql, "checkpoints(first: 2, after: $after)", "environment { name }", 2)
    assert [node["environment"]["name"] for node in checkpoints] == [f"env{number}" for number in reversed(range(5))]
    assert len(await _walk(graphql, "backups(first: 2, after: $after)", "uuid", 2)) == 5
    versions = [change["version"] for change in await _walk(graphql, "history(first: 2, after: $after)", "version", 2)]
    assert versions == sorted(versions, reverse=True)
    types = await _walk(graphql, "environments(type: [PRODUCTION], status: [LIVE], after: $after)", "type", 50)
    assert types == [{"type": "PRODUCTION"}]


async def test_each_edge_has_a_cursor_to_go_on_from(graphql: GraphQL) -> None:
    for key in "abcde":
        wanted = {"projectId": graphql.project.id, "kind": "page", "key": key, "patch": {"put": {}}}
        await graphql.do("writeDocument", wanted, "created")
    query = (
        "query ($id: Int!, $first: Int, $after: String) { project(id: $id) { production {"
        ' documents(kind: "page", first: $first, after: $after) { edges { cursor node { key } } } } } }'
    )

    async def keys(**page: object) -> list[Any]:
        found = (await graphql.ask(query, {"id": graphql.project.id, **page}))["project"]["production"]["documents"]
        return [(edge["cursor"], edge["node"]["key"]) for edge in found["edges"]]

    everything = await keys(first=None)
    assert [key for _, key in everything] == list("abcde")
    for position, (cursor, _) in enumerate(everything):
        assert await keys(after=cursor, first=200) == everything[position + 1 :]


@pytest.mark.parametrize("first", [0, -1, 201, 2**31 - 1])
async def test_a_page_has_1_to_200_items(graphql: GraphQL, first: int) -> None:
    fields = ["environments", "history", "checkpoints", "backups", 'production { documents(kind: "project"']
    for field in fields:
        end = ") { totalCount } }" if "production" in field else ") { totalCount }"
        start = f"{field}, " if "production" in field else f"{field}("
        query = f"query ($id: Int!, $first: Int) {{ project(id: $id) {{ {start}first: $first{end} }} }}"
        assert await graphql.errors(query, {"id": graphql.project.id, "first": first}) == ["validation_failed"], field


@pytest.mark.parametrize("after", ["x", "", "W10", "WyJhIiwgMV0", "\ud800".encode("utf-8", "surrogatepass").hex()])
async def test_cursors_of_others_are_refused(graphql: GraphQL, after: str) -> None:
    query = "query ($id: Int!, $after: String) { project(id: $id) { history(after: $after) { totalCount } } }"
    codes = await graphql.errors(query, {"id": graphql.project.id, "after": after}) if after else ["bad_request"]
    assert codes == ["bad_request"]


async def test_nodes_are_found_again(graphql: GraphQL, make_actor: MakeActor) -> None:
    env = await graphql.fork("one")
    wanted = {"projectId": graphql.project.id, "name": "ci", "scopes": ["READ"]}
    key = (await graphql.do("createApiKey", wanted, "apiKey { id }"))["apiKey"]["id"]
    ids = (
        await graphql.ask(
            "query ($id: Int!) { project(id: $id) { id production { id head { id } } } }", {"id": graphql.project.id}
        )
    )["project"]
    wanted_ids = [ids["id"], ids["production"]["id"], ids["production"]["head"]["id"], env["id"], key]
    query = (
        "query ($ids: [ID!]!) { nodes(ids: $ids) { id __typename ... on Environment { name }"
        " ... on Generation { number } ... on Project { name } ... on ApiKey { name } } }"
    )
    nodes = (await graphql.ask(query, {"ids": wanted_ids}))["nodes"]
    assert [node["id"] for node in nodes] == wanted_ids
    assert [node["__typename"] for node in nodes] == ["Project", "Environment", "Generation", "Environment", "ApiKey"]
    assert nodes[3]["name"] == "one"
    one = await graphql.ask("query ($id: ID!) { node(id: $id) { id __typename } }", {"id": env["id"]})
    assert one["node"] == {"id": env["id"], "__typename": "Environment"}
    stranger = GraphQL(graphql.client, graphql.project, await headers_of(await make_actor()))
    assert (await stranger.ask(query, {"ids": wanted_ids}))["nodes"] == [None] * 5


async def test_unknown_and_unreadable_ids(graphql: GraphQL) -> None:
    def encoded(text: str) -> str:
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    query = "query ($id: ID!) { node(id: $id) { id } }"
    for text in (f"Environment:{graphql.project.id}:{uuid4()}", "Project:999999999", f"Change:{graphql.project.id}"):
        assert (await graphql.ask(query, {"id": encoded(text)}))["node"] is None
    for text in ("", "x", encoded("Project"), encoded("Project:x"), encoded("Project:99999999999"), "ä", "\0", "5"):
        assert await graphql.errors(query, {"id": text}) == ["validation_failed"], text
    too_many = [encoded("Project:1")] * 201
    codes = await graphql.errors("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": too_many})
    assert codes == ["validation_failed"]


async def test_objects_of_others_are_not_there(graphql: GraphQL, make_actor: MakeActor) -> None:
    env = await graphql.fork("one")
    stranger = GraphQL(graphql.client, graphql.project, await headers_of(await make_actor()))
    foreign, unknown = {"uuid": env["uuid"]}, {"uuid": str(uuid4())}
    for query in (
        "query ($uuid: UUID!) { environment(uuid: $uuid) { name } }",
        "query ($uuid: UUID!) { generation(uuid: $uuid) { number } }",
        "query ($uuid: UUID!) { diff(a: $uuid, b: $uuid) { isEmpty } }",
    ):
        answers = [(await stranger.post(query, named)).text.replace(named["uuid"], "") for named in (foreign, unknown)]
        assert answers[0] == answers[1]
        assert "_not_found" in answers[0]
    assert await stranger.errors("query ($id: Int!) { project(id: $id) { name } }", {"id": graphql.project.id}) == [
        "project_not_found"
    ]
    projects = await stranger.ask("{ projects { totalCount nodes { name } } }")
    assert projects["projects"] == {"totalCount": 0, "nodes": []}
