"""Protected fields through both doors: in which contexts they are shown (X2), compared, and how often."""

from typing import Any

import httpx
import pytest

from tests.rest.conftest import Api, made, refused

SECRET = "sk_test_my_key"
MASKED = {"$protected": True}
DENIED = "sandbox_secret_access_denied"
CHECK = """mutation ($input: CheckProtectedFieldInput!) { checkProtectedField(input: $input) {
    __typename ... on CheckProtectedFieldPayload { match } ... on Refusal { code } } }"""
READ = """query ($uuid: UUID!, $decrypt: Boolean) { environment(uuid: $uuid) {
    document(decryptProtected: $decrypt) { data protectedFields { path } } } }"""


@pytest.fixture
async def vault(api: Api) -> Api:
    """A project with a protected value, and an environment."""
    document = {"config": {"protected_fields": ["keys.**"]}, "keys": {"api": {"payment_secret": SECRET}}}
    made(await api.put(f"{api.documents}/data", document))
    await api.fork("env")
    return api


async def ask(api: Api, query: str, variables: Any, **headers: str) -> Any:
    answer = await api.client.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
    return answer.json()


async def env_uuid(api: Api, name: str) -> str:
    answer = await api.get("/api/sandbox/environments", params={"project_id": api.project.id})
    return str(next(env["anchor_uuid"] for env in answer.json()["environments"] if env["env_name"] == name))


async def test_a_document_shows_a_marker(vault: Api) -> None:
    answer = await vault.get(f"{vault.documents}/data")
    assert answer.json()["keys"] == {"api": MASKED}
    read = await ask(vault, READ, {"uuid": await env_uuid(vault, "env")})
    document = read["data"]["environment"]["document"]
    assert (document["data"]["keys"], document["protectedFields"]) == ({"api": MASKED}, [{"path": "/keys/api"}])


async def test_values_are_shown_in_production(vault: Api) -> None:
    path = f"{vault.documents}/data"
    for flag in ("true", "1", "TRUE", "yes"):
        answer = await vault.get(path, params={"decrypt_protected": flag, "path": "keys.api"})
        assert answer.json() == {"payment_secret": SECRET}
        assert answer.headers["Cache-Control"] == "no-store"
    for flag in ("false", "0", ""):
        answer = await vault.get(path, params={"decrypt_protected": flag})
        assert answer.json()["keys"] == {"api": MASKED}
    known = (await vault.get(path)).headers["ETag"]
    answer = await vault.get(path, params={"decrypt_protected": "true"}, headers={"If-None-Match": known})
    assert answer.json()["keys"] == {"api": {"payment_secret": SECRET}}
    uuid = await env_uuid(vault, "production")
    read = await ask(vault, READ, {"uuid": uuid, "decrypt": True})
    assert read["data"]["environment"]["document"]["data"]["keys"] == {"api": {"payment_secret": SECRET}}


async def test_values_are_shown_in_no_other_context(vault: Api) -> None:
    path, flag = f"{vault.documents}/data", {"decrypt_protected": "true"}
    uuid = await env_uuid(vault, "env")
    for name in ("env", uuid):
        refused(await vault.get(path, params=flag, headers={"X-AgentStack-Env": name}), 403, DENIED)
        refused(await vault.get(path, params={**flag, "env": name}), 403, DENIED)
    twice = "?decrypt_protected=false&decrypt_protected=true"
    refused(await vault.get(f"{path}{twice}&env=env"), 403, DENIED)
    read = await ask(vault, READ, {"uuid": uuid, "decrypt": True})
    assert [error["extensions"]["code"] for error in read["errors"]] == [DENIED]
    production = await env_uuid(vault, "production")
    read = await ask(vault, READ, {"uuid": production, "decrypt": True}, **{"X-AgentStack-Env": "env"})
    assert [error["extensions"]["code"] for error in read["errors"]] == [DENIED]
    made(await vault.put("/api/sandbox/active-env", {"project_id": vault.project.id, "active_env": "env"}))
    refused(await vault.get(path, params=flag), 403, DENIED)
    for other in ("export", "entities/user"):
        refused(await vault.get(f"{vault.documents}/{other}", params={**flag, "env": "production"}), 400, "bad_request")
    refused(await vault.get("/api/sandbox/tree", params={**flag, "project_id": vault.project.id}), 403, DENIED)
    past = {**flag, "env": "production", "as_of": "1"}
    refused(await vault.get(path, params=past), 400, "bad_request")


async def test_the_guides_comparison(vault: Api) -> None:
    body = {"env_uuid": await env_uuid(vault, "env"), "field_path": "keys.api", "value": {"payment_secret": SECRET}}
    answer = await vault.post("/api/sandbox/protected-check", body)
    assert (answer.status_code, answer.json()) == (200, {"match": True})
    body |= {"field_path": "keys.api.payment_secret", "value": SECRET}
    assert made(await vault.post("/api/sandbox/protected-check", body)) == {"match": True}
    body["field_path"] = "/keys/api/payment_secret"
    assert made(await vault.post("/api/sandbox/protected-check", {**body, "value": "sk"})) == {"match": False}
    assert made(await vault.post("/api/sandbox/protected-check", {**body, "field_path": "/keys/none"})) == {
        "match": False
    }
    refused(
        await vault.post("/api/sandbox/protected-check", {**body, "field_path": "config.x"}), 400, "field_not_protected"
    )


async def test_wrong_values_run_out(vault: Api) -> None:
    body = {"env_uuid": await env_uuid(vault, "env"), "field_path": "keys.api", "value": "wrong"}
    for _ in range(5):
        made(await vault.post("/api/sandbox/protected-check", body))
    answer = await vault.post("/api/sandbox/protected-check", body)
    refused(answer, 429, "too_many_checks")
    assert 0 < int(answer.headers["Retry-After"]) <= 900


async def test_an_operation_compares_once(vault: Api) -> None:
    wanted = {"envUuid": await env_uuid(vault, "env"), "path": "/keys/api", "value": {"payment_secret": SECRET}}
    once = await ask(vault, CHECK, {"input": wanted})
    assert once["data"]["checkProtectedField"] == {"__typename": "CheckProtectedFieldPayload", "match": True}
    several = " ".join(f"c{number}: checkProtectedField(input: $input) {{ __typename }}" for number in range(3))
    answer = await ask(vault, f"mutation ($input: CheckProtectedFieldInput!) {{ {several} }}", {"input": wanted})
    (error,) = answer["errors"]
    assert (error["extensions"]["code"], error["extensions"]["limit"]) == ("query_limit_exceeded", "secret_fields")


async def test_a_rule_on_a_protected_field_is_refused(vault: Api) -> None:
    made(await vault.put(vault.entity("user", "ann"), {"keys": {"ssn": "1"}}))
    rules = [{"field": "keys.ssn", "op": "eq", "value": "1"}]
    query = {"filter": httpx.Response(200, json=rules).text}
    refused(await vault.get(f"{vault.documents}/entities/user", params=query), 422, "field_protected")
    body = {"source_project_id": vault.project.id, "env_name": "few", "user_filter": {"rules": rules}}
    refused(await vault.post("/api/sandbox/fork", body), 422, "field_protected")
