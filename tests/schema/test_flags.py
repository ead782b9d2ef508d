"""Flags, routes and explanations through GraphQL: the same as through REST."""

from typing import Any

import pytest

from app.domain.model import Actor, Project
from app.domain.values import Value
from tests.schema.conftest import GraphQL
from tests.services.shop import Shop

FLAGS: dict[str, Value] = {
    "banner": {"value": "Welcome", "metadata": {"owner": "shop"}},
    "checkout": {
        "variants": {"new": True, "old": False},
        "defaultVariant": "old",
        "rules": [
            {"rules": [{"field": "country", "op": "eq", "value": "DE"}], "variant": "new"},
            {"split": {"old": 100}},
        ],
    },
    "off": {"value": 1, "enabled": False},
}
EVALUATE = """query ($p: Int, $key: String!, $context: JSON) {
  evaluateFlag(projectId: $p, key: $key, context: $context) {
    envName routeReason ageMs flags { key value variant reason errorCode errorDetails rule metadata }
  }
}"""


@pytest.fixture
async def shop(actor: Actor, project: Project) -> Shop:
    """A project with flags."""
    made = Shop(actor, project)
    await made.put(None, {"config": {"flags": FLAGS}, "price": 1}, "project", "project")
    return made


async def one(graphql: GraphQL, key: str, context: object = None, **headers: str) -> Any:
    variables = {"p": graphql.project.id, "key": key, "context": context}
    return (await graphql.ask(EVALUATE, variables, **headers))["evaluateFlag"]


async def test_one_flag(graphql: GraphQL, shop: Shop) -> None:
    said = await one(graphql, "checkout", {"targetingKey": "ada", "country": "DE"})
    assert (said["envName"], said["routeReason"], said["ageMs"] <= 1_000) == ("production", "PRODUCTION", True)
    assert said["flags"] == [
        {
            "key": "checkout",
            "value": True,
            "variant": "new",
            "reason": "TARGETING_MATCH",
            "errorCode": None,
            "errorDetails": None,
            "rule": 0,
            "metadata": {},
        }
    ]
    nobody = (await one(graphql, "checkout"))["flags"][0]
    assert (nobody["value"], nobody["reason"], nobody["errorCode"]) == (None, "ERROR", "TARGETING_KEY_MISSING")
    leaf = (await one(graphql, "/price"))["flags"][0]
    assert (leaf["value"], leaf["reason"]) == (1, "STATIC")
    assert (await one(graphql, "nothing"))["flags"][0]["errorCode"] == "FLAG_NOT_FOUND"
    assert await graphql.errors(EVALUATE, {"p": graphql.project.id, "key": "banner", "context": 5}) == [
        "invalid_context"
    ]


async def test_every_flag(graphql: GraphQL, shop: Shop) -> None:
    query = "query ($p: Int, $c: JSON) { evaluateFlags(projectId: $p, context: $c) { flags { key value reason } } }"
    said = await graphql.ask(query, {"p": graphql.project.id, "c": {"targetingKey": "ada"}})
    assert said["evaluateFlags"]["flags"] == [
        {"key": "banner", "value": "Welcome", "reason": "STATIC"},
        {"key": "checkout", "value": False, "reason": "SPLIT"},
        {"key": "off", "value": None, "reason": "DISABLED"},
    ]


async def test_the_request_may_name_the_environment(graphql: GraphQL, shop: Shop) -> None:
    env = await shop.fork("feature")
    await shop.merge("feature", {"price": 2}, "project", "project")
    here = {"X-AgentStack-Env": "feature"}
    said = await one(graphql, "/price", **here)
    assert (said["envName"], said["routeReason"], said["flags"][0]["value"]) == ("feature", "EXPLICIT", 2)
    route = 'query ($p: Int) { route(projectId: $p, userUuid: "ada") { envUuid envName reason trafficWeight bucket } }'
    assert (await graphql.ask(route, {"p": shop.project_id}, **here))["route"] == {
        "envUuid": str(env),
        "envName": "feature",
        "reason": "EXPLICIT",
        "trafficWeight": 0,
        "bucket": None,
    }
    explain = """query ($p: Int) { explain(projectId: $p, userUuid: "ada", pointer: "/price") {
      envName reason value exists protected considered { reason passed envName rules { passed } }
      setBy { envName generationNumber value exists } overrides { envName value } change { actor { name } }
    } }"""
    said = (await graphql.ask(explain, {"p": shop.project_id}, **here))["explain"]
    assert said.pop("change")["actor"]["name"] == shop.actor.name
    assert said == {
        "envName": "feature",
        "reason": "EXPLICIT",
        "value": 2,
        "exists": True,
        "protected": False,
        "considered": [
            {"reason": "EXPLICIT", "passed": True, "envName": "feature", "rules": []},
            {"reason": "PRODUCTION", "passed": True, "envName": "production", "rules": []},
        ],
        "setBy": {"envName": "feature", "generationNumber": 1, "value": 2, "exists": True},
        "overrides": [{"envName": "production", "value": 1}],
    }
