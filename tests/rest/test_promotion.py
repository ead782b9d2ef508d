"""Promotion over REST, as the guide and ``rest.md`` say it."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.domain.model import Actor, Project
from app.services import documents, environments
from app.services.branching import ForkOptions

Body = dict[str, Any]
PROMOTE = "/api/sandbox/promote"


@pytest.fixture
async def env(actor: Actor, project: Project) -> str:
    await documents.put(actor, project.id, None, "page", "a", {"a": 1, "b": 1})
    fork = await environments.fork(actor, project.id, ForkOptions("env"))
    await documents.merge(actor, project.id, "env", "page", "a", {"a": 2})
    return str(fork.environment.uuid)


@pytest.fixture
def api(client: httpx.AsyncClient, owner: dict[str, str]) -> httpx.AsyncClient:
    client.headers.update(owner)
    return client


async def _page(api: httpx.AsyncClient, project: Project, env: str | None = None) -> Any:
    headers = {"X-AgentStack-Env": env} if env else {}
    return (await api.get(f"/api/projects/{project.id}/entities/page/a", headers=headers)).json()


async def test_the_guides_answer(api: httpx.AsyncClient, project: Project, env: str) -> None:
    answer = await api.post(PROMOTE, json={"env_uuid": env, "strategy": "immediate"})
    assert answer.status_code == 201
    body = answer.json()
    assert body["status"] == "completed"
    assert body["checks"] == dict.fromkeys(
        ("schema_valid", "depth_ok", "conflict_free", "health_ok", "conflicts_resolved"), True
    )
    assert (body["approvers"], body["conflicts"], body["reasons"]) == ([], [], {})
    assert {"promotion_id", "env_uuid", "strategy", "approved_at", "created_at", "release_id"} <= body.keys()
    assert await _page(api, project) == {"a": 2, "b": 1}
    found = await api.get(f"/api/sandbox/promotions/{body['promotion_id']}")
    assert found.json() == body
    timeline = (await api.get(f"/api/generations/{project.id}/timeline")).json()["timeline"]
    assert [item["promotion_id"] for item in timeline] == [body["promotion_id"]]
    status = (await api.get(f"/api/generations/{project.id}/status")).json()
    assert (status["live"]["env_uuid"], status["rolling_out"]) == (env, None)


async def test_a_blocked_promotion_is_409_with_the_same_body_and_each_conflict_can_be_settled(
    actor: Actor, api: httpx.AsyncClient, project: Project, env: str
) -> None:
    await documents.merge(actor, project.id, None, "page", "a", {"a": 3})
    answer = await api.post(PROMOTE, json={"env_uuid": env})
    assert (answer.status_code, answer.json()["status"]) == (409, "blocked")
    conflict = {"kind": "page", "key": "a", "path": "/a", "base": 1, "ours": 3, "theirs": 2, "absent": []}
    assert answer.json()["conflicts"] == [conflict]
    assert await _page(api, project) == {"a": 3, "b": 1}
    wrong = {"kind": "page", "key": "a", "path": "/b", "take": "ours"}
    refused = await api.post(PROMOTE, json={"env_uuid": env, "resolutions": [wrong]})
    assert (refused.status_code, refused.json()["error"]) == (422, "unknown_conflict")
    settled = {"kind": "page", "key": "a", "path": "/a", "value": None}
    done = await api.post(PROMOTE, json={"env_uuid": env, "resolutions": [settled]})
    assert done.status_code == 201
    assert await _page(api, project) == {"a": None, "b": 1}


async def test_a_dry_run_says_it_all_and_changes_nothing(api: httpx.AsyncClient, project: Project, env: str) -> None:
    before = (await api.get("/api/sandbox/environments", params={"project_id": project.id})).json()
    answer = await api.post(PROMOTE, json={"env_uuid": env, "dry_run": True})
    assert answer.status_code == 200
    assert answer.json()["documents"] == [{"kind": "page", "key": "a", "deleted": False, "data": {"a": 2, "b": 1}}]
    assert (await api.get("/api/sandbox/environments", params={"project_id": project.id})).json() == before
    assert (await api.get("/api/sandbox/promotions", params={"project_id": project.id})).json()["promotions"] == []


async def test_blue_green_waits_for_one_call_and_can_be_undone(
    api: httpx.AsyncClient, project: Project, env: str
) -> None:
    asked = await api.post(PROMOTE, json={"env_uuid": env, "instant": False})
    assert (asked.status_code, asked.json()["status"]) == (202, "pending_approval")
    again = await api.post(PROMOTE, json={"env_uuid": env})
    assert (again.status_code, again.json()["error"]) == (409, "promotion_pending")
    assert await _page(api, project) == {"a": 1, "b": 1}
    done = await api.post("/api/sandbox/approve", json={"env_uuid": env})
    assert (done.status_code, done.json()["status"]) == (200, "completed")
    release = done.json()["release_id"]
    touched = (await api.get(f"/api/sandbox/releases/{release}/documents")).json()["documents"]
    assert [(item["before"], item["after"]) for item in touched] == [({"a": 1, "b": 1}, {"a": 2, "b": 1})]
    undone = await api.post(f"/api/sandbox/releases/{release}/rollback", json={})
    assert (undone.status_code, undone.json()["undoes"]) == (201, release)
    assert await _page(api, project) == {"a": 1, "b": 1}
    assert await _page(api, project, "env") == {"a": 2, "b": 1}
    then = await api.get(f"/api/projects/{project.id}/entities/page/a", params={"as_of": release})
    assert then.json() == {"a": 2, "b": 1}
    differing = await api.get(f"/api/sandbox/releases/{undone.json()['release_id']}/diff", params={"against": release})
    assert [item["diff"]["modified"] for item in differing.json()["documents"]] == [{"a": {"old": 2, "new": 1}}]


async def test_a_rejection_needs_a_reason_and_changes_nothing(
    api: httpx.AsyncClient, project: Project, env: str
) -> None:
    asked = (await api.post(PROMOTE, json={"env_uuid": env, "strategy": "blue_green"})).json()
    decide = f"/api/sandbox/promote/{asked['promotion_id']}/approve"
    assert (await api.post(decide, json={"reject": True})).status_code == 422
    rejected = await api.post(decide, json={"reject": True, "reason": "Not on a Friday"})
    assert (rejected.json()["status"], rejected.json()["reason"]) == ("rejected", "Not on a Friday")
    assert await _page(api, project) == {"a": 1, "b": 1}
    late = await api.post(decide, json={})
    assert (late.status_code, late.json()["error"]) == (409, "promotion_not_pending")


async def test_what_changed_since_it_was_asked_for_voids_it(
    actor: Actor, api: httpx.AsyncClient, project: Project, env: str
) -> None:
    await api.post(PROMOTE, json={"env_uuid": env, "strategy": "blue_green"})
    await documents.merge(actor, project.id, "env", "page", "a", {"b": 7})
    looked = await api.post("/api/sandbox/approve", json={"env_uuid": env})
    assert looked.status_code == 409
    assert [(item["path"], item["result"]) for item in looked.json()["changed"]] == [("/b", 7)]
    assert await _page(api, project) == {"a": 1, "b": 1}
    assert (await api.post("/api/sandbox/approve", json={"env_uuid": env})).status_code == 200
    assert await _page(api, project) == {"a": 2, "b": 7}


async def test_a_part_of_it(api: httpx.AsyncClient, actor: Actor, project: Project, env: str) -> None:
    await documents.merge(actor, project.id, "env", "page", "a", {"b": [1]})
    inside = {"kind": "page", "key": "a", "paths": ["/b/0"]}
    refused = await api.post(PROMOTE, json={"env_uuid": env, "paths": [inside]})
    assert (refused.status_code, refused.json()["error"]) == (422, "path_not_carried")
    chosen = {"kind": "page", "key": "a", "path": "/b"}
    assert (await api.post(PROMOTE, json={"env_uuid": env, "paths": [chosen]})).status_code == 201
    assert await _page(api, project) == {"a": 1, "b": [1]}
    assert await _page(api, project, "env") == {"a": 2, "b": [1]}


async def test_gates_and_the_queue(actor: Actor, api: httpx.AsyncClient, project: Project, env: str) -> None:
    queue = (await api.get(f"/api/generations/{project.id}/queue")).json()["queue"]
    assert [(item["environment"]["anchor_uuid"], item["gates"]["passed"]) for item in queue] == [(env, True)]
    run = await api.post(f"/api/generations/{project.id}/gates/run", json={"env_uuid": env})
    assert (run.status_code, run.json()["passed"]) == (200, True)
    checked = (await api.post("/api/sandbox/validate", json={"env_uuid": env})).json()
    assert checked["status"] == "ready"
    await documents.merge(actor, project.id, None, "page", "a", {"a": 9})
    gates = (await api.get(f"/api/generations/{project.id}/gates/{env}")).json()
    assert [gate["name"] for gate in gates["gates"] if not gate["passed"]] == ["conflicts_resolved"]
    assert (await api.post("/api/sandbox/validate", json={"env_uuid": env})).json()["status"] == "draft"


async def test_a_rebase_settles_conflicts_first(
    actor: Actor, api: httpx.AsyncClient, project: Project, env: str
) -> None:
    await documents.merge(actor, project.id, None, "page", "a", {"a": 9})
    refused = await api.post("/api/sandbox/rebase", json={"env_uuid": env})
    assert (refused.status_code, refused.json()["error"]) == (409, "conflicts_open")
    assert [item["path"] for item in refused.json()["conflicts"]] == ["/a"]
    settled = {"kind": "page", "key": "a", "path": "/a", "take": "theirs"}
    done = await api.post("/api/sandbox/rebase", json={"env_uuid": env, "resolutions": [settled]})
    assert (done.status_code, done.json()["documents"]) == (200, 1)
    assert (await api.post(PROMOTE, json={"env_uuid": env})).status_code == 201
    assert await _page(api, project) == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    "body",
    [
        {"strategy": "slow"},
        {"instant": True, "strategy": "canary"},
        {"rollout_steps": [{"weight": 5}]},
        {"paths": [{"kind": "page", "paths": ["/a"]}]},
        {"paths": ["a/b~2"]},
        {"resolutions": [{"path": "/a"}]},
        {"resolutions": [{"path": "/a", "take": "mine"}]},
        {"resolutions": [{"path": "/a", "take": "ours", "value": 1}]},
        {"message": "x" * 2001},
        {"unknown": 1},
    ],
)
async def test_bad_input_changes_nothing(api: httpx.AsyncClient, project: Project, env: str, body: Body) -> None:
    answer = await api.post(PROMOTE, json={"env_uuid": env, **body})
    assert answer.status_code in (400, 422), answer.text
    assert await _page(api, project) == {"a": 1, "b": 1}
    assert (await api.get("/api/sandbox/promotions", params={"project_id": project.id})).json()["promotions"] == []


async def test_production_and_what_is_not_there(api: httpx.AsyncClient, project: Project) -> None:
    refused = await api.post(PROMOTE, json={"env_uuid": str(project.production_uuid)})
    assert (refused.status_code, refused.json()["error"]) == (409, "production_protected")
    for path in ("promotions", "releases"):
        assert (await api.get(f"/api/sandbox/{path}/{uuid4()}")).status_code == 404
