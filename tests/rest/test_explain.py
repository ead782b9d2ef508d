"""Why a user sees what it sees: the environment and its reasons, the generation and what it overrides."""

from typing import Any

import pytest

from app.domain.canary import serves
from app.domain.model import Actor, Project, Strategy
from app.domain.values import Value
from app.services import promoting
from app.services.promoting import PromoteOptions
from tests.rest.conftest import Api, made, refused
from tests.services.shop import Shop

PREMIUM = "7d1f0a52-7c0e-4a35-9c5f-0d6a3b8a1c11"
RULES: list[Value] = [
    {"field": "tier", "op": "eq", "value": "premium"},
    {"field": "country", "op": "in", "value": ["DE"]},
]


@pytest.fixture
async def shop(actor: Actor, project: Project) -> Shop:
    """A project with a price and a segment."""
    shop = Shop(actor, project)
    segments: list[Value] = [{"segment_id": PREMIUM, "name": "premium", "rules": RULES, "created_at": None}]
    await shop.put(None, {"price": 1, "config": {"segments": segments}}, "project", "project")
    await shop.put(None, {"tier": "premium", "country": "DE"}, "grace", "user")
    await shop.put(None, {"tier": "premium", "country": "FR"}, "ada", "user")
    return shop


async def explained(api: Api, user: str = "ada", path: str = "/price", **options: Any) -> dict[str, Any]:
    parameters = {"project_id": api.project.id, "user_uuid": user, "path": path, **options.pop("params", {})}
    return made(await api.get("/api/sandbox/explain", params=parameters, **options))


async def test_production_serves_what_it_set_itself(api: Api, shop: Shop) -> None:
    said = await explained(api)
    assert (said["env_name"], said["reason"], said["value"], said["path"]) == ("production", "production", 1, "/price")
    assert [(item["reason"], item["passed"]) for item in said["considered"]] == [
        ("explicit", False),
        ("production", True),
    ]
    assert (said["set_by"]["env_name"], said["set_by"]["value"], said["overrides"]) == ("production", 1, [])
    assert said["change"]["env_uuid"] == said["env_uuid"]


async def test_the_generation_that_set_it_and_the_ancestors_it_overrides(api: Api, shop: Shop) -> None:
    feature = await shop.fork("feature")
    await shop.merge("feature", {"price": 2}, "project", "project")
    await shop.fork("deeper", feature)
    await shop.merge("deeper", {"price": 3, "other": 5}, "project", "project")
    said = await explained(api, headers={"X-AgentStack-Env": "deeper"})
    assert (said["env_name"], said["reason"], said["value"]) == ("deeper", "explicit", 3)
    assert (said["set_by"]["env_name"], said["set_by"]["generation"], said["set_by"]["value"]) == ("deeper", 2, 3)
    assert [(item["env_name"], item["value"]) for item in said["overrides"]] == [("feature", 2), ("production", 1)]
    other = await explained(api, path="other", headers={"X-AgentStack-Env": "deeper"})
    assert (other["set_by"]["env_name"], other["overrides"]) == ("deeper", [])
    nothing = await explained(api, path="/nothing", headers={"X-AgentStack-Env": "deeper"})
    assert (nothing["exists"], nothing["value"], nothing["change"]) == (False, None, None)


async def test_a_rollout_with_bucket_and_weight(api: Api, shop: Shop) -> None:
    env = await shop.fork("next")
    await shop.merge("next", {"price": 2}, "project", "project")
    steps: list[Value] = [{"weight": 40}, {"weight": 100}]
    await promoting.promote(shop.actor, env, PromoteOptions(Strategy.CANARY, rollout_steps=steps))
    for user in map(str, range(10)):
        said = await explained(api, user)
        inside = serves(env, user, 40)
        canary = next(item for item in said["considered"] if item["reason"] == "canary")
        assert (canary["passed"], canary["weight"], canary["bucket"] < 4_000) == (inside, 40, inside)
        assert (said["env_name"], said["value"]) == (("next", 2) if inside else ("production", 1))
        asked = {"project_id": api.project.id, "user_uuid": user}
        assert (await api.get("/api/sandbox/route", params=asked)).json()["env_uuid"] == said["env_uuid"]


async def reserved(api: Api, shop: Shop) -> str:
    env = await shop.fork("vip")
    await shop.merge("vip", {"price": 0}, "project", "project")
    made(await api.patch("/api/sandbox/environment", {"env_uuid": str(env), "segments": [PREMIUM]}))
    made(await api.post("/api/sandbox/validate", {"env_uuid": str(env)}))
    return str(env)


async def test_segments_with_their_rules(api: Api, shop: Shop) -> None:
    env = await reserved(api, shop)
    for user, passes in (("grace", [True, True]), ("ada", [True, False]), ("nobody", [False, False])):
        said = await explained(api, user)
        segment = next(item for item in said["considered"] if item["reason"] == "segment")
        assert (segment["segment_id"], segment["segment_name"], segment["env_uuid"]) == (PREMIUM, "premium", env)
        assert [(item["rule"], item["passed"]) for item in segment["rules"]] == [*zip(RULES, passes, strict=True)]
        assert said["reason"] == ("segment" if all(passes) else "production")
        asked = {"project_id": api.project.id, "user_uuid": user}
        way = (await api.get("/api/sandbox/route", params=asked)).json()
        assert (way["env_uuid"], way["reason"]) == (said["env_uuid"], said["reason"])
        assert way["segment_id"] == (PREMIUM if all(passes) else None)


async def test_protected_values_are_masked(api: Api, shop: Shop) -> None:
    await shop.merge(None, {"secret": "s3cret", "config": {"protected_fields": ["secret"]}}, "project", "project")
    said = await explained(api, path="/secret")
    assert (said["protected"], said["value"]) == (True, {"$protected": True})
    assert "s3cret" not in str(said)


async def test_what_cannot_be_explained(api: Api, shop: Shop) -> None:
    asked = {"project_id": api.project.id, "user_uuid": "ada"}
    for change, status, code in (
        ({"user_uuid": "x" * 257}, 422, "validation_failed"),
        ({"kind": "page", "key": "nothing"}, 404, "document_not_found"),
        ({"path": "/a~2"}, 422, "invalid_path"),
        ({"env": "nowhere"}, 404, "environment_not_found"),
        ({"project_id": 2**31 - 1}, 404, "project_not_found"),
    ):
        refused(await api.get("/api/sandbox/explain", params={**asked, **change}), status, code)
