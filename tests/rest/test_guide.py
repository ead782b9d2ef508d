"""Each example of the reference guide that is in reach, as a request and its answer."""

from uuid import UUID

import pytest

from app.rest.examples import ANSWERS, BODIES
from tests.rest.conftest import Api, made, refused

FORK = "/api/sandbox/fork"


def is_uuid(text: str) -> bool:
    return str(UUID(text)) == text


async def test_fork_answers_as_the_guide_shows(api: Api) -> None:
    await api.put(api.entity("order", "1"), {})
    await api.put(api.entity("user", "u1"), {})
    answer = await api.post(FORK, {**BODIES["fork"], "source_project_id": api.project.id})
    body = made(answer)
    assert answer.status_code == 201
    assert body.keys() >= ANSWERS["fork"].keys()
    uuids = ("anchor_uuid", "fork_project_uuid", "manifest_uuid")
    assert all(is_uuid(body[name]) for name in uuids)
    same = ("env_name", "env_type", "generation", "forked_count", "status")
    assert {name: body[name] for name in same} == {name: ANSWERS["fork"][name] for name in same}


async def test_fork_of_a_fork_counts_generations(api: Api) -> None:
    parent = await api.fork("parent")
    child = await api.fork("child", parent_env_uuid=parent["anchor_uuid"])
    assert (child["generation"], child["parent_env_uuid"]) == (2, parent["anchor_uuid"])


async def test_fork_needs_a_user(api: Api) -> None:
    key = made(await api.post(f"{api.documents}/api-keys", {"name": "k", "scopes": ["read", "write", "admin"]}))
    before = await api.state()
    answer = await api.post(
        FORK,
        {"source_project_id": api.project.id, "env_name": "x"},
        headers={"Authorization": f"Bearer {key['key']}"},
    )
    refused(answer, 403, "jwt_required")
    assert await api.state() == before


async def test_environments_come_with_the_config_of_the_guide(api: Api) -> None:
    await api.fork("feature/payments-v2")
    answer = await api.get("/api/sandbox/environments", params={"project_id": api.project.id})
    production, sandbox = made(answer)["environments"]
    assert (production["env_type"], production["generation"], production["status"]) == ("production", 0, "live")
    assert production["anchor_uuid"] == str(api.project.production_uuid)
    assert sandbox["env_name"] == "feature/payments-v2"
    assert sandbox["config"].keys() >= {
        "env_type", "env_name", "is_checkpoint", "diff_only", "status", "head_uuid", "pinned_uuid",
        "traffic_weight", "rollout_steps", "ab_seed", "segments", "shadow_writes", "expires_at",
    }  # fmt: skip
    assert sandbox["config"]["diff_only"] is True
    assert sandbox["config"]["rollout_steps"] == [
        {"weight": 5, "pause_minutes": 30},
        {"weight": 20, "pause_minutes": 60},
        {"weight": 50, "pause_minutes": 120},
        {"weight": 100, "pause_minutes": 0},
    ]


async def test_environments_can_be_filtered(api: Api) -> None:
    await api.fork("a", env_type="staging")
    await api.fork("b", env_type="feature")
    query = {"project_id": api.project.id, "env_type": ["staging", "production"], "status": ["draft"]}
    found = made(await api.get("/api/sandbox/environments", params=query))["environments"]
    assert [environment["env_name"] for environment in found] == ["a"]


async def test_archiving(api: Api) -> None:
    anchor = (await api.fork("gone"))["anchor_uuid"]
    answer = await api.client.delete("/api/sandbox/environment", params={"env_uuid": anchor})
    body = made(answer)
    assert body.keys() == ANSWERS["archiveEnvironment"].keys()
    assert (answer.status_code, body["anchor_uuid"], body["status"]) == (200, anchor, "archived")
    refused(await api.get(f"{api.documents}/data", headers={"X-AgentStack-Env": anchor}), 409, "environment_archived")


