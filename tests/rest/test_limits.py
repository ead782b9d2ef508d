"""Plans over HTTP: what ``GET /limits`` shows, and refusals as clients in the field read them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.domain.model import Plan
from app.services import operator
from tests.rest.conftest import Api, made, refused


async def _limits(api: Api) -> dict[str, Any]:
    return made(await api.get("/api/sandbox/limits", params={"project_id": api.project.id}))


def _limited(answer: httpx.Response, code: str, limit: str, current: int, maximum: int, available_from: str) -> None:
    """Check a refusal by the plan: its fields stand plain and under ``detail``."""
    body = refused(answer, 403, code)
    fields = {"limit_type": limit, "current": current, "max": maximum, "available_from": available_from}
    expected = {"error": code, "message": body["message"], **fields}
    assert body["detail"] == expected
    assert body == expected | {"detail": expected, "request_id": body["request_id"]}


async def test_limits_of_pro(api: Api) -> None:
    anchor = (await api.fork("one"))["anchor_uuid"]
    made(await api.post("/api/sandbox/checkpoint", {"env_uuid": anchor}))
    assert await _limits(api) == {
        "tier": "pro",
        "limits": {
            "sandbox_environment_count": 10,
            "sandbox_generation_depth": 10,
            "sandbox_checkpoint_count": 10,
            "sandbox_ab_test_count": 5,
            "sandbox_shadow_writes": True,
            "sandbox_env_ttl_days": 30,
        },
        "usage": {"environment_count": 1, "checkpoint_count": 1, "ab_test_count": 0},
        "features": {"canary": True, "shadow_writes": True, "ab_test": True},
    }


@pytest.mark.parametrize(
    ("plan", "environments", "shadow", "canary", "ab_test"),
    [
        (Plan.FREE, 0, False, False, False),
        (Plan.STARTER, 1, False, True, False),
        (Plan.BASIC, 3, False, True, True),
        (Plan.PREMIUM, 30, True, True, True),
        (Plan.ENTERPRISE, None, True, True, True),
    ],
)
async def test_limits_of_other_plans(
    api: Api, plan: Plan, environments: int | None, shadow: bool, canary: bool, ab_test: bool
) -> None:
    await operator.set_plan(api.project.id, plan)
    shown = await _limits(api)
    assert shown["tier"] == plan.value
    assert shown["limits"]["sandbox_environment_count"] == environments
    assert shown["limits"]["sandbox_shadow_writes"] is shadow
    assert shown["features"] == {"canary": canary, "shadow_writes": shadow, "ab_test": ab_test}


async def test_limits_are_for_members_and_keys_of_the_project(api: Api) -> None:
    key = made(await api.post(f"{api.documents}/api-keys", {"name": "k", "scopes": ["read"]}))["key"]
    headers = {"Authorization": f"Bearer {key}"}
    assert made(await api.get("/api/sandbox/limits", headers=headers))["tier"] == "pro"
    refused(await api.get("/api/sandbox/limits"), 400, "bad_request")
    refused(await api.get("/api/sandbox/limits", params={"project_id": 2**31 - 1}), 404, "project_not_found")


async def test_refused_forks_change_nothing(api: Api) -> None:
    await operator.set_plan(api.project.id, Plan.BASIC)
    forks = [await api.fork(f"e{number}") for number in range(3)]
    before = await api.state()
    body = {"source_project_id": api.project.id, "env_name": "more"}
    answer = await api.post("/api/sandbox/fork", body)
    _limited(answer, "sandbox_limit_exceeded", "sandbox_environment_count", 3, 3, "pro")
    assert await api.state() == before
    made(await api.client.delete("/api/sandbox/environment", params={"env_uuid": forks[0]["anchor_uuid"]}))
    before = await api.state()
    answer = await api.post("/api/sandbox/fork", body | {"shadow_writes": True})
    _limited(answer, "sandbox_not_available", "sandbox_shadow_writes", 0, 0, "pro")
    late = (datetime.now(UTC) + timedelta(days=14, hours=1)).isoformat()
    answer = await api.post("/api/sandbox/fork", body | {"expires_at": late})
    _limited(answer, "sandbox_limit_exceeded", "sandbox_env_ttl_days", 15, 14, "pro")
    assert await api.state() == before
    await api.fork("more")


async def test_refused_updates_change_nothing(api: Api) -> None:
    await operator.set_plan(api.project.id, Plan.BASIC)
    anchor = (await api.fork("env"))["anchor_uuid"]
    before = await api.state()
    late = (datetime.now(UTC) + timedelta(days=20)).isoformat()
    for change, code, limit, numbers, plan in (
        ({"expires_at": late}, "sandbox_limit_exceeded", "sandbox_env_ttl_days", (20, 14), "pro"),
        ({"shadow_writes": True}, "sandbox_not_available", "sandbox_shadow_writes", (0, 0), "pro"),
    ):
        answer = await api.patch("/api/sandbox/environment", {"env_uuid": anchor, "env_name": "new", **change})
        _limited(answer, code, limit, *numbers, plan)
    assert await api.state() == before


async def test_refused_checkpoints_and_rollbacks_change_nothing(api: Api) -> None:
    await operator.set_plan(api.project.id, Plan.STARTER)
    anchor = (await api.fork("env"))["anchor_uuid"]
    production = str(api.project.production_uuid)
    taken = made(await api.post("/api/sandbox/checkpoint", {"env_uuid": anchor}))["checkpoint_uuid"]
    made(await api.post("/api/sandbox/rollback", {"checkpoint_uuid": taken}))
    before = await api.state()
    for target in (anchor, production):
        answer = await api.post("/api/sandbox/checkpoint", {"env_uuid": target})
        _limited(answer, "sandbox_limit_exceeded", "sandbox_checkpoint_count", 1, 1, "basic")
    answer = await api.post("/api/sandbox/rollback", {"checkpoint_uuid": taken})
    _limited(answer, "sandbox_limit_exceeded", "sandbox_environment_count", 2, 1, "basic")
    assert await api.state() == before


async def test_depth(api: Api) -> None:
    parent: str | None = None
    for number in range(3):
        parent = (await api.fork(f"e{number}", parent_env_uuid=parent))["anchor_uuid"]
    await operator.set_plan(api.project.id, Plan.BASIC)
    for name in ("e0", "e1"):
        await _archive(api, name)
    for name in ("e3", "e4"):
        parent = (await api.fork(name, parent_env_uuid=parent))["anchor_uuid"]
    await _archive(api, "e2")
    before = await api.state()
    body = {"source_project_id": api.project.id, "env_name": "deeper", "parent_env_uuid": parent}
    answer = await api.post("/api/sandbox/fork", body)
    _limited(answer, "sandbox_limit_exceeded", "sandbox_generation_depth", 5, 5, "pro")
    parent = next(item["parent_env_uuid"] for item in await _environments(api) if item["env_name"] == "e4")
    answer = await api.post("/api/sandbox/checkpoint", {"env_uuid": parent})
    _limited(answer, "sandbox_limit_exceeded", "sandbox_generation_depth", 4, 5, "pro")
    assert await api.state() == before


async def _environments(api: Api) -> list[dict[str, Any]]:
    answer = await api.get("/api/sandbox/environments", params={"project_id": api.project.id})
    found: list[dict[str, Any]] = made(answer)["environments"]
    return found


async def _archive(api: Api, name: str) -> None:
    uuid = next(item["anchor_uuid"] for item in await _environments(api) if item["env_name"] == name)
    made(await api.client.delete("/api/sandbox/environment", params={"env_uuid": uuid}))


async def test_free_has_backups_only(api: Api) -> None:
    await operator.set_plan(api.project.id, Plan.FREE)
    await api.put(f"{api.documents}/data", {"n": 1})
    before = await api.state()
    answer = await api.post("/api/sandbox/fork", {"source_project_id": api.project.id, "env_name": "x"})
    _limited(answer, "sandbox_not_available", "sandbox_environment_count", 0, 0, "starter")
    answer = await api.post("/api/sandbox/checkpoint", {"env_uuid": str(api.project.production_uuid)})
    _limited(answer, "sandbox_not_available", "sandbox_checkpoint_count", 0, 0, "starter")
    assert await api.state() == before
    here = {"project_id": api.project.id}
    saved = made(await api.post("/api/sandbox/backup", here))["backup_uuid"]
    await api.put(f"{api.documents}/data", {"n": 2})
    made(await api.post("/api/sandbox/restore", {**here, "backup_uuid": saved}))
    assert (await api.get(f"{api.documents}/data")).json() == {"n": 1}


async def test_a_refusal_leaves_an_idempotency_key_free(api: Api) -> None:
    await operator.set_plan(api.project.id, Plan.FREE)
    body, headers = {"source_project_id": api.project.id, "env_name": "x"}, {"Idempotency-Key": "again"}
    answer = await api.post("/api/sandbox/fork", body, headers=headers)
    _limited(answer, "sandbox_not_available", "sandbox_environment_count", 0, 0, "starter")
    await operator.set_plan(api.project.id, Plan.STARTER)
    made(await api.post("/api/sandbox/fork", body, headers=headers))
    again = await api.post("/api/sandbox/fork", body, headers=headers)
    assert (again.status_code, (await _limits(api))["usage"]["environment_count"]) == (201, 1)
