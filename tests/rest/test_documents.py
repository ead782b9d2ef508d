"""Documents over HTTP: addresses, versions, patches, numbers, filters, history, bulk."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.rest.conftest import Api, made, refused

MERGE = {"Content-Type": "application/merge-patch+json"}
PATCH = {"Content-Type": "application/json-patch+json"}
JSON = {"Content-Type": "application/json"}

KEYS = [
    "plain", "a/b", "/", "//", "a/", "/a", "a//b", ".", "..", "../../data", "a.b", "%2F", "%", "a%20b", "a b", "a+b",
    "ü", "日本", "😀", "?", "#", "a?b#c", "\\", '"', "'; --", "project", "\n", ";", "a&b=c", "~0~1",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
async def test_every_key_is_kept_as_it_is(api: Api, key: str) -> None:
    # Clients take "." and ".." out of an address, unless the dots are encoded.
    address = api.entity("page", quote(key, safe="").replace(".", "%2E"))
    assert (await api.put(address, {"key": key})).status_code == 201
    assert (await api.get(address)).json() == {"key": key}
    listed = made(await api.get(f"{api.documents}/entities/page"))["entities"]
    assert [(item["key"], item["data"]) for item in listed] == [(key, {"key": key})]
    assert (await api.patch(address, {"seen": True})).json() == {"key": key, "seen": True}
    assert (await api.client.delete(address)).status_code == 204
    refused(await api.get(address), 404, "document_not_found")


async def test_slashes_may_be_plain(api: Api) -> None:
    await api.put(api.entity("page", "docs/start/here"), {"a": 1})
    assert (await api.get(api.entity("page", quote("docs/start/here", safe="")))).json() == {"a": 1}


@pytest.mark.parametrize("key", ["%FF", "a%C3", "%ED%A0%80", "%00", "a%00b"])
async def test_addresses_that_no_document_can_have(api: Api, key: str) -> None:
    before = await api.state()
    refused(await api.put(api.entity("page", key), {}), 400, "bad_request")
    assert await api.state() == before


async def test_a_key_is_needed_and_not_too_long(api: Api) -> None:
    before = await api.state()
    refused(await api.put(api.entity("page", "k" * 257), {}), 422, "validation_failed")
    for method in ("PUT", "PATCH", "DELETE"):
        answer = await api.client.request(method, api.entity("page", ""))
        refused(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == "GET, OPTIONS"
    assert await api.state() == before


NUMBERS = [
    "0", "1", "1.0", "1.10", "12345678901234567890123456789", "0.1000000000000000055511151231257827", "-5", "1e2",
    "9007199254740993", "1E-7",
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
async def test_numbers_keep_their_digits_everywhere(api: Api, number: str) -> None:
    kept = "100" if number == "1e2" else number
    body = f'{{"n":{number}}}'
    stored = f'{{"n":{kept}}}'
    address = api.entity("order", "1")
    answer = await api.client.put(address, content=body, headers=JSON)
    assert (answer.status_code, answer.text) == (201, stored)
    assert (await api.get(address)).text == stored
    assert (await api.get(address, params={"path": "n"})).text == kept
    assert f'"data":{stored}' in (await api.get(f"{api.documents}/entities/order")).text
    assert f'"n":{kept}' in (await api.get("/api/sandbox/changes", params={"project_id": api.project.id})).text
    assert f'"data":{stored}' in (await api.get(f"{api.documents}/export")).text


@pytest.mark.parametrize("body", ["null", "true", "0", '""', "[]", "{}", '{"a":null,"":{},"b.c":[]}'])
async def test_any_json_value_is_a_document(api: Api, body: str) -> None:
    address = api.entity("value", "1")
    assert (await api.client.put(address, content=body, headers=JSON)).status_code == 201
    assert json.loads((await api.get(address)).text) == json.loads(body)


async def test_put_answers_201_once(api: Api) -> None:
    address = api.entity("order", "1")
    assert [(await api.put(address, {"n": n})).status_code for n in (1, 2, 2)] == [201, 200, 200]


async def test_etag_and_not_modified(api: Api) -> None:
    address = api.entity("order", "1")
    written = await api.put(address, {"n": 1})
    read = await api.get(address)
    tag = read.headers["ETag"]
    assert (tag, tag[0], tag[-1]) == (written.headers["ETag"], '"', '"')
    for known in (tag, f"W/{tag}", "*", f'"other", {tag}'):
        answer = await api.get(address, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
    assert (await api.get(address, headers={"If-None-Match": '"other"'})).status_code == 200
    refused(await api.get(address, headers={"If-None-Match": "unquoted"}), 400, "bad_request")


@pytest.mark.parametrize("headers", [{"If-Match": '"stale"'}, {"If-Match": 'W/"x"'}, {"If-None-Match": "*"}])
async def test_stale_writes_change_nothing(api: Api, headers: dict[str, str]) -> None:
    address = api.entity("order", "1")
    tag = (await api.put(address, {"n": 1})).headers["ETag"]
    before = await api.state()
    for answer in (
        await api.put(address, {"n": 2}, headers=headers),
        await api.patch(address, {"n": 2}, headers=headers),
        await api.client.delete(address, headers=headers),
    ):
        body = refused(answer, 412, "version_conflict")
        assert f'"{body["current"]}"' == tag
    assert await api.state() == before


async def test_conditions_that_hold(api: Api) -> None:
    address = api.entity("order", "1")
    refused(await api.put(address, {"n": 1}, headers={"If-Match": "*"}), 412, "version_conflict")
    created = await api.put(address, {"n": 1}, headers={"If-None-Match": "*"})
    assert created.status_code == 201
    second = await api.patch(address, {"n": 2}, headers={"If-Match": created.headers["ETag"]})
    third = await api.put(address, {"n": 3}, headers={"If-Match": "*"})
    assert (second.status_code, third.status_code) == (200, 200)
    assert (await api.client.delete(address, headers={"If-Match": third.headers["ETag"]})).status_code == 204


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": "unquoted"},
        {"If-Match": '"a", "b"'},
        {"If-Match": ""},
        {"If-None-Match": '"a"'},
        {"If-Match": '"a"', "If-None-Match": "*"},
    ],
)
async def test_conditions_that_cannot_be_read(api: Api, headers: dict[str, str]) -> None:
    before = await api.state()
    refused(await api.put(api.entity("order", "1"), {}, headers=headers), 400, "bad_request")
    assert await api.state() == before


async def test_a_changed_parent_changes_the_etag(api: Api) -> None:
    address, headers = api.entity("order", "1"), {"X-AgentStack-Env": "work"}
    await api.put(address, {"a": 1})
    await api.fork("work")
    tag = (await api.patch(address, {"b": 1}, headers=headers)).headers["ETag"]
    await api.patch(address, {"a": 2})
    refused(await api.patch(address, {"b": 2}, headers={**headers, "If-Match": tag}), 412, "version_conflict")


async def test_merge_patch_and_plain_json_are_the_same(api: Api) -> None:
    for headers in (MERGE, JSON, {"Content-Type": "application/vnd.shop+json; charset=UTF-8"}):
        address = api.entity("order", "1")
        await api.put(address, {"a": {"b": 1, "c": 2}, "d": [1]})
        answer = await api.client.patch(address, content='{"a":{"b":null},"d":null,"e":1}', headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"a": {"c": 2}, "e": 1})


async def test_json_patch(api: Api) -> None:
    address = api.entity("order", "1")
    await api.put(address, {"a/b": [1, 2], "n": 1})
    operations = [
        {"op": "test", "path": "/n", "value": 1},
        {"op": "add", "path": "/a~1b/-", "value": 3},
        {"op": "move", "from": "/n", "path": "/m"},
    ]
    answer = await api.client.patch(address, content=json.dumps(operations), headers=PATCH)
    assert answer.json() == {"a/b": [1, 2, 3], "m": 1}


@pytest.mark.parametrize(
    ("operations", "status", "code"),
    [
        ([{"op": "test", "path": "/n", "value": 1.0}], 409, "patch_test_failed"),
        ([{"op": "replace", "path": "/n", "value": 2}, {"op": "remove", "path": "/x"}], 422, "patch_failed"),
        ([{"op": "nothing", "path": "/n"}], 422, "validation_failed"),
        ({"op": "remove", "path": "/n"}, 422, "validation_failed"),
        ([5], 422, "validation_failed"),
    ],
)
async def test_a_json_patch_is_applied_whole_or_not(api: Api, operations: Any, status: int, code: str) -> None:
    address = api.entity("order", "1")
    await api.put(address, {"n": 1})
    before = await api.state()
    refused(await api.client.patch(address, content=json.dumps(operations), headers=PATCH), status, code)
    assert await api.state() == before


async def test_reading_and_writing_below_a_path(api: Api) -> None:
    data = f"{api.documents}/data"
    await api.put(data, {"config": {"a.b": {"x/y": 1}, "list": [1, 2]}})
    for path in ("/config/a.b/x~1y", "config.a\\.b.x/y"):
        assert (await api.get(data, params={"path": path})).json() == 1
    assert (await api.get(data, params={"path": "config.list.1"})).json() == 2
    put = await api.put(data, {"new": True}, params={"path": "config.a\\.b"})
    assert (put.status_code, put.json()) == (200, {"new": True})
    patched = await api.patch(data, {"new": None, "more": 1}, params={"path": "/config/a.b"})
    assert patched.json() == {"more": 1}
    assert (await api.get(data)).json() == {"config": {"a.b": {"more": 1}, "list": [1, 2]}}
    refused(await api.get(data, params={"path": "config.none"}), 404, "path_not_found")
    refused(await api.get(data, params={"path": "/~2"}), 422, "invalid_path")


async def test_concurrent_patches_to_different_fields_are_all_kept(api: Api) -> None:
    address = api.entity("order", "1")
    await api.put(address, {})
    answers = await asyncio.gather(*(api.patch(address, {f"f{n}": n}) for n in range(64)))
    assert {answer.status_code for answer in answers} == {200}
    assert (await api.get(address)).json() == {f"f{n}": n for n in range(64)}


async def test_listing_pages_and_filters(api: Api) -> None:
    for n in range(5):
        await api.put(api.entity("user", f"u{n}"), {"n": n, "tier": "premium" if n % 2 else "free"})
    users = f"{api.documents}/entities/user"
    first = made(await api.get(users, params={"limit": 2}))
    second = made(await api.get(users, params={"limit": 3, "cursor": first["next_cursor"]}))
    assert [item["key"] for item in first["entities"] + second["entities"]] == ["u0", "u1", "u2", "u3", "u4"]
    assert second["next_cursor"] is None
    rules = [{"field": "tier", "op": "eq", "value": "premium"}, {"field": "n", "op": "gt", "value": 1}]
    for text in (json.dumps(rules), json.dumps({"rules": rules})):
        found = made(await api.get(users, params={"filter": text}))["entities"]
        assert [item["key"] for item in found] == ["u3"]
    refused(await api.get(users, params={"filter": "{"}), 400, "bad_request")
    refused(await api.get(users, params={"filter": "5"}), 422, "validation_failed")
    refused(await api.get(users, params={"filter": '[{"field":"n","op":"nope","value":1}]'}), 422, "validation_failed")
    refused(await api.get(f"{api.documents}/entities/nothing"), 404, "unknown_kind")


async def test_pages_between_the_longest_keys(api: Api) -> None:
    keys = ["\U0001f600" * 255 + last for last in "ab"]
    for key in keys:
        await api.put(api.entity("page", quote(key)), {})
    first = made(await api.get(f"{api.documents}/entities/page", params={"limit": 1}))
    rest = made(await api.get(f"{api.documents}/entities/page", params={"cursor": first["next_cursor"]}))
    assert [item["key"] for item in first["entities"] + rest["entities"]] == keys


async def test_as_of_reads_a_version_or_a_time(api: Api) -> None:
    address = api.entity("order", "1")
    await api.put(address, {"n": 1})
    newest = made(await api.get("/api/sandbox/changes", params={"project_id": api.project.id, "limit": 1}))
    version = newest["changes"][0]["version"]
    moment = datetime.now(UTC)
    await api.put(address, {"n": 2})
    for as_of in (str(version), moment.isoformat(), moment.replace(tzinfo=None).isoformat()):
        assert (await api.get(address, params={"as_of": as_of})).json() == {"n": 1}
        listed = made(await api.get(f"{api.documents}/entities/order", params={"as_of": as_of}))
        assert [item["data"] for item in listed["entities"]] == [{"n": 1}]
        assert '"n":1' in (await api.get(f"{api.documents}/export", params={"as_of": as_of})).text
    assert (await api.get(f"{address}?as_of={moment.isoformat()}")).json() == {"n": 1}
    for wrong in ("x", "", "-1", "1.5", "9" * 30, "2026-13-01", "٣"):
        refused(await api.get(address, params={"as_of": wrong}), 400, "bad_request")
    refused(await api.get(address, params={"as_of": "999999"}), 404, "version_not_found")


async def test_import_and_export_round_trip(api: Api) -> None:
    lines = [json.dumps({"kind": "order", "key": f"{n:03}", "data": {"n": n, "t": "ü/\n"}}) for n in range(700)]
    address = f"{api.documents}/import"
    headers = {"Content-Type": "application/x-ndjson"}
    answer = await api.client.post(address, content="\n".join(lines) + "\n", headers=headers)
    assert made(answer) == {"lines": 700, "created": 700, "changed": 0, "unchanged": 0}
    exported = await api.get(f"{api.documents}/export", params={"kind": "order"})
    assert exported.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in exported.text.splitlines()] == [json.loads(line) for line in lines]
    again = await api.client.post(address, content=exported.content, headers=headers)
    assert made(again)["unchanged"] == 700


@pytest.mark.parametrize(
    "line", [b"{", b"5", b'{"kind":"order","key":"x"}', b'{"kind":"o","key":"x","data":"\\u0000"}']
)
async def test_an_import_with_one_bad_line_changes_nothing(api: Api, line: bytes) -> None:
    before = await api.state()
    content = b'{"kind":"order","key":"1","data":{}}\n' + line
    headers = {"Content-Type": "application/x-ndjson"}
    answer = await api.client.post(f"{api.documents}/import", content=content, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.json()["line"] == 2
    assert await api.state() == before


async def test_a_foreign_project_is_not_there(api: Api, client: httpx.AsyncClient) -> None:
    for path in (f"{api.documents}/data", api.entity("order", "1"), f"{api.documents}/export", api.documents):
        elsewhere = path.replace(str(api.project.id), "2147483647", 1)
        refused(await client.get(elsewhere), 404, "project_not_found")
