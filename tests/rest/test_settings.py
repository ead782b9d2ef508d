"""Settings through both doors."""

import httpx

from app.domain.model import Project
from tests.doors import Headers

QUERY = """query ($id: Int!) { project(id: $id) { settings {
    autoGenerationApprovalMode autoPromoteStrategy directProdRoles canaryErrorRateThreshold
    canaryP99LatencyMsThreshold canaryWatchdogIntervalSeconds } } }"""


async def test_settings_are_read_and_changed(client: httpx.AsyncClient, owner: Headers, project: Project) -> None:
    address = f"/api/generations/{project.id}/settings"
    client.headers.update(owner)
    before = (await client.get(address)).json()["settings"]
    assert len(before) == 12
    changed = {"canary_error_rate_threshold": 0.25, "auto_promote_strategy": "blue_green", "direct_prod_roles": []}
    answer = await client.patch(address, json=changed)
    assert (answer.status_code, answer.json()) == (200, {"settings": {**before, **changed}})
    assert (await client.get(address)).json() == answer.json()
    assert (await client.get(address)).text.count("0.25") == 1


async def test_what_cannot_be_set_is_named(client: httpx.AsyncClient, owner: Headers, project: Project) -> None:
    address = f"/api/generations/{project.id}/settings"
    client.headers.update(owner)
    before = (await client.get(address)).json()
    for body, named in (
        ({"unknown": 1}, "/unknown"),
        ({"canary_auto_route": "yes"}, "/canary_auto_route"),
        ({"auto_promote_strategy": "at once"}, "/auto_promote_strategy"),
        ({"canary_error_rate_threshold": 5}, "canary_error_rate_threshold"),
        ({"canary_watchdog_interval_seconds": 1}, "canary_watchdog_interval_seconds"),
        ({"direct_prod_roles": ["viewer"]}, "direct_prod_roles"),
        ({}, "settings"),
    ):
        answer = await client.patch(address, json=body)
        assert (answer.status_code, answer.json()["error"]) == (422, "validation_failed")
        assert named in (answer.json().get("path"), answer.json().get("field"))
    assert (await client.get(address)).json() == before


async def test_a_direct_write_is_refused_with_a_hint(
    client: httpx.AsyncClient, owner: Headers, project: Project
) -> None:
    client.headers.update(owner)
    await client.patch(f"/api/generations/{project.id}/settings", json={"direct_prod_roles": ["editor"]})
    answer = await client.put(f"/api/projects/{project.id}/entities/page/a", json={})
    assert (answer.status_code, answer.json()["error"]) == (403, "direct_production_write_forbidden")
    assert answer.json()["direct_prod_roles"] == ["editor"]
    assert "fork" in answer.json()["hint"]
    lines = b'{"kind": "page", "key": "b", "data": {}}\n'
    headers = {"Content-Type": "application/x-ndjson"}
    answer = await client.post(f"/api/projects/{project.id}/import", content=lines, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (403, "direct_production_write_forbidden")
    query = "mutation ($input: WriteDocumentInput!) { writeDocument(input: $input) { ... on Forbidden { code } } }"
    wanted = {"projectId": project.id, "kind": "page", "key": "a", "patch": {"put": {}}}
    answer = await client.post("/graphql", json={"query": query, "variables": {"input": wanted}})
    assert answer.json() == {"data": {"writeDocument": {"code": "direct_production_write_forbidden"}}}


async def test_settings_in_graphql(client: httpx.AsyncClient, owner: Headers, project: Project) -> None:
    client.headers.update(owner)
    change = """mutation ($input: UpdateSettingsInput!) { updateSettings(input: $input) {
        __typename ... on Refusal { code } ... on ValidationFailed { field } } }"""
    wanted = {
        "projectId": project.id,
        "autoGenerationApprovalMode": "MIN_COUNT",
        "directProdRoles": ["OWNER"],
        "canaryErrorRateThreshold": None,
        "canaryP99LatencyMsThreshold": 12.5,
    }
    answer = await client.post("/graphql", json={"query": change, "variables": {"input": wanted}})
    assert answer.json() == {"data": {"updateSettings": {"__typename": "UpdateSettingsPayload"}}}
    answer = await client.post("/graphql", json={"query": QUERY, "variables": {"id": project.id}})
    assert answer.json()["data"]["project"]["settings"] == {
        "autoGenerationApprovalMode": "MIN_COUNT",
        "autoPromoteStrategy": "IMMEDIATE",
        "directProdRoles": ["OWNER"],
        "canaryErrorRateThreshold": None,
        "canaryP99LatencyMsThreshold": 12.5,
        "canaryWatchdogIntervalSeconds": 60,
    }
    wrong = {"projectId": project.id, "canaryErrorRateThreshold": 5.0}
    answer = await client.post("/graphql", json={"query": change, "variables": {"input": wrong}})
    refusal = answer.json()["data"]["updateSettings"]
    assert (refusal["__typename"], refusal["field"]) == ("ValidationFailed", "canary_error_rate_threshold")
