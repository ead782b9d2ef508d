"""Input that means harm or nothing gets a 4xx with a reason, never a 500, and nothing of it is logged."""

import logging
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from app.services import projects
from tests.schema.conftest import GraphQL

PUT = (
    "mutation ($id: Int!, $value: JSON!) { writeDocument(input: {projectId: $id, patch: {put: $value}})"
    " { __typename ... on Refusal { code message } } }"
)


CODES = ("malformed_json", "bad_request", "graphql_parse_failed", "graphql_invalid", "query_limit_exceeded")


def _body(value: bytes, project_id: int) -> bytes:
    return b'{"query": "%s", "variables": {"id": %d, "value": %s}}' % (PUT.encode(), project_id, value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"5",
        b'"x"',
        b"[]",
        b"[{}]",
        b"{}",
        b"{",
        b'{"query": 5}',
        b'{"query": null}',
        b'{"query": ["{ __typename }"]}',
        b'{"query": "{ __typename }", "variables": []}',
        b'{"query": "{ __typename }", "variables": "x"}',
        b'{"query": "{ __typename }", "operationName": 5}',
        b'{"query": "{ __typename }", "extensions": 5}',
        b'{"query": "{ __typename }", "query": "{ x }"}',
        b'{"query": "\xff"}',
        b'\xef\xbb\xbf{"query": "{ __typename }"}',
        '{"query": "{ __typename }"}'.encode("utf-16"),
        b'{"query": "{ __typename }", "variables": {"a": NaN}}',
        b'{"query": "{ __typename }", "variables": {"a": 1e999999}}',
        b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 5_000 + b"}}",
        b'{"query": "{ __typename }", "variables": {"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}}",
        b'{"query": "\\ud800"}',
        b'{"query": "{ \\u0000 }"}',
        b'{"query": "{ a(b: \\"\\ud800\\") }"}',
        b'{"query": "' + b"{ project(id: 1) " * 5_000 + b'"}',
        b'{"query": "{ a(b: ' + b"[" * 5_000 + b"]" * 5_000 + b') }"}',
        b'{"query": "{ __typename ' + b"a: __typename " * 500 + b'}"}',
        b'{"query": "query A { ...a } fragment a on Query { ...b } fragment b on Query { ...a }"}',
        b'{"query": "{ __typename }", "variables": ' + b" " * 100 + b"tru}",
    ],
)
async def test_unusable_requests_are_400(graphql: GraphQL, body: bytes) -> None:
    answer = await graphql.raw(body)
    assert answer.status_code == 400, answer.text
    (error, *_) = answer.json()["errors"]
    assert error["extensions"]["code"] in CODES
    assert error["message"]


async def test_a_large_body_is_413(graphql: GraphQL) -> None:
    answer = await graphql.raw(b'{"query": "{ __typename }", "variables": {"a": "' + b"x" * 2_000_000 + b'"}}')
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [
        (b'{"a": "\\u0000"}', 200, "value_not_storable"),
        (b'{"\\u0000": 1}', 200, "value_not_storable"),
        (b'{"a": "\\ud800"}', 200, "value_not_storable"),
        (b'{"\\udfff": "x"}', 200, "value_not_storable"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", 200, "value_not_storable"),
        (b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}", 400, "malformed_json"),
        (b'{"a": 1e131071}', 400, "malformed_json"),
        (b'{"a": Infinity}', 400, "malformed_json"),
        (b'{"a": 1, "a": 2}', 400, "malformed_json"),
        (b'{"a": 1e-500}', 200, "value_not_storable"),
        (b'{"' + b"k" * 300 + b'": 1}', 200, "value_not_storable"),
    ],
)
async def test_values_that_cannot_be_stored(graphql: GraphQL, value: bytes, status: int, code: str) -> None:
    answer = await graphql.raw(_body(value, graphql.project.id))
    assert answer.status_code == status, answer.text
    assert code in answer.text
    document = "query ($id: Int!) { project(id: $id) { document { data } } }"
    assert (await graphql.ask(document, {"id": graphql.project.id}))["project"]["document"]["data"] == {}


async def test_literals_that_no_json_is(graphql: GraphQL) -> None:
    literals = {
        "ENUM": "graphql_invalid",
        "[ENUM]": "graphql_invalid",
        "1e999": "graphql_invalid",
    }
    for literal, code in literals.items():
        wanted = f"{{projectId: {graphql.project.id}, patch: {{put: {{a: {literal}}}}}}}"
        query = f"mutation {{ writeDocument(input: {wanted}) {{ __typename }} }}"
        assert await graphql.errors(query) == [code], literal


