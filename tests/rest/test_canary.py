"""A canary from end to end through REST, as the guide has it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.domain.model import Project
from tests.doors import Headers


@pytest.fixture
async def env(client: httpx.AsyncClient, owner: Headers, project: Project) -> str:
    """An environment that rolls out a change of the project document."""
    client.headers.update(owner)
    await client.patch(f"/api/projects/{project.id}/data", json={"config": {"price": 1}})
    made = await client.post("/api/sandbox/fork", json={"source_project_id": project.id, "env_name": "env"})
    await client.patch(f"/api/projects/{project.id}/data?env=env", json={"config": {"price": 2}})
    uuid: str = made.json()["anchor_uuid"]
    promoted = await client.post("/api/sandbox/promote", json={"env_uuid": uuid, "strategy": "canary"})
    assert (promoted.status_code, promoted.json()["status"]) == (202, "rolling_out")
    return uuid


async def ask(client: httpx.AsyncClient, verb: str, env: str, status: int = 200, **more: Any) -> Any:
    answer = await client.post(f"/api/sandbox/{verb}", json={"env_uuid": env, **more})
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.parametrize("name", ["canary", "rollout"])
async def test_the_guides_steps_to_production(client: httpx.AsyncClient, project: Project, env: str, name: str) -> None:
    moved = await ask(client, f"{name}/advance", env)
    assert moved["env_uuid"] == env
    assert (moved["status"], moved["traffic_weight"], moved["previous_traffic_weight"]) == ("rolling_out", 20, 5)
    assert (moved["step"], len(moved["steps"]), moved["completed"], moved["early"]) == (2, 4, False, True)
    assert moved["waits_for"] == ["hand", "time"]
    due = datetime.fromisoformat(moved["next_step_at"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < due <= timedelta(minutes=60)
    await ask(client, f"{name}/advance", env)
    done = await ask(client, f"{name}/advance", env)
    assert (done["status"], done["traffic_weight"], done["completed"], done["next_step_at"]) == (
        "live",
        100,
        True,
        None,
    )
    data = (await client.get(f"/api/projects/{project.id}/data?path=config.price")).json()
    assert data == 2
    assert (await ask(client, f"{name}/advance", env, 409))["error"] == "not_rolling_out"
    assert (await ask(client, f"{name}/abort", env, 409))["error"] == "not_rolling_out"


async def test_abort(client: httpx.AsyncClient, env: str) -> None:
    ended = await ask(client, "canary/abort", env, reason="Slow")
    assert (ended["status"], ended["traffic_weight"], ended["previous_traffic_weight"], ended["reason"]) == (
        "ready",
        0,
        5,
        "Slow",
    )
    promotion = await client.get(f"/api/sandbox/promotions/{ended['promotion_id']}")
    assert (promotion.json()["status"], promotion.json()["reason"]) == ("aborted", "Slow")


async def test_conflicts_of_the_last_step(client: httpx.AsyncClient, project: Project, env: str) -> None:
    await client.patch(f"/api/projects/{project.id}/data", json={"config": {"price": 9}})
    for _ in range(2):
        await ask(client, "canary/advance", env)
    refused = await ask(client, "canary/advance", env, 409)
    assert (refused["error"], refused["checks"]["conflicts_resolved"]) == ("promotion_blocked", False)
    assert [(item["path"], item["ours"], item["theirs"]) for item in refused["conflicts"]] == [("/config/price", 9, 2)]
    shown = (await client.get("/api/sandbox/canary", params={"env_uuid": env})).json()
    assert (shown["status"], shown["traffic_weight"]) == ("rolling_out", 50)
    done = await ask(client, "canary/advance", env, resolutions=[{"path": "/config/price", "take": "ours"}])
    assert done["completed"]


async def test_health_and_guards(client: httpx.AsyncClient, project: Project, env: str) -> None:
    await client.patch(
        f"/api/generations/{project.id}/settings",
        json={"canary_error_rate_threshold": 0.05, "canary_p99_latency_ms_threshold": 200},
    )
    report = {"side": "environment", "requests": 100, "errors": 2, "latency_p99_ms": 120.5}
    seen = await ask(client, "canary/report", env, 202, **report)
    assert seen["health"]["environment"] == {"requests": 100, "errors": 2, "latency_p99_ms": 120.5}
    assert [(guard["metric"], guard["outcome"]) for guard in seen["guards"]] == [
        ("error_rate", "passed"),
        ("latency_p99", "passed"),
    ]
    shown = (await client.get("/api/sandbox/rollout", params={"env_uuid": env})).json()
    assert shown["rollout"] == seen
    for wrong in ({"errors": 101}, {"requests": 0}, {"side": "other"}, {"latency_p99_ms": "fast"}, {"more": 1}):
        refused = await ask(client, "canary/report", env, 422, **{**report, **wrong})
        assert refused["error"] == "validation_failed"
    await ask(client, "canary/abort", env)
    shown = (await client.get("/api/sandbox/canary", params={"env_uuid": env})).json()
    assert (shown["status"], shown["rollout"]) == ("ready", None)


@pytest.mark.parametrize(
    "guards",
    [
        [{"metric": "error_rate", "threshold": 5}],
        [{"metric": "error_rate", "threshold": "5 %"}],
        [{"metric": "cpu", "threshold": 0.5}],
        [{"metric": "latency_p99", "threshold": -1}],
        [{"metric": "latency_p99", "threshold": 1}] * 11,
    ],
)
async def test_guards_that_are_none(client: httpx.AsyncClient, env: str, guards: list[Any]) -> None:
    await ask(client, "canary/abort", env)
    refused = await ask(client, "promote", env, 422, strategy="canary", guards=guards)
    assert refused["error"] == "validation_failed"
    guards = [{"metric": "latency_p99", "threshold": 1.5, "relative": True}]
    assert (await ask(client, "promote", env, 202, strategy="canary", guards=guards))["status"] == "rolling_out"
    shown = (await client.get("/api/sandbox/canary", params={"env_uuid": env})).json()
    assert [(item["relative"], item["outcome"]) for item in shown["rollout"]["guards"]] == [(True, "not_measured")]
