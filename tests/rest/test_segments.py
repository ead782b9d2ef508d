"""Segments through REST: the guide's paths, what is refused, and forks that show some users only."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.domain.model import Actor, Project
from app.services import documents
from tests.doors import Headers

RULES: list[dict[str, Any]] = [
    {"any": [{"field": "plan", "op": "eq", "value": "pro"}, {"field": "n", "op": "gt", "value": 8}]}
]
SEGMENT = "/api/sandbox/segment"


@pytest.fixture
async def users(client: httpx.AsyncClient, owner: Headers, actor: Actor, project: Project) -> httpx.AsyncClient:
    """A client of a project with ten users, the even ones pro."""
    client.headers.update(owner)
    client.params = client.params.set("project_id", project.id)
    for number in range(10):
        data: Any = {"plan": "free" if number % 2 else "pro", "n": number}
        await documents.put(actor, project.id, None, "user", f"u{number}", data)
    return client


async def test_a_segment_from_first_to_last(users: httpx.AsyncClient, project: Project) -> None:
    made = await users.post(SEGMENT, json={"name": "Pro", "rules": RULES})
    assert made.status_code == 201
    segment = made.json()
    assert segment.keys() == {"segment_id", "name", "rules", "created_at"}
    assert (segment["name"], segment["rules"]) == ("Pro", RULES)
    listed = await users.get("/api/sandbox/segments")
    assert listed.json() == {"segments": [segment]}
    assert listed.headers["ETag"] == made.headers["ETag"]
    address = f"{SEGMENT}/{segment['segment_id']}"
    stale = await users.put(address, json={"name": "x", "rules": []}, headers={"If-Match": '"other"'})
    assert (stale.status_code, stale.json()["error"]) == (412, "version_conflict")
    current = {"If-Match": listed.headers["ETag"]}
    replaced = await users.put(address, json={"name": "All", "rules": []}, headers=current)
    assert (replaced.status_code, replaced.json()) == (200, {**segment, "name": "All", "rules": []})
    data = (await users.get(f"/api/projects/{project.id}/data")).json()
    assert data["config"]["segments"] == [replaced.json()]
    gone = await users.delete(address)
    assert (gone.status_code, gone.json()) == (200, replaced.json())
    again = await users.delete(address)
    assert (again.status_code, again.json()["error"]) == (404, "segment_not_found")
    assert (await users.get("/api/sandbox/segments")).json() == {"segments": []}


async def test_a_fork_by_segment(users: httpx.AsyncClient, project: Project) -> None:
    segment = (await users.post(SEGMENT, json={"name": "Pro", "rules": RULES})).json()
    preview = await users.post(f"{SEGMENT}/preview", json={"segment_id": segment["segment_id"]})
    assert (preview.status_code, preview.json()) == (
        200,
        {"matching": 6, "total": 10, "sample": ["u0", "u2", "u4", "u6", "u8", "u9"]},
    )
    wanted = {"source_project_id": project.id, "env_name": "premium-test", "segment_id": segment["segment_id"]}
    forked = await users.post("/api/sandbox/fork", json=wanted)
    assert (forked.status_code, forked.json()["forked_count"]) == (201, 7)
    shown = await users.get(f"/api/projects/{project.id}/entities/user", headers={"X-AgentStack-Env": "premium-test"})
    assert [item["key"] for item in shown.json()["entities"]] == preview.json()["sample"]
    manifest = (await users.get(f"/api/sandbox/manifest/{forked.json()['manifest_uuid']}")).json()
    assert (manifest["forked_count"], manifest["env_uuid"]) == (7, forked.json()["anchor_uuid"])
    assert manifest["user_filter"] == {
        "rules": RULES,
        "segment_id": segment["segment_id"],
        "name": "Pro",
        "matching": 6,
    }
    inside = await users.post(f"{SEGMENT}/preview", json={"rules": []}, headers={"X-AgentStack-Env": "premium-test"})
    assert inside.json()["total"] == 6
    by_rules = {"env_name": "by-rules", "user_filter": {"rules": RULES}}
    assert (await users.post("/api/sandbox/fork", json=by_rules)).json()["forked_count"] == 7


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ([{"field": "a", "op": "like", "value": 1}], "/rules/0/op"),
        ([{"any": [{"field": "a", "op": "gt", "value": "1"}]}], "/rules/0/any/0/value"),
        ([5], "/rules/0"),
        ([{"field": "a", "op": "eq", "value": 1}] * 10_000, "/rules"),
        ({}, "/rules"),
    ],
)
async def test_rules_that_mean_nothing_are_refused(users: httpx.AsyncClient, rules: Any, path: str) -> None:
    for address, body in (
        (SEGMENT, {"name": "a", "rules": rules}),
        (f"{SEGMENT}/preview", {"rules": rules}),
        ("/api/sandbox/fork", {"env_name": "env", "user_filter": {"rules": rules}}),
    ):
        refused = await users.post(address, json=body)
        assert refused.status_code == 422, refused.text
        # So many that they cannot be a part of any document are refused before they are read as rules.
        assert refused.json()["path"].removeprefix("/user_filter").startswith(path)
    assert (await users.get("/api/sandbox/segments")).json() == {"segments": []}


async def test_ids_that_name_nothing(users: httpx.AsyncClient) -> None:
    unknown = str(uuid4())
    for answer in (
        await users.put(f"{SEGMENT}/{unknown}", json={"name": "a", "rules": []}),
        await users.post(f"{SEGMENT}/preview", json={"segment_id": unknown}),
        await users.post("/api/sandbox/fork", json={"env_name": "env", "segment_id": unknown}),
    ):
        assert (answer.status_code, answer.json()["error"]) == (404, "segment_not_found")
    assert (await users.get(f"/api/sandbox/manifest/{unknown}")).json()["error"] == "manifest_not_found"
    both = {"env_name": "env", "segment_id": unknown, "user_filter": {"rules": []}}
    assert (await users.post("/api/sandbox/fork", json=both)).status_code == 400
    assert (await users.post(f"{SEGMENT}/preview", json={})).status_code == 422


async def test_numbers_keep_their_digits(users: httpx.AsyncClient) -> None:
    body = b'{"name": "a", "rules": [{"field": "n", "op": "in", "value": [1.0, 12345678901234567890.10, 1e2]}]}'
    made = await users.post(SEGMENT, content=body, headers={"Content-Type": "application/json"})
    assert b'"value":[1.0,12345678901234567890.10,100]' in made.content.replace(b" ", b"")
    listed = (await users.get("/api/sandbox/segments")).content.replace(b" ", b"")
    assert b'"value":[1.0,12345678901234567890.10,100]' in listed
    preview = await users.post(f"{SEGMENT}/preview", json={"segment_id": made.json()["segment_id"]})
    assert preview.json()["matching"] == 0