@pytest.mark.parametrize("name", ["\0", "a\0b", "\ud800", "x" * 10_000, "' OR 1=1 --", "%", "../..", "\u202e"])
async def test_names_are_only_names(graphql: GraphQL, name: str) -> None:
    text = (
        name.encode("unicode_escape").decode().replace("\\x00", "\\u0000") if name in ("\0", "a\0b", "\ud800") else name
    )
    queries = [
        f'{{ project(id: {graphql.project.id}) {{ environment(name: "{text}") {{ name }} }} }}',
        f'{{ project(id: {graphql.project.id}) {{ document(kind: "user", key: "{text}") {{ data }} }} }}',
        f'{{ project(id: {graphql.project.id}) {{ history(kind: "user", key: "{text}") {{ totalCount }} }} }}',
        f'{{ project(id: {graphql.project.id}) {{ production {{ documents(kind: "{text}") {{ totalCount }} }} }} }}',
        f'{{ project(id: {graphql.project.id}) {{ history(after: "{text}") {{ totalCount }} }} }}',
        f'{{ node(id: "{text}") {{ id }} }}',
        f'mutation {{ createProject(input: {{name: "{text}"}}) {{ ... on Refusal {{ code message }} }} }}',
    ]
    for query in queries:
        body = b'{"query": "%s"}' % query.replace("\\", "\\\\").replace('"', '\\"').encode("utf-8", "surrogatepass")
        answer = await graphql.raw(body)
        assert answer.status_code in (200, 400), answer.text
        assert "internal_error" not in answer.text, query


async def test_scalars_of_the_wrong_kind(graphql: GraphQL) -> None:
    query = "query ($uuid: UUID!) { environment(uuid: $uuid) { name } }"
    wrong: list[Any] = [None, 5, True, [], {}, "", "x", "g" * 32, "\0", "0" * 10_000]
    for uuid in wrong:
        assert await graphql.errors(query, {"uuid": uuid}) == ["graphql_invalid"], uuid
    at = "query ($id: Int!, $at: At) { project(id: $id) { production { document(at: $at) { data } } } }"
    moments: list[Any] = [
        {"time": "2026-01-01"},
        {"time": "2026-01-01T00:00:00"},
        {"time": "now"},
        {"time": 5},
        {"time": "0001-01-01T00:00:00+23:59"},
        {"version": "5"},
        {"version": 2**60},
        {"version": True},
        {"version": 1, "checkpoint": str(uuid4())},
        {},
        5,
    ]
    for moment in moments:
        assert await graphql.errors(at, {"id": graphql.project.id, "at": moment}) == ["graphql_invalid"], moment
    for moment, code in (
        ({"time": "0001-01-01T00:00:00Z"}, "version_not_found"),
        ({"version": 2**50}, "version_not_found"),
        ({"version": -1}, "version_not_found"),
        ({"checkpoint": str(uuid4())}, "checkpoint_not_found"),
    ):
        assert await graphql.errors(at, {"id": graphql.project.id, "at": moment}) == [code], moment
    for number in (2**31, "1", 1.5, None):
        assert await graphql.errors("query ($id: Int!) { project(id: $id) { name } }", {"id": number}) == [
            "graphql_invalid"
        ]


async def test_the_unexpected_is_masked_and_logged_without_what_was_asked(
    graphql: GraphQL, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("SELECT secret_in_the_error FROM account")

    monkeypatch.setattr(projects, "create", broken)
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.WARNING, "httpx"), capture_logs() as logged:
        query = "mutation ($name: String!) { createProject(input: {name: $name}) { __typename } }"
        answer = await graphql.post(query, {"name": "secret_in_a_variable"}, **{"X-Request-Id": "abc-1"})
        await graphql.post('{ project(id: "secret_in_a_literal") { secret_in_a_field } }')
    (error,) = answer.json()["errors"]
    assert error["extensions"] == {"code": "internal_error", "requestId": "abc-1"}
    assert "secret" not in answer.text
    (entry,) = logged
    assert (entry["request_id"], entry["exception"]) == ("abc-1", "RuntimeError")
    assert entry["frames"][-1].endswith(" broken")
    for text in (caplog.text, repr(logged)):
        assert "secret" not in text
        assert "createProject(" not in text
