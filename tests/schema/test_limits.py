"""Plans through GraphQL: usage as data, refusals as typed members of results."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.model import Actor, Plan
from app.services import operator, projects
from app.storage import db
from tests.schema.conftest import GraphQL

REFUSED = "... on PlanLimitExceeded { limitType current max availableFrom }"
USAGE = "query ($id: Int!) { project(id: $id) { plan usage { limit current max } } }"


async def _usage(graphql: GraphQL) -> dict[str, tuple[int | None, int | None]]:
    project = (await graphql.ask(USAGE, {"id": graphql.project.id}))["project"]
    return {item["limit"]: (item["current"], item["max"]) for item in project["usage"]}


async def _all(graphql: GraphQL) -> Any:
    query = (
        "query ($id: Int!) { project(id: $id) { environments { nodes { name expiresAt config } }"
        " checkpoints { nodes { uuid } } history { totalCount } usage { current } } }"
    )
    return await graphql.ask(query, {"id": graphql.project.id})


async def _refused(
    graphql: GraphQL,
    mutation: str,
    wanted: dict[str, object],
    code: str,
    limit: str,
    numbers: tuple[int, int],
    plan: str,
) -> None:
    before = await _all(graphql)
    answer = await graphql.do(mutation, wanted, "__typename", REFUSED)
    assert answer.pop("message")
    assert answer == {
        "__typename": "PlanLimitExceeded",
        "code": code,
        "limitType": limit,
        "current": numbers[0],
        "max": numbers[1],
        "availableFrom": plan,
    }
    assert await _all(graphql) == before


async def test_usage(graphql: GraphQL) -> None:
    env = await graphql.fork("one", shadowWrites=True)
    await graphql.do("checkpoint", {"envUuid": env["uuid"]}, "entities")
    assert await _usage(graphql) == {
        "ENVIRONMENT_COUNT": (1, 10),
        "GENERATION_DEPTH": (3, 10),
        "CHECKPOINT_COUNT": (1, 10),
        "AB_TEST_COUNT": (0, 5),
        "SHADOW_WRITES": (1, None),
        "ENV_TTL_DAYS": (None, 30),
    }
    await operator.set_plan(graphql.project.id, Plan.ENTERPRISE)
    assert {maximum for _, maximum in (await _usage(graphql)).values()} == {None}


async def test_usage_of_all_projects_is_one_statement_more(graphql: GraphQL, actor: Actor) -> None:
    async def count(selection: str) -> int:
        with db.count_statements() as counted:
            await graphql.ask(f"{{ projects {{ nodes {{ {selection} }} }} }}")
        return counted.count

    for number in range(5):
        await projects.create(actor, f"Other {number}")
    assert await count("plan usage { current }") == await count("plan") + 1


async def test_refusals_change_nothing(graphql: GraphQL) -> None:
    await operator.set_plan(graphql.project.id, Plan.STARTER)
    env = await graphql.fork("one")
    fork: dict[str, object] = {"projectId": graphql.project.id, "envName": "two"}
    exceeded, absent = "sandbox_limit_exceeded", "sandbox_not_available"
    await _refused(graphql, "forkEnvironment", fork, exceeded, "ENVIRONMENT_COUNT", (1, 1), "BASIC")
    change: dict[str, object] = {"envUuid": env["uuid"], "name": "other"}
    shadow = change | {"shadowWrites": True}
    await _refused(graphql, "updateEnvironment", shadow, absent, "SHADOW_WRITES", (0, 0), "PRO")
    late = change | {"expiresAt": (datetime.now(UTC) + timedelta(days=8)).isoformat()}
    await _refused(graphql, "updateEnvironment", late, exceeded, "ENV_TTL_DAYS", (8, 7), "BASIC")
    taken = await graphql.do("checkpoint", {"envUuid": env["uuid"]}, "checkpoint { uuid }")
    again: dict[str, object] = {"envUuid": env["uuid"]}
    await _refused(graphql, "checkpoint", again, exceeded, "CHECKPOINT_COUNT", (1, 1), "BASIC")
    back: dict[str, object] = {"checkpointUuid": taken["checkpoint"]["uuid"]}
    assert (await graphql.do("rollbackToCheckpoint", back, "forkedCount"))["forkedCount"] == 1
    await _refused(graphql, "rollbackToCheckpoint", back, exceeded, "ENVIRONMENT_COUNT", (2, 1), "BASIC")
    await operator.set_plan(graphql.project.id, Plan.BASIC)
    below = await graphql.fork("two", parentEnvUuid=env["uuid"])
    deeper: dict[str, object] = {"envUuid": below["uuid"]}
    await operator.set_plan(graphql.project.id, Plan.FREE)
    await _refused(graphql, "forkEnvironment", fork, absent, "ENVIRONMENT_COUNT", (3, 0), "PRO")
    await _refused(graphql, "checkpoint", deeper, absent, "CHECKPOINT_COUNT", (1, 0), "BASIC")
    await _refused(graphql, "rollbackToCheckpoint", back, absent, "ENVIRONMENT_COUNT", (3, 0), "PRO")


async def test_too_deep_forks_and_checkpoints_change_nothing(graphql: GraphQL) -> None:
    envs = [await graphql.fork("e1")]
    for number in range(2, 6):
        envs.append(await graphql.fork(f"e{number}", parentEnvUuid=envs[-1]["uuid"]))
    for env in envs[:3]:
        await graphql.do("archiveEnvironment", {"envUuid": env["uuid"]}, "removedDiffs")
    await operator.set_plan(graphql.project.id, Plan.BASIC)
    fork: dict[str, object] = {"projectId": graphql.project.id, "envName": "x", "parentEnvUuid": envs[4]["uuid"]}
    taken: dict[str, object] = {"envUuid": envs[3]["uuid"]}
    exceeded = "sandbox_limit_exceeded"
    await _refused(graphql, "forkEnvironment", fork, exceeded, "GENERATION_DEPTH", (5, 5), "PRO")
    await _refused(graphql, "checkpoint", taken, exceeded, "GENERATION_DEPTH", (4, 5), "PRO")


@pytest.mark.parametrize("plan", list(Plan)[1:])
async def test_expiry_is_the_plans_if_none_is_asked_for(graphql: GraphQL, plan: Plan) -> None:
    await operator.set_plan(graphql.project.id, plan)
    selection = "environment { expiresAt }"
    wanted = {"projectId": graphql.project.id, "envName": "one"}
    made = (await graphql.do("forkEnvironment", wanted, selection))["environment"]["expiresAt"]
    days = (await _usage(graphql))["ENV_TTL_DAYS"][1]
    if days is None:
        assert made is None
        return
    left = datetime.fromisoformat(made) - datetime.now(UTC)
    assert timedelta(0) <= timedelta(days=days) - left < timedelta(minutes=1)
