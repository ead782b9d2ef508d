"""The environment of a request: X-AgentStack-Env, else ?env=, else production."""

from unicodedata import normalize
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.rest.conftest import Api, refused

NAME = "prüfung/日本 100%"


@pytest.fixture
async def here(api: Api) -> str:
    """A project whose production and environment differ; the environment's UUID."""
    await api.put(f"{api.documents}/data", {"env": "production"})
    anchor: str = (await api.fork(NAME))["anchor_uuid"]
    await api.put(f"{api.documents}/data", {"env": "work"}, params={"env": NAME})
    return anchor


async def shown(api: Api, headers: dict[str, str] | list[tuple[bytes, bytes]], query: dict[str, str]) -> str:
    answer = await api.client.get(
        f"{api.documents}/data", headers=[*dict_items(headers), (b"authorization", token(api))], params=query
    )
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["env"]
    return found


def dict_items(headers: dict[str, str] | list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    if isinstance(headers, list):
        return headers
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def token(api: Api) -> bytes:
    return api.client.headers["Authorization"].encode()


async def test_by_name_and_uuid_in_header_and_query(api: Api, here: str) -> None:
    for reference in (NAME.encode(), normalize("NFD", NAME).encode(), quote(NAME).encode(), here.encode()):
        assert await shown(api, [(b"x-agentstack-env", reference)], {}) == "work"
    for named in (NAME, normalize("NFD", NAME), here, here.upper()):
        assert await shown(api, {}, {"env": named}) == "work"
    assert await shown(api, {}, {}) == "production"
    assert await shown(api, {"X-AgentStack-Env": "production"}, {}) == "production"


async def test_the_header_wins(api: Api, here: str) -> None:
    assert await shown(api, {"X-AgentStack-Env": here}, {"env": "production"}) == "work"
    assert await shown(api, {"X-AgentStack-Env": "production"}, {"env": here}) == "production"


async def test_latin_1_is_read_as_such(api: Api) -> None:
    await api.fork("größe")
    await api.put(f"{api.documents}/data", {"env": "latin"}, params={"env": "größe"})
    assert await shown(api, [(b"x-agentstack-env", "größe".encode("latin-1"))], {}) == "latin"


UNKNOWN = "0b0c7a3e-5f5e-4d0a-9f53-4c7f0c6f2a11"


@pytest.mark.parametrize(
    "reference",
    ["", " ", "Production", "nothing", UNKNOWN, "%FF", "prüfung", "'; --", "*"],
)
async def test_an_unknown_environment_is_never_production(api: Api, here: str, reference: str) -> None:
    before = await api.state()
    headers = [(b"x-agentstack-env", reference.encode()), (b"authorization", token(api))]
    for method, path in (("GET", "data"), ("PUT", "data"), ("PUT", "entities/order/1"), ("GET", "export")):
        answer = await api.client.request(
            method, f"{api.documents}/{path}", headers=headers, json={} if method == "PUT" else None
        )
        refused(answer, 404, "environment_not_found")
    named = await api.get(f"{api.documents}/data", params={"env": reference})
    refused(named, 404, "environment_not_found")
    assert await api.state() == before


async def test_two_headers_must_agree(api: Api, here: str) -> None:
    pair = [(b"x-agentstack-env", here.encode()), (b"x-agentstack-env", b"production")]
    answer = await api.client.get(f"{api.documents}/data", headers=[*pair, (b"authorization", token(api))])
    refused(answer, 400, "bad_request")


async def test_two_in_the_query_must_agree(api: Api, here: str) -> None:
    for query in (f"env={here}&env=production", f"env=production&env={here}", f"env={here}&env="):
        refused(await api.get(f"{api.documents}/data?{query}"), 400, "bad_request")
    assert (await api.get(f"{api.documents}/data?env={here}&env={here}")).json() == {"env": "work"}


@pytest.mark.parametrize(
    "name",
    [
        "%41",
        "a%2fb",
        "a\u00a0b",
        "a\u00adb",
        "a\u200db",
        "a\u2028b",
        "\u202ea",
        "\ue000",
        " a",
        "a\n",
        "",
        "4fdd276c-00b5-4f25-91a9-c05c0d09883f",
        "3CA7D711-FCCB-4E57-8315-B7D8D397615B",
    ],
)
async def test_names_that_would_be_two_things(api: Api, name: str) -> None:
    body = {"source_project_id": api.project.id, "env_name": name}
    refused(await api.post("/api/sandbox/fork", body), 422, "validation_failed")


async def test_names_that_look_alike_are_different(api: Api, here: str) -> None:
    names = ("work", "Work", "w\u043erk", "\uff57ork", "100%", "%4", str(uuid4()).replace("-", ""))
    uuids = {name: (await api.fork(name))["anchor_uuid"] for name in names}
    for name, uuid in uuids.items():
        await api.put(f"{api.documents}/data", {"env": uuid}, params={"env": name})
    for name, uuid in uuids.items():
        assert await shown(api, {"X-AgentStack-Env": quote(name)}, {}) == uuid
        assert await shown(api, {}, {"env": name}) == uuid


async def test_calls_that_name_an_environment_ignore_the_context(api: Api, here: str) -> None:
    answer = await api.post("/api/sandbox/checkpoint", {"env_uuid": here}, headers={"X-AgentStack-Env": "nothing"})
    assert answer.status_code == 201
    query = {"env_uuid": here, "path": "env"}
    blame = await api.get("/api/sandbox/blame", params=query, headers={"X-AgentStack-Env": "nothing"})
    assert blame.json()["change"]["env_uuid"] == here
