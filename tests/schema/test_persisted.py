"""Documents that are named and not sent: automatic persisted queries, and lists of trusted documents."""

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

import httpx
import pytest

from app.domain.model import Actor
from app.domain.query_documents import DocumentNotTrusted, PersistedQueryNotFound, hash_of
from app.main import create_app
from app.settings import Settings
from schema.asked import Asked
from schema.negotiation import GRAPHQL_RESPONSE
from schema.persisted import KeptDocuments, TrustedDocuments, UnfitDocuments
from schema.root import build_schema
from tests.conftest import Database, MakeActor
from tests.doors import OwnTask, headers_of
from tests.schema.hostile_documents import doubling

if TYPE_CHECKING:
    from httpx._transports.asgi import _ASGIApp

TEXT = "query Name { viewer { name } }"
BOMB = doubling(30)
LISTED = {"name": TEXT, "bomb": BOMB, "two": "query A { a: __typename } query B { b: __typename }"}


def named(text: str, version: Any = 1) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": version, "sha256Hash": hash_of(text)}}}


def code(answer: httpx.Response) -> str:
    found: str = answer.json()["errors"][0]["extensions"]["code"]
    return found


async def test_a_document_is_sent_once_and_then_named(client: httpx.AsyncClient, owner: dict[str, str]) -> None:
    client.headers.update(owner)
    unknown = await client.post("/graphql", json=named(TEXT))
    assert (unknown.status_code, unknown.json()["errors"][0]["message"]) == (200, "PersistedQueryNotFound")
    assert code(unknown) == "persisted_query_not_found"
    strict = await client.post("/graphql", json=named(TEXT), headers={"Accept": GRAPHQL_RESPONSE})
    assert strict.status_code == 400
    first = await client.post("/graphql", json={"query": TEXT, **named(TEXT)})
    assert first.json()["data"]["viewer"]["name"]
    by_name = await client.post("/graphql", json=named(TEXT))
    by_id = await client.post("/graphql", json={"documentId": f"sha256:{hash_of(TEXT)}"})
    extensions = json.dumps(named(TEXT)["extensions"])
    by_get = await client.get("/graphql", params={"extensions": extensions}, headers={"Accept": "*/*"})
    assert by_name.content == by_id.content == by_get.content == first.content


async def test_everybody_finds_only_their_own(client: httpx.AsyncClient, make_actor: MakeActor) -> None:
    headers = [await headers_of(await make_actor()) for _ in range(2)]
    sent = await client.post("/graphql", json={"query": TEXT, **named(TEXT)}, headers=headers[0])
    assert sent.json()["data"]
    assert code(await client.post("/graphql", json=named(TEXT), headers=headers[1])) == "persisted_query_not_found"
    assert code(await client.post("/graphql", json=named(TEXT))) == "persisted_query_not_found"
    assert (await client.post("/graphql", json=named(TEXT), headers=headers[0])).json()["data"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"query": "{ __typename }", **named(TEXT)}, "persisted_query_mismatch"),
        ({"query": TEXT, **named(TEXT, version=2)}, "bad_request"),
        ({"query": TEXT, **named(TEXT, version=None)}, "bad_request"),
        ({"extensions": {"persistedQuery": 5}}, "bad_request"),
        ({"extensions": {"persistedQuery": {"version": 1}}}, "bad_request"),
        ({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "x" * 64}}}, "bad_request"),
        ({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": ["a"]}}}, "bad_request"),
        ({"documentId": 5}, "bad_request"),
        ({"documentId": "anything"}, "persisted_query_not_found"),
        ({}, "bad_request"),
    ],
)
async def test_names_that_cannot_be_followed(client: httpx.AsyncClient, asked: dict[str, Any], expected: str) -> None:
    answer = await client.post("/graphql", json=asked, headers={"Accept": GRAPHQL_RESPONSE})
    assert (answer.status_code, code(answer)) == (400, expected)


async def test_a_named_document_is_measured_as_one_that_is_sent(client: httpx.AsyncClient) -> None:
    for asked in ({"query": BOMB, **named(BOMB)}, named(BOMB)):
        assert code(await client.post("/graphql", json=asked)) == "query_limit_exceeded"
    long = "{ __typename }" + " " * 20_000
    assert code(await client.post("/graphql", json={"query": long, **named(long)})) == "query_limit_exceeded"
    assert code(await client.post("/graphql", json=named(long))) == "persisted_query_not_found"