async def test_production_cannot_be_archived(api: Api) -> None:
    before = await api.state()
    query = {"env_uuid": str(api.project.production_uuid)}
    refused(await api.client.delete("/api/sandbox/environment", params=query), 409, "production_protected")
    assert await api.state() == before


async def test_checkpoint_and_rollback(api: Api) -> None:
    anchor = (await api.fork("work"))["anchor_uuid"]
    headers = {"X-AgentStack-Env": "work"}
    await api.put(f"{api.documents}/data", {"a": 1}, headers=headers)
    answer = await api.post("/api/sandbox/checkpoint", {"env_uuid": anchor, "label": "before-payment-migration"})
    checkpoint = made(answer)
    assert answer.status_code == 201
    assert checkpoint.keys() == ANSWERS["createCheckpoint"].keys()
    assert (checkpoint["label"], checkpoint["generation"], checkpoint["entities"]) == (
        "before-payment-migration",
        2,
        1,
    )
    await api.put(f"{api.documents}/data", {"a": 2}, headers=headers)
    rolled = made(await api.post("/api/sandbox/rollback", {"checkpoint_uuid": checkpoint["checkpoint_uuid"]}))
    assert rolled.keys() >= ANSWERS["fork"].keys()
    assert rolled["rollback_uuid"] == rolled["anchor_uuid"]
    assert rolled["source_checkpoint_uuid"] == checkpoint["checkpoint_uuid"]
    shown = await api.get(f"{api.documents}/data", headers={"X-AgentStack-Env": rolled["rollback_uuid"]})
    assert shown.json() == {"a": 1}


async def test_checkpoints_are_listed_and_deleted(api: Api) -> None:
    made(await api.post("/api/sandbox/checkpoint", {"env_uuid": str(api.project.production_uuid), "label": "p"}))
    query = {"env_uuid": str(api.project.production_uuid)}
    found = made(await api.get("/api/sandbox/checkpoints", params=query))["checkpoints"]
    assert [item["label"] for item in found] == ["p"]
    gone = {"checkpoint_uuid": found[0]["checkpoint_uuid"]}
    assert made(await api.client.delete("/api/sandbox/checkpoint", params=gone))["status"] == "deleted"
    assert made(await api.get("/api/sandbox/checkpoints", params=query))["checkpoints"] == []
    refused(await api.client.delete("/api/sandbox/checkpoint", params=gone), 404, "checkpoint_not_found")


async def test_pin_can_be_read_after_later_writes(api: Api) -> None:
    anchor = (await api.fork("review"))["anchor_uuid"]
    await api.put(api.entity("order", "1"), {"total": 1}, headers={"X-AgentStack-Env": "review"})
    answer = await api.post("/api/sandbox/pin", {"env_uuid": anchor})
    pin = made(answer)
    assert (answer.status_code, pin.keys() >= ANSWERS["createPin"].keys()) == (201, True)
    await api.put(api.entity("order", "1"), {"total": 2}, headers={"X-AgentStack-Env": "review"})
    snapshot = made(await api.get(f"/api/sandbox/snapshot/{pin['pinned_uuid']}", params={"kind": "order"}))
    assert [document["data"] for document in snapshot["documents"]] == [{"total": 1}]
    assert snapshot["next_cursor"] is None


@pytest.fixture
async def payments(api: Api) -> dict[str, str]:
    """The environment of the guide's diff: one field new, one modified."""
    await api.put(f"{api.documents}/data", {"config": {"payment_provider": "stripe"}})
    anchor = (await api.fork("feature/payments-v2"))["anchor_uuid"]
    patch = {"config": {"payment_provider": "tochka", "new_feature": True}}
    await api.patch(f"{api.documents}/data", patch, headers={"X-AgentStack-Env": anchor})
    return {"uuid_a": str(api.project.production_uuid), "uuid_b": anchor}


