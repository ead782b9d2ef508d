"""Media types, methods, limits, request ids: what HTTP itself asks of the door."""

import json

import httpx
import pytest

from tests.rest.conftest import Api, made, refused

CREATED = {"name": "Another"}


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "application/json; charset=utf-8", 'APPLICATION/JSON;charset="UTF-8"', "application/x+json"],
)
async def test_json_by_every_name(api: Api, media_type: str) -> None:
    content = json.dumps(CREATED)
    answer = await api.client.post("/api/projects", content=content, headers={"Content-Type": media_type})
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/x-ndjson"},
        {"Content-Type": "application/json-patch+json"},
        {"Content-Type": "application/merge-patch+json"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": ";;;"},
    ],
)
async def test_other_media_types_are_refused(api: Api, headers: dict[str, str]) -> None:
    before = await api.state()
    content = json.dumps(CREATED).encode()
    created = await api.client.post("/api/projects", content=content, headers=headers)
    assert refused(created, 415, "unsupported_media_type")["expected"]
    put = await api.client.put(api.entity("order", "1"), content=content, headers=headers)
    refused(put, 415, "unsupported_media_type")
    assert await api.state() == before


@pytest.mark.parametrize("media_type", ["text/plain", "application/json-seq", "application/x-ndjson", ""])
async def test_patches_have_three_media_types(api: Api, media_type: str) -> None:
    await api.put(api.entity("order", "1"), {})
    before = await api.state()
    answer = await api.client.patch(api.entity("order", "1"), content=b'{"a":1}', headers={"Content-Type": media_type})
    assert set(refused(answer, 415, "unsupported_media_type")["expected"]) == {
        "application/json",
        "application/merge-patch+json",
        "application/json-patch+json",
    }
    assert await api.state() == before


async def test_import_takes_ndjson_only(api: Api) -> None:
    before = await api.state()
    answer = await api.post(f"{api.documents}/import", {"kind": "order", "key": "1", "data": 1})
    refused(answer, 415, "unsupported_media_type")
    assert await api.state() == before


