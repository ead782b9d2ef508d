"""Hostile input at every operation, found in the description: never a 5xx, and what is refused changes nothing."""

import json
from base64 import urlsafe_b64encode
from typing import Any
from uuid import uuid4

import httpx
import pytest
from litestar import Litestar

from app.domain.egress import Allowed
from app.domain.model import Actor
from app.domain.paging import encode_cursor
from app.services import egress
from tests.rest.conftest import Api, made

REFUSED = range(400, 500)

# What no body may be, whatever it is for.
NO_JSON = {
    "empty": b"",
    "blank": b" \n",
    "cut off": b'{"a":',
    "trailing": b"{} {}",
    "single quotes": b"{'a':1}",
    "not UTF-8": b'{"a":"\xff"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "1e999": b'{"a":1e999}',
    "huge exponent": b'{"a":1e131071}',
    "5,000 digits": b'{"a":' + b"9" * 5_000 + b"}",
    "5,000 levels of arrays": b"[" * 5_000 + b"]" * 5_000,
    "5,000 levels of objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "100 levels": b'{"a":' * 100 + b"1" + b"}" * 100,
    "duplicate keys": b'{"a":1,"a":2}',
    "NUL in a value": b'{"a":"\\u0000"}',
    "NUL in a key": b'{"\\u0000":1}',
    "raw NUL": b'{"a":"\x00"}',
    "lone surrogate": b'{"a":"\\ud800"}',
    "lone surrogate in a key": b'{"\\udfff":1}',
    "2 MB": b'{"a":"' + b"x" * 2_000_000 + b'"}',
    "300 KB string": b'{"a":"' + b"x" * 300_000 + b'"}',
    "10,001 keys": b"{" + b",".join(b'"k%d":1' % n for n in range(10_001)) + b"}",
    "long key": b'{"' + b"k" * 10_000 + b'":1}',
}
# JSON that is a document, but no request.
NO_REQUEST = {
    "null": b"null",
    "number": b"5",
    "string": b'"x"',
    "array": b"[]",
    "nested array": b"[[[1]]]",
    "unknown field": b'{"surprise":1}',
    "dunder": b'{"__proto__":{"a":1},"constructor":1}',
}
PATCHES = {"merge": "application/merge-patch+json", "operations": "application/json-patch+json"}


@pytest.fixture
def operations(app: Litestar) -> list[tuple[str, str, dict[str, Any]]]:
    """Every operation of the door: method, path, description."""
    paths = app.openapi_schema.to_schema()["paths"]
    return [
        (method, path, operation)
        for path, item in paths.items()
        if path.startswith("/api/")
        for method, operation in item.items()
    ]


class World:
    """A project with one of each thing, and addresses that mean them."""

    def __init__(self, api: Api, values: dict[str, str]) -> None:
        self.api = api
        self.values = values

    def address(self, path: str, **changed: str) -> str:
        return path.format_map({**self.values, **changed})

    async def send(self, method: str, address: str, **options: Any) -> httpx.Response:
        answer = await self.api.client.request(method.upper(), address, **options)
        assert answer.status_code < 500, (method, address, options, answer.text)
        if answer.status_code >= 400:
            body = answer.json()
            assert body.keys() >= {"error", "message", "request_id"}
            told = answer.text.lower()
            assert not any(word in told for word in ("traceback", "asyncpg", "select ", ".py"))
        return answer