@pytest.mark.parametrize("table", [None, "project", "data_projects_project", "data_projects_8dna"])
async def test_diff_answers_as_the_guide_shows(api: Api, payments: dict[str, str], table: str | None) -> None:
    query = {**payments, "project_id": api.project.id} | ({"table": table} if table else {})
    answer = await api.get("/api/sandbox/diff", params=query)
    assert (answer.status_code, answer.json()) == (200, ANSWERS["getDiff"])


async def test_diff_as_json_patch(api: Api, payments: dict[str, str]) -> None:
    answer = await api.get("/api/sandbox/diff", params={**payments, "format": "json-patch"})
    assert answer.headers["content-type"] == "application/json-patch+json"
    assert sorted(answer.json(), key=str) == [
        {"op": "add", "path": "/config/new_feature", "value": True},
        {"op": "replace", "path": "/config/payment_provider", "value": "tochka"},
    ]


@pytest.mark.parametrize("table", ["nothing", "x'; DROP TABLE entity; --", "", "pg_catalog.pg_class", "\ud7ff"])
async def test_diff_of_an_unknown_table(api: Api, payments: dict[str, str], table: str) -> None:
    answer = await api.get("/api/sandbox/diff", params={**payments, "table": table})
    refused(answer, 404, "unknown_kind")


async def test_diff_of_users_by_key(api: Api, payments: dict[str, str]) -> None:
    await api.put(api.entity("user", "u1"), {"a": 1})
    await api.put(api.entity("user", "u1"), {"a": 2}, headers={"X-AgentStack-Env": payments["uuid_b"]})
    query = {**payments, "table": "data_projects_user", "key": "u1"}
    found = made(await api.get("/api/sandbox/diff", params=query))
    assert found == {"added": {}, "removed": {}, "modified": {"a": {"old": 1, "new": 2}}}


async def test_environment_diff_has_counts_first_and_pages(api: Api, payments: dict[str, str]) -> None:
    headers = {"X-AgentStack-Env": payments["uuid_b"]}
    for key in ("1", "2"):
        await api.put(api.entity("order", key), {"n": 1.5}, headers=headers)
    query = {"env_uuid": payments["uuid_b"], "limit": 2}
    first = made(await api.get("/api/sandbox/environment/diff", params=query))
    assert list(first) == ["counts", "entities", "next_cursor"]
    assert first["counts"] == {"added": 2, "removed": 0, "modified": 1}
    assert [(item["kind"], item["key"], item["status"]) for item in first["entities"]] == [
        ("order", "1", "added"),
        ("order", "2", "added"),
    ]
    rest = made(await api.get("/api/sandbox/environment/diff", params={**query, "cursor": first["next_cursor"]}))
    assert [item["diff"] for item in rest["entities"]] == [ANSWERS["getDiff"]]
    assert rest["next_cursor"] is None


async def test_tree_nested_and_flat(api: Api) -> None:
    parent = await api.fork("parent")
    await api.fork("child", parent_env_uuid=parent["anchor_uuid"])
    query = {"project_id": api.project.id}
    root = made(await api.get("/api/sandbox/tree", params=query))
    assert (root["generation"], root["parent_uuid"], root["env_type"]) == (0, None, "production")
    assert root["children"][0]["children"][0]["env_name"] == "child"
    assert root["children"][0]["children"][0]["children"] == []
    flat = made(await api.get("/api/sandbox/tree", params={**query, "format": "flat"}))["nodes"]
    assert [node["env_name"] for node in flat] == ["production", "parent", "child"]
    assert all("children" not in node for node in flat)
    assert flat[2].keys() == {
        "uuid", "parent_uuid", "generation", "env_uuid", "env_name", "env_type", "status", "label",
        "is_checkpoint", "diff_only", "created_at",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["head_uuid", "anchor_uuid"])
async def test_tree_below_a_root_needs_no_project(api: Api, name: str) -> None:
    parent = await api.fork("parent")
    await api.fork("child", parent_env_uuid=parent["anchor_uuid"])
    root = made(await api.get("/api/sandbox/tree", params={"root_uuid": parent[name]}))
    assert (root["env_name"], root["children"][0]["env_name"]) == ("parent", "child")


