"""GraphQL over HTTP: media types, methods, credentials, GraphiQL."""

import httpx
import pytest

from schema.negotiation import GRAPHQL_RESPONSE, JSON, negotiate
from tests.schema.conftest import GraphQL

QUERY = {"query": "{ __typename }"}


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        ("application/json; charset=utf-8", JSON),
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}, {JSON}", GRAPHQL_RESPONSE),
        (f"{JSON}, {GRAPHQL_RESPONSE}", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0.9, {JSON}", JSON),
        (f"{GRAPHQL_RESPONSE};q=x, */*;q=0.1", JSON),
        (f"{JSON};q=0, */*", GRAPHQL_RESPONSE),
        ("text/html, */*;q=0.8", JSON),
        ("text/event-stream", None),
        ("image/png", None),
    ],
)
def test_negotiation(accept: str | None, media_type: str | None) -> None:
    assert negotiate(accept) == media_type


@pytest.mark.parametrize("query", ["{", "{ nothing }", "", "query ($x: Int!) { project(id: $x) { name } }"])
async def test_requests_that_never_run_are_400_unless_json_is_named(client: httpx.AsyncClient, query: str) -> None:
    for accept, status in (("*/*", 400), (GRAPHQL_RESPONSE, 400), (JSON, 200 if query else 400)):
        answer = await client.post("/graphql", json={"query": query}, headers={"Accept": accept})
        assert answer.status_code == status, (accept, answer.text)
        assert "data" not in answer.json()
        assert answer.json()["errors"][0]["extensions"]["code"]
        assert answer.headers["content-type"].startswith(GRAPHQL_RESPONSE if accept == GRAPHQL_RESPONSE else JSON)
        assert answer.headers["x-request-id"]


async def test_an_error_of_one_field_is_200_with_data(graphql: GraphQL) -> None:
    answer = await graphql.post("{ project(id: 999999999) { name } __typename }", Accept=GRAPHQL_RESPONSE)
    assert answer.status_code == 200
    assert answer.json()["data"] == {"project": None, "__typename": "Query"}


async def test_queries_by_get_and_no_mutations(client: httpx.AsyncClient) -> None:
    answer = await client.get("/graphql", params={**QUERY, "variables": '{"a": 1}', "extensions": ""})
    assert (answer.status_code, answer.json()) == (200, {"data": {"__typename": "Query"}})
    for wrong in ("{", "[]", "5", '{"a": NaN}'):
        answer = await client.get("/graphql", params={**QUERY, "variables": wrong})
        assert answer.status_code == 400, wrong
    query = 'mutation { createProject(input: {name: "x"}) { __typename } }'
    answer = await client.get("/graphql", params={"query": query})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert (await client.get("/graphql")).status_code == 400
    assert (await client.put("/graphql", json=QUERY)).status_code == 405


async def test_two_operations_need_a_name(client: httpx.AsyncClient) -> None:
    body = {"query": "query A { a: __typename } query B { b: __typename }"}
    assert (await client.post("/graphql", json=body)).status_code == 400
    assert (await client.post("/graphql", json=body | {"operationName": "C"})).status_code == 400
    answer = await client.post("/graphql", json=body | {"operationName": "B"})
    assert answer.json() == {"data": {"b": "Query"}}


async def test_browsers_get_graphiql_from_local_files(client: httpx.AsyncClient) -> None:
    answer = await client.get("/graphql", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "graphiql" in answer.text.lower()
    assert "//cdn" not in answer.text
    assert "unpkg" not in answer.text
    with_query = await client.get("/graphql", params=QUERY, headers={"Accept": "text/html"})
    assert with_query.status_code == 406


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/graphql", ""])
async def test_only_json_bodies(client: httpx.AsyncClient, content_type: str) -> None:
    body = b'{"query": "{ __typename }"}'
    answer = await client.post("/graphql", content=body, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (415, "unsupported_media_type")


async def test_without_credentials_only_the_schema_can_be_read(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", json={"query": "{ viewer { name } __schema { queryType { name } } }"})
    assert answer.json() == {"data": {"viewer": None, "__schema": {"queryType": {"name": "Query"}}}}
    queries = [
        "{ projects { totalCount } }",
        "{ project(id: 1) { name } }",
        '{ environment(uuid: "00000000-0000-4000-8000-000000000000") { name } }',
        '{ node(id: "UHJvamVjdDox") { id } }',
        'mutation { createProject(input: {name: "x"}) { __typename } }',
        "mutation { writeDocument(input: {projectId: 1, patch: {put: {}}}) { __typename } }",
    ]
    for query in queries:
        answer = await client.post("/graphql", json={"query": query})
        codes = [error["extensions"]["code"] for error in answer.json()["errors"]]
        assert codes == ["unauthenticated"], query


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer x", "Basic eDp4", "Bearer sk_live_" + "0" * 40])
async def test_wrong_credentials_are_401(client: httpx.AsyncClient, authorization: str) -> None:
    answer = await client.post("/graphql", json=QUERY, headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "unauthenticated"
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_the_environment_named_twice_is_refused(graphql: GraphQL) -> None:
    headers = [*graphql.headers.items(), ("X-AgentStack-Env", "a"), ("X-AgentStack-Env", "b")]
    answer = await graphql.client.post("/graphql", json=QUERY, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "bad_request")
