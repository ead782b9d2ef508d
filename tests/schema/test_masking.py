"""What goes wrong tells nothing: not to the client, and nothing of what was asked to the log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from app.services import projects
from schema import field_facts
from schema.root import build_schema
from tests.schema.conftest import GraphQL
from tests.schema.hostile_documents import LIMITED
from tests.schema.test_guard import codes

CANARY = "sk_live_canary_4f1d"
UNTOLD = ("asyncpg", "SELECT ", "Traceback", ".py", "site-packages", "Did you mean", "strawberry", "litestar")
SECRET = 'createProject(input: {name: "x"}) { __typename }'
CREATE = "mutation ($name: String!) { createProject(input: {name: $name}) { __typename } }"

ASKED: list[tuple[str, dict[str, Any] | None]] = [
    (f'{{ viewer {{ name }} "{CANARY}" }}', None),
    (f'{{ node(id: "{CANARY}") {{ id }} ', None),
    (f'{{ node(id: "{CANARY}) {{ id }} }}', None),
    (f'{{ nodee(id: "{CANARY}") {{ id }} }}', None),
    (f'{{ node(id: "{CANARY}") {{ id }} }}', None),
    (f"{{ {CANARY} }}", None),
    (f"{{ {CANARY}: viewer {{ {CANARY} }} }}", None),
    (f"query {CANARY} {{ viewer {{ name }} }} query b {{ viewer {{ name }} }}", None),
    (f'{{ project(id: "{CANARY}") {{ name }} }}', None),
    ("query ($id: Int!) { project(id: $id) { name } }", {"id": CANARY}),
    ("query ($id: Int!) { project(id: $id) { name } }", {CANARY: CANARY}),
    ("query ($id: UUID!) { environment(uuid: $id) { name } }", {"id": CANARY}),
    (f'# {CANARY}\n{{ viewer {{ name }} }} fragment a on Viewer {{ ...a }} # "{CANARY}"', None),
    ("{ " + f"a: __typename @skip(if: {CANARY}) " * 16 + "}", None),
    (f"mutation {{ createProject(input: {{name: {CANARY}}}) {{ __typename }} }}", None),
    (f'mutation {{ createProject(input: {{nam: "{CANARY}"}}) {{ __typename }} }}', None),
    (f'{{ project(id: 1) {{ document(key: "{CANARY}") {{ value(pointer: "{CANARY}") }} }} }}', None),
]


@contextmanager
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Give all that is logged in the block, after it."""
    said: list[str] = []
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.WARNING, "httpx"), capture_logs() as logged:
        yield said
    said += [caplog.text, *map(str, logged)]


@pytest.mark.parametrize(("query", "variables"), ASKED)
async def test_what_was_asked_is_never_logged(
    graphql: GraphQL, caplog: pytest.LogCaptureFixture, query: str, variables: dict[str, Any] | None
) -> None:
    with logs(caplog) as said:
        answer = await graphql.post(query, variables)
    assert answer.status_code in (200, 400)
    assert not any(CANARY in line for line in said)
    told = answer.text.replace(CANARY, "")
    assert not [word for word in UNTOLD if word in told], told


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError(f"{CANARY} in /srv/app/main.py"),
        asyncpg.DataError(f"invalid input: SELECT {CANARY} FROM account"),
        KeyError(CANARY),
        RecursionError(CANARY),
        UnicodeEncodeError("utf-8", CANARY, 0, 1, CANARY),
        ZeroDivisionError(),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_unexpected_errors_are_masked_with_the_requests_id(
    graphql: GraphQL, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    async def broken(*_: object) -> None:
        raise failure

    monkeypatch.setattr(projects, "create", broken)
    with logs(caplog) as said:
        answer = await graphql.post(CREATE, {"name": CANARY}, **{"X-Request-Id": "the-id"})
    (error,) = answer.json()["errors"]
    assert error["extensions"] == {"code": "internal_error", "requestId": "the-id"}
    assert "the-id" in error["message"]
    assert CANARY not in answer.text
    assert not [word for word in UNTOLD if word in answer.text]
    assert not any(CANARY in line for line in said)
    assert any("the-id" in line and type(failure).__name__ in line for line in said)


@pytest.mark.parametrize(
    "query",
    [
        "mutation { " + " ".join(f"a{n}: {SECRET}" for n in range(2)) + "}",
        "mutation { " + " ".join(f"a{n}: {SECRET}" for n in range(100)) + "}",
        'mutation { ...a ...a } fragment a on Mutation { createProject(input: {name: "x"}) { __typename } }',
        "mutation { ...a ...b } " + " ".join(f"fragment {name} on Mutation {{ {SECRET} }}" for name in "ab"),
    ],
    ids=["two aliases", "a hundred aliases", "a fragment twice", "two fragments"],
)
async def test_what_compares_a_secret_is_asked_for_once(monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    monkeypatch.setattr(field_facts, "_ONCE", frozenset({("Mutation", "createProject")}))
    schema = build_schema()
    result = await schema.execute(query)
    assert codes(result) == {LIMITED}
    assert result.errors
    assert (result.errors[0].extensions or {})["limit"] in ("secret_fields", "aliases", "tokens")
    single = await schema.execute('mutation { createProject(input: {name: "x"}) { __typename } }')
    assert LIMITED not in codes(single)