async def test_bodies_have_a_limit(api: Api) -> None:
    before = await api.state()
    big = {"name": "x" * 2_000_000}
    assert refused(await api.post("/api/projects", big), 413, "body_too_large")["limit"] == 1024 * 1024
    refused(await api.put(api.entity("order", "1"), big), 413, "body_too_large")

    async def chunks() -> object:
        for _ in range(64):
            yield b'"' + b"x" * 65_536

    streamed = await api.client.put(
        api.entity("order", "1"),
        content=chunks(),  # type: ignore[arg-type]
        headers={"Content-Type": "application/json"},
    )
    refused(streamed, 413, "body_too_large")
    assert await api.state() == before


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/nothing", 404, "not_found"),
        ("GET", "/api/sandbox", 404, "not_found"),
        ("PUT", "/api/sandbox/fork", 405, "method_not_allowed"),
        ("POST", "/api/auth/me", 405, "method_not_allowed"),
        ("GET", "/api/auth/login", 405, "method_not_allowed"),
    ],
)
async def test_addresses_and_methods_that_are_not_there(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    refused(answer, status, code)
    assert ("allow" in answer.headers) == (status == 405)


async def test_no_token_and_bad_tokens(api: Api) -> None:
    before = await api.state()
    for token in ("", "Bearer", "Bearer x", "Basic eDp5", "Bearer strata_00000000_x", "Bearer " + "x" * 20_000):
        headers = {"Authorization": token}
        answer = await api.post("/api/projects", CREATED, headers=headers)
        refused(answer, 401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        refused(await api.client.put(f"{api.documents}/data", content=b"{", headers=headers), 401, "unauthenticated")
    assert await api.state() == before


async def test_who_is_not_let_in_is_told_nothing_else(client: httpx.AsyncClient) -> None:
    for path in ("/api/projects/abc", "/api/projects/1/data?as_of=x", "/api/sandbox/diff", "/api/projects?limit=x"):
        refused(await client.get(path), 401, "unauthenticated")


@pytest.mark.parametrize("given", ["abc-123", "a.b:c_d", "0af7651916cd43dd8448eb211c80319c"])
async def test_a_sane_request_id_is_kept(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/api/projects", headers={"X-Request-Id": given})
    assert (answer.headers["X-Request-Id"], answer.json()["request_id"]) == (given, given)


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", "ü".encode(), '"', "<script>", "a\\nb"])
async def test_any_other_request_id_is_replaced(client: httpx.AsyncClient, given: str | bytes) -> None:
    answer = await client.get(
        "/nothing", headers=[(b"x-request-id", given if isinstance(given, bytes) else given.encode())]
    )
    assert len(answer.headers["X-Request-Id"]) == 32
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


async def test_every_answer_has_a_request_id(api: Api) -> None:
    tag = (await api.put(api.entity("order", "1"), {})).headers["ETag"]
    answers = [
        await api.get(api.entity("order", "1"), headers={"If-None-Match": tag}),
        await api.get(f"{api.documents}/export"),
        await api.client.options("/api/projects"),
        await api.get("/docs/openapi.json"),
        await api.client.delete(api.entity("order", "1")),
    ]
    assert [answer.status_code for answer in answers] == [304, 200, 204, 200, 204]
    assert all(answer.headers["X-Request-Id"] for answer in answers)


async def test_all_problems_of_a_body_are_named(api: Api) -> None:
    body = {"env_name": 5, "env_type": "nothing", "source_project_id": "42", "unknown": 1, "rollout_steps": {}}
    found = refused(await api.post("/api/sandbox/fork", body), 422, "validation_failed")
    assert {problem["path"] for problem in found["problems"]} == {f"/{name}" for name in body}
    assert found["path"] in {f"/{name}" for name in body}
    nested = await api.post("/api/sandbox/fork", {"env_name": "x", "user_filter": {"user_uuids": ["a", 5]}})
    assert refused(nested, 422, "validation_failed")["path"] == "/user_filter/user_uuids/1"
    missing = await api.post("/api/sandbox/rollback", {})
    assert refused(missing, 422, "validation_failed")["path"] == "/checkpoint_uuid"


async def test_missing_parameters_are_named(api: Api) -> None:
    answer = await api.get("/api/sandbox/diff", params={"uuid_a": str(api.project.production_uuid)})
    assert refused(answer, 400, "bad_request")["problems"][0]["parameter"] == "uuid_b"
    refused(await api.get("/api/sandbox/environments"), 400, "bad_request")
    deleted = await api.client.delete("/api/sandbox/environment")
    assert refused(deleted, 400, "bad_request")["problems"][0]["parameter"] == "env_uuid"


async def test_projects_that_contradict_each_other(api: Api) -> None:
    anchor = (await api.fork("work"))["anchor_uuid"]
    before = await api.state()
    foreign = {"project_id": 2147483647}
    answers = [
        await api.post("/api/sandbox/checkpoint", {"env_uuid": anchor}, params=foreign),
        await api.get("/api/sandbox/environment/diff", params={**foreign, "env_uuid": anchor}),
        await api.get("/api/sandbox/changes", params={**foreign, "env_uuid": anchor}),
        await api.client.delete("/api/sandbox/environment", params={**foreign, "env_uuid": anchor}),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    both = await api.post("/api/sandbox/backup", {"project_id": api.project.id}, params=foreign)
    refused(both, 400, "bad_request")
    key = made(await api.post(f"{api.documents}/api-keys", {"name": "k", "scopes": ["read", "write"]}))["key"]
    by_key = await api.get("/api/sandbox/environments", params=foreign, headers={"Authorization": f"Bearer {key}"})
    refused(by_key, 403, "forbidden")
    assert (await api.state())[:5] == before[:5]
