"""A canary through GraphQL: where it stands, on to the next step, what stops it."""

from typing import Any

import httpx
import pytest

from app.domain.model import Actor, Project
from app.services import canaries
from tests.doors import Headers
from tests.services.rolling import Rolling
from tests.services.shop import Shop

ROLLOUT = """query ($env: UUID!) { environment(uuid: $env) { status rollout {
    step weight weightBefore nextStepAt waitsFor held
    steps { weight pauseMinutes autoAdvance minSample approval }
    environmentHealth { requests errors errorRate latencyP99Ms } productionHealth { requests }
    guards { metric threshold relative outcome } } } }"""
ADVANCE = """mutation ($input: AdvanceCanaryInput!) { advanceCanary(input: $input) { __typename
    ... on AdvanceCanaryPayload { outcome { weight previousWeight step completed early }
        environment { status trafficWeight } }
    ... on Refusal { code }
    ... on PromotionBlocked { checks { conflictsResolved } conflicts { path ours { value } theirs { value } } } } }"""
ABORT = """mutation ($input: AbortCanaryInput!) { abortCanary(input: $input) { __typename
    ... on AbortCanaryPayload { outcome { weight previousWeight reason } environment { status rollout { step } } }
    ... on Refusal { code } } }"""
REPORT = """mutation ($input: ReportCanaryHealthInput!) { reportCanaryHealth(input: $input) { __typename
    ... on ReportCanaryHealthPayload { environment { rollout { environmentHealth { requests latencyP99Ms } } } }
    ... on ValidationFailed { field } ... on Refusal { code } } }"""


@pytest.fixture
async def rolling(actor: Actor, project: Project) -> Rolling:
    """A rollout of a new price."""
    shop = Shop(actor, project)
    await shop.put(None, {"title": "Home", "price": 1})
    steps: list[Any] = [{"weight": 5, "pause_minutes": 30, "min_sample": 9}, {"weight": 50}, {"weight": 100}]
    return await Rolling.started(shop, steps)


async def ask(client: httpx.AsyncClient, query: str, **variables: Any) -> Any:
    answer = await client.post("/graphql", json={"query": query, "variables": variables})
    assert "errors" not in answer.json(), answer.text
    return next(iter(answer.json()["data"].values()))


async def test_where_a_rollout_stands(client: httpx.AsyncClient, owner: Headers, rolling: Rolling) -> None:
    client.headers.update(owner)
    env = str(rolling.env)
    report = {"envUuid": env, "side": "ENVIRONMENT", "requests": 20, "errors": 1, "latencyP99Ms": 12.5}
    done = await ask(client, REPORT, input=report)
    assert done["environment"]["rollout"]["environmentHealth"] == {"requests": 20, "latencyP99Ms": 12.5}
    found = await ask(client, ROLLOUT, env=env)
    assert found["status"] == "ROLLING_OUT"
    rollout = found["rollout"]
    assert (rollout["step"], rollout["weight"], rollout["weightBefore"], rollout["held"]) == (1, 5, 0, None)
    assert rollout["waitsFor"] == ["HAND", "TIME"]
    assert rollout["steps"][0] == {
        "weight": 5, "pauseMinutes": 30, "autoAdvance": False, "minSample": 9, "approval": False
    }  # fmt: skip
    assert rollout["environmentHealth"]["errorRate"] == 0.05
    assert (rollout["productionHealth"]["requests"], rollout["guards"]) == (0, [])
    refused = await ask(client, REPORT, input={**report, "errors": 21})
    assert (refused["__typename"], refused["field"]) == ("ValidationFailed", "errors")


async def test_steps_conflicts_and_production(client: httpx.AsyncClient, owner: Headers, rolling: Rolling) -> None:
    client.headers.update(owner)
    wanted = {"envUuid": str(rolling.env)}
    done = await ask(client, ADVANCE, input=wanted)
    assert done["outcome"] == {"weight": 50, "previousWeight": 5, "step": 2, "completed": False, "early": True}
    assert done["environment"] == {"status": "ROLLING_OUT", "trafficWeight": 50}
    await rolling.shop.merge(None, {"price": 9})
    refused = await ask(client, ADVANCE, input=wanted)
    assert (refused["__typename"], refused["code"]) == ("PromotionBlocked", "promotion_blocked")
    assert refused["checks"] == {"conflictsResolved": False}
    assert refused["conflicts"] == [{"path": "/price", "ours": {"value": 9}, "theirs": {"value": 2}}]
    resolution = {"kind": "page", "key": "a", "path": "/price", "choice": {"take": "THEIRS"}}
    done = await ask(client, ADVANCE, input={**wanted, "resolutions": [resolution]})
    assert (done["outcome"]["completed"], done["environment"]["status"]) == (True, "LIVE")
    assert await rolling.price() == 2
    refused = await ask(client, ADVANCE, input=wanted)
    assert (refused["__typename"], refused["code"]) == ("InvalidTransition", "not_rolling_out")


async def test_abort(client: httpx.AsyncClient, owner: Headers, rolling: Rolling) -> None:
    client.headers.update(owner)
    await canaries.advance(rolling.shop.actor, rolling.env)
    done = await ask(client, ABORT, input={"envUuid": str(rolling.env), "reason": "Slow"})
    assert done["outcome"] == {"weight": 0, "previousWeight": 50, "reason": "Slow"}
    assert done["environment"] == {"status": "READY", "rollout": None}


async def test_guards_of_one_promotion(client: httpx.AsyncClient, owner: Headers, rolling: Rolling) -> None:
    client.headers.update(owner)
    await canaries.abort(rolling.shop.actor, rolling.env)
    promote = """mutation ($input: PromoteInput!) { promote(input: $input) { __typename
        ... on PromotePayload { promotion { status } } ... on Refusal { code message } } }"""
    guard = {"metric": "LATENCY_P99", "threshold": 1.5, "relative": True}
    wanted = {"envUuid": str(rolling.env), "strategy": "CANARY", "guards": [guard]}
    assert (await ask(client, promote, input=wanted))["__typename"] == "PromotePayload"
    found = await ask(client, ROLLOUT, env=str(rolling.env))
    assert found["rollout"]["guards"] == [{**guard, "outcome": "NOT_MEASURED"}]
    assert "GUARD" in found["rollout"]["waitsFor"]