@pytest.fixture
async def world(api: Api, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> World:
    """Something to attack."""
    monkeypatch.setattr(egress, "allowed", Allowed.parse("127.0.0.1"))
    await api.put(f"{api.documents}/data", {"config": {"a": 1}})
    await api.put(api.entity("order", "1"), {"n": 1})
    anchor = (await api.fork("work"))["anchor_uuid"]
    await api.put(api.entity("order", "1"), {"n": 2}, headers={"X-AgentStack-Env": "work"})
    checkpoint = made(await api.post("/api/sandbox/checkpoint", {"env_uuid": anchor, "label": "c"}))
    pin = made(await api.post("/api/sandbox/pin", {"env_uuid": anchor}))
    made(await api.post("/api/sandbox/backup", {"project_id": api.project.id}))
    key = made(await api.post(f"{api.documents}/api-keys", {"name": "k", "scopes": ["read"]}))
    invitation = made(
        await api.post(f"{api.documents}/invitations", {"email": f"{uuid4()}@example.com", "role": "viewer"})
    )
    done = (await api.fork("done"))["anchor_uuid"]
    await api.put(api.entity("order", "2"), {"n": 3}, headers={"X-AgentStack-Env": "done"})
    promoted = made(await api.post("/api/sandbox/promote", {"env_uuid": done, "strategy": "immediate"}))
    webhook = made(await api.post(f"{api.documents}/webhooks", {"url": "http://127.0.0.1:9/"}))
    probe = made(await api.post(f"{api.documents}/webhooks/{webhook['uuid']}/test", None))
    fork = await api.fork("tried")
    tried = fork["anchor_uuid"]
    rules = [{"field": "tier", "op": "eq", "value": "premium"}]
    segment = made(await api.post(f"/api/sandbox/segment?project_id={api.project.id}", {"name": "s", "rules": rules}))
    sides = {"env_a_uuid": str(api.project.production_uuid), "env_b_uuid": tried}
    test = made(await api.post("/api/sandbox/ab-test", sides))
    values = {
        "test_id": test["test_id"],
        "segment_id": segment["segment_id"],
        "manifest_uuid": fork["manifest_uuid"],
        "promotion_id": promoted["promotion_id"],
        "release_id": promoted["release_id"],
        "project_id": str(api.project.id),
        "webhook_uuid": webhook["uuid"],
        "delivery_uuid": probe["uuid"],
        "account_uuid": str(actor.account_uuid),
        "invitation_uuid": invitation["uuid"],
        "kind": "order",
        "key": "1",
        "key_uuid": key["uuid"],
        "pinned_uuid": pin["pinned_uuid"],
        "env_uuid": anchor,
        "against": checkpoint["checkpoint_uuid"],
        "checkpoint_uuid": checkpoint["checkpoint_uuid"],
        "user_uuid": "u1",
        "uuid_a": str(api.project.production_uuid),
        "uuid_b": anchor,
    }
    return World(api, values)


def takes_json(operation: dict[str, Any]) -> bool:
    """Return whether a body is needed; one that may be left out is no refusal."""
    body = operation.get("requestBody", {})
    return "application/json" in body.get("content", {}) and body["required"]


def is_document(operation: dict[str, Any]) -> bool:
    return operation["operationId"] in ("putData", "putEntity", "patchData", "patchEntity")


async def test_bodies_that_are_no_json(world: World, operations: list[tuple[str, str, dict[str, Any]]]) -> None:
    before = await world.api.state()
    attacked = 0
    for method, path, operation in operations:
        if not takes_json(operation):
            continue
        for name, content in NO_JSON.items():
            media_types = [
                "application/json",
                *(PATCHES.values() if method == "patch" and is_document(operation) else ()),
            ]
            for media_type in media_types:
                answer = await world.send(
                    method, world.address(path), content=content, headers={"Content-Type": media_type}
                )
                assert answer.status_code in REFUSED, (name, method, path, answer.text)
                attacked += 1
    assert attacked > 500
    assert await world.api.state() == before


async def test_bodies_that_are_no_request(world: World, operations: list[tuple[str, str, dict[str, Any]]]) -> None:
    before = await world.api.state()
    for method, path, operation in operations:
        if not takes_json(operation) or is_document(operation):
            continue
        for name, content in NO_REQUEST.items():
            answer = await world.send(
                method, world.address(path), content=content, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code == 422, (name, method, path, answer.text)
    assert await world.api.state() == before


WRONG: list[Any] = [
    None,
    True,
    5,
    -1,
    2**70,
    1.5,
    "",
    " ",
    "x",
    "\x7f",
    "a" * 5_000,
    "not-a-uuid",
    [],
    [None],
    {},
    {"a": {}},
]


async def test_each_field_of_each_body_with_each_wrong_type(
    app: Litestar, world: World, operations: list[tuple[str, str, dict[str, Any]]]
) -> None:
    schemas = app.openapi_schema.to_schema()["components"]["schemas"]
    fields = [
        (method, world.address(path), schema, field)
        for method, path, operation in operations
        if takes_json(operation) and not is_document(operation)
        for schema in [schemas[_named(operation)]]
        for field in schema["properties"]
    ]
    before = await world.api.state()
    for method, address, _, field in fields:
        for value in WRONG:
            # Another field is unknown, so that nothing comes of a value that happens to be right.
            answer = await world.send(method, address, json={field: value, "surprise": 1})
            assert answer.status_code == 422, (method, address, field, value, answer.text)
    assert await world.api.state() == before
    for method, address, schema, field in fields:
        for value in WRONG:
            await world.send(method, address, json={**_minimal(schema), field: value})


def _named(operation: dict[str, Any]) -> str:
    schema: str = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    return schema.rpartition("/")[2]


def _minimal(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a well-formed body whose every reference leads nowhere."""
    nowhere = "00000000-0000-4000-8000-000000000000"
    return {field: nowhere if field.endswith("_uuid") else "x" for field in schema.get("required", ())}


TEXTS = [
    "", " ", "x", "-1", "0", "1.5", "2147483648", "9" * 400, "null", "true", "{}", "[]", "{", "[5]", '[{"field":5}]',
    '[{"field":"a","op":"gt","value":{}}]', '{"rules":5}', '"\\ud800"', "[" * 5_000, "%00", "%FF", "%ED%A0%80",
    "%25%30%30", "'; DROP TABLE entity; --", "../../etc/passwd", "/~2", "/a~", "a\\", "..", "//", "x" * 5_000,
    "00000000-0000-4000-8000-000000000000", "1e5", "2026-13-99", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59", "0001-01-01", "9999-12-31T23:59:59", "*", "\u202e", "\U0001f600", "٣",
]  # fmt: skip

CURSORS = [
    encode_cursor(*position)
    for position in (
        ("a",), ("\0",), ("\ud800",), (1,), (2**70,), (-(2**70),), ("a", "b"), ("a", "\0"), ("\ud800", "b"), (1, "x"),
        (2**70, "x"), (1, "\0"), (1, 2, "x"), (2**70, 2, "x"), (1, 2**70, "x"), (1, 2, "\ud800"), (0, 0, "\0"),
    )
] + [urlsafe_b64encode(b"[" * 3_000).decode()]  # fmt: skip


async def test_parameters_of_every_read(world: World, operations: list[tuple[str, str, dict[str, Any]]]) -> None:
    before = await world.api.state()
    attacked = 0
    for method, path, operation in operations:
        if method != "get":
            continue
        parameters = operation.get("parameters", [])
        for parameter in parameters:
            name = parameter["name"]
            for text in [*TEXTS, *CURSORS] if name == "cursor" else TEXTS:
                if parameter["in"] == "path":
                    raw = text if text.startswith("%") else text.replace("%", "%25").replace("?", "%3F")
                    await world.send("get", world.address(path, **{name: raw}))
                elif parameter["in"] == "query":
                    required = {
                        other["name"]: world.values[other["name"]]
                        for other in parameters
                        if other["in"] == "query" and other["required"] and other["name"] != name
                    }
                    sought = str(httpx.QueryParams({**_project(world, path), **required}))
                    raw = text if text.startswith("%") else str(httpx.QueryParams({"": text}))[1:]
                    await world.send("get", f"{world.address(path)}?{sought}&{name}={raw}")
                elif text.isascii():
                    await world.send("get", world.address(path), headers={name: text.strip()})
                attacked += 1
    assert attacked > 2_000
    assert await world.api.state() == before


def _project(world: World, path: str) -> dict[str, str]:
    return {"project_id": world.values["project_id"]} if path.startswith("/api/sandbox") else {}


async def test_parameters_of_every_write(world: World, operations: list[tuple[str, str, dict[str, Any]]]) -> None:
    before = await world.api.state()
    for method, path, operation in operations:
        if method == "get":
            continue
        for parameter in operation.get("parameters", []):
            if parameter["in"] != "query" or parameter["name"] in ("env", "path"):
                continue
            for text in ("", "x", "-1", "0", "2147483648", "1.5", "%00", "00000000-0000-4000-8000-000000000000"):
                answer = await world.send(method, f"{world.address(path)}?{parameter['name']}={text}")
                assert answer.status_code in REFUSED, (method, path, parameter["name"], text)
    assert await world.api.state() == before


@pytest.mark.parametrize("content", [b'{"a":"\\u0000"}', b"[5]", b'{"op":"add"}', b"{}"])
async def test_rules_and_paths_inside_bodies(world: World, content: bytes) -> None:
    before = await world.api.state()
    body = {"env_uuid": world.values["env_uuid"], "paths": [content.decode(), "/~2"]}
    assert (await world.send("post", "/api/sandbox/revert", json=body)).status_code in REFUSED
    fork = {"source_project_id": world.api.project.id, "env_name": "x", "user_filter": json.loads(content)}
    assert (await world.send("post", "/api/sandbox/fork", json=fork)).status_code in REFUSED
    both = {**fork, "user_filter": {"user_uuids": []}, "segment_id": world.values["env_uuid"]}
    answer = await world.send("post", "/api/sandbox/fork", json=both)
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    assert await world.api.state() == before