async def test_mutations_do_not_come_by_get(client: httpx.AsyncClient, owner: dict[str, str]) -> None:
    text = 'mutation { createProject(input: {name: "x"}) { __typename } }'
    client.headers.update(owner)
    await client.post("/graphql", json={"query": text, **named(text)})
    answer = await client.get("/graphql", params={"extensions": json.dumps(named(text)["extensions"])})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def ask(text: str | None, name: str | None = None) -> Asked:
    return Asked(text, None, None, None, name)


def test_the_store_is_bounded_and_who_fills_it_pushes_out_their_own() -> None:
    store = KeptDocuments(100, most_of_one=3, most_bytes=50)
    first, second = Actor(uuid4(), "a"), Actor(uuid4(), "b")

    def keep(text: str, caller: Actor | None) -> str:
        name = f"sha256:{hash_of(text)}"
        store.text_of(ask(text, name), caller)
        return name

    def finds(name: str, caller: Actor | None) -> bool:
        try:
            return store.text_of(ask(None, name), caller) is not None
        except PersistedQueryNotFound:
            return False

    kept = keep("0123456789", first)
    names = [keep(f"{number:10}", second) for number in range(10)]
    assert finds(kept, first)
    assert [finds(name, second) for name in names] == [False] * 7 + [True] * 3
    assert not finds(keep("x" * 101, first), first)
    for _ in range(20):
        keep(uuid4().hex[:10], Actor(uuid4(), "c"))
    assert store._size <= 50
    assert sum(len(text) for own in store._kept.values() for text in own.values()) == store._size
    assert all(store._kept.values())


def test_keys_and_their_owners_are_told_apart() -> None:
    store = KeptDocuments(100)
    account = uuid4()
    name = f"sha256:{hash_of('{ a }')}"
    store.text_of(ask("{ a }", name), Actor(account, "a"))
    with pytest.raises(PersistedQueryNotFound):
        store.text_of(ask(None, name), Actor(account, "a", key_uuid=UUID(int=1), project_id=1))


@pytest.fixture
async def trusting(database: Database, pool: None, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that runs only what is listed."""
    settings = Settings(database_url=database.app_dsn, trusted_documents=LISTED)
    transport = OwnTask(app=cast("_ASGIApp", create_app(settings)), client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as found:
        yield found


@pytest.mark.parametrize(
    "asked",
    [
        {"documentId": "name"},
        {"documentId": f"sha256:{hash_of(TEXT)}"},
        {"query": TEXT},
        {"query": TEXT, "documentId": "name"},
        named(TEXT),
        {"query": TEXT, **named(TEXT)},
    ],
)
async def test_what_is_listed_runs(trusting: httpx.AsyncClient, asked: dict[str, Any]) -> None:
    assert (await trusting.post("/graphql", json=asked)).json() == {"data": {"viewer": None}}


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ({"query": "{ __typename }"}, 403, "document_not_trusted"),
        ({"query": "{ __schema { queryType { name } } }"}, 403, "document_not_trusted"),
        ({"query": f"{TEXT} "}, 403, "document_not_trusted"),
        ({"query": "{ __typename }", **named("{ __typename }")}, 403, "document_not_trusted"),
        (named("{ __typename }"), 403, "document_not_trusted"),
        ({"documentId": "other"}, 403, "document_not_trusted"),
        ({"documentId": ""}, 400, "bad_request"),
        ({"query": "{ __typename }", "documentId": "name"}, 400, "persisted_query_mismatch"),
        ({"documentId": "bomb"}, 400, "query_limit_exceeded"),
        ({}, 400, "bad_request"),
    ],
)
async def test_nothing_else_runs(
    trusting: httpx.AsyncClient, asked: dict[str, Any], status: int, expected: str
) -> None:
    answer = await trusting.post("/graphql", json=asked)
    assert (answer.status_code, code(answer)) == (status, expected)
    assert "data" not in answer.json()


async def test_a_listed_document_may_have_several_operations(trusting: httpx.AsyncClient) -> None:
    answer = await trusting.post("/graphql", json={"documentId": "two", "operationName": "B"})
    assert answer.json() == {"data": {"b": "Query"}}
    page = await trusting.get("/graphql", headers={"Accept": "text/html,*/*;q=0.1"})
    assert "graphiql" not in page.text.lower()


def test_a_list_that_does_not_fit_the_schema_is_refused_at_start() -> None:
    schema = build_schema()._schema
    with pytest.raises(UnfitDocuments, match=r"2 of 3 .* a: Cannot query field 'x'.*; b: Syntax Error"):
        TrustedDocuments(schema, {"a": "{ x }", "b": "{", "c": "{ __typename }"})
    with pytest.raises(DocumentNotTrusted):
        TrustedDocuments(schema, {"c": "{ __typename }"}).text_of(ask(None, "x"), None)