async def test_history_blame_and_revert(api: Api, payments: dict[str, str]) -> None:
    anchor = payments["uuid_b"]
    query = {"env_uuid": anchor, "kind": "project"}
    newest = made(await api.get("/api/sandbox/changes", params=query))["changes"][0]
    assert newest["forward"]["set"]["/config/payment_provider"] == "tochka"
    assert (newest["kind"], newest["origin"], newest["env_uuid"]) == ("project", "write", anchor)
    blame = made(await api.get("/api/sandbox/blame", params={"env_uuid": anchor, "path": "config.payment_provider"}))
    assert (blame["path"], blame["change"]["version"]) == ("/config/payment_provider", newest["version"])
    done = made(await api.post("/api/sandbox/revert", {"env_uuid": anchor, "paths": ["/config/payment_provider"]}))
    assert (done["env_uuid"], done["reverted"]) == (anchor, 1)
    shown = await api.get(f"{api.documents}/data", headers={"X-AgentStack-Env": anchor})
    assert shown.json() == {"config": {"payment_provider": "stripe", "new_feature": True}}


async def test_backup_and_restore(api: Api) -> None:
    await api.put(api.entity("order", "1"), {"n": 1})
    backup = made(await api.post("/api/sandbox/backup", {"project_id": api.project.id, "label": "nightly"}))
    await api.put(api.entity("order", "1"), {"n": 2})
    await api.put(api.entity("order", "2"), {"n": 2})
    listed = made(await api.get("/api/sandbox/backups", params={"project_id": api.project.id}))["backups"]
    assert [(item["backup_uuid"], item["label"]) for item in listed] == [(backup["backup_uuid"], "nightly")]
    body = {"project_id": api.project.id, "backup_uuid": backup["backup_uuid"]}
    only = made(await api.post("/api/sandbox/restore", {**body, "entities": [{"kind": "order", "key": "1"}]}))
    assert (only["created"], only["changed"], only["deleted"]) == (0, 1, 0)
    rest = made(await api.post("/api/sandbox/restore", body))
    assert (rest["created"], rest["changed"], rest["deleted"]) == (0, 0, 1)
    assert (await api.get(api.entity("order", "1"))).json() == {"n": 1}


@pytest.mark.usefixtures("unlimited")
async def test_updating_an_environment(api: Api) -> None:
    anchor = (await api.fork("old name"))["anchor_uuid"]
    body = {"env_uuid": anchor, "env_name": "new name", "shadow_writes": True, "expires_at": "2126-01-01T00:00:00Z"}
    updated = made(await api.patch("/api/sandbox/environment", body))
    assert (updated["env_name"], updated["config"]["shadow_writes"]) == ("new name", True)
    assert updated["expires_at"] == "2126-01-01T00:00:00Z"
    kept = made(await api.patch("/api/sandbox/environment", {"env_uuid": anchor, "expires_at": None}))
    assert (kept["env_name"], kept["expires_at"]) == ("new name", None)


async def test_secrets_are_refused_in_a_sandbox(api: Api) -> None:
    await api.fork("feature/payments-v2")
    query = {"decrypt_protected": "true"}
    headers = {"X-AgentStack-Env": "feature/payments-v2"}
    for path in (f"{api.documents}/data", api.entity("order", "1"), f"{api.documents}/export"):
        refused(await api.get(path, params=query, headers=headers), 403, "sandbox_secret_access_denied")
        named = {**query, "env": "feature/payments-v2"}
        refused(await api.get(path, params=named), 403, "sandbox_secret_access_denied")
    refused(
        await api.get("/api/sandbox/tree", params={**query, "project_id": api.project.id}),
        403,
        "sandbox_secret_access_denied",
    )
    assert (await api.get(f"{api.documents}/data", params=query)).status_code == 200
