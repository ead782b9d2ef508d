"""A/B tests through GraphQL: all that REST can, and many at once in a fixed number of statements."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.domain.bucketing import Variant
from app.domain.model import Actor, Plan, Project
from app.services import experiments, operator
from app.services.experiments import Design
from app.storage import db
from tests.doors import Headers
from tests.schema.conftest import GraphQL
from tests.services.trying import Trial

CREATE = """mutation ($input: CreateExperimentInput!) { createExperiment(input: $input) { __typename
    ... on CreateExperimentPayload { experiment { uuid splitPct abSeed metric status envA { name } envB { name } } }
    ... on PlanLimitExceeded { limitType max } ... on Refusal { code } } }"""
EXPOSE = """mutation ($input: RecordExposuresInput!) { recordExposures(input: $input) { __typename
    ... on Recorded { accepted repeated quarantined refused { index userUuid code } } ... on Refusal { code } } }"""
CONVERT = """mutation ($input: RecordResultsInput!) { recordResults(input: $input) { __typename
    ... on Recorded { accepted repeated quarantined refused { index userUuid code } } ... on Refusal { code } } }"""
STOP = """mutation ($input: StopExperimentInput!) { stopExperiment(input: $input) { __typename
    ... on StopExperimentPayload { experiment { status reason endedAt } } ... on Refusal { code } } }"""
DECLARE = """mutation ($input: DeclareWinnerInput!) { declareWinner(input: $input) { __typename
    ... on DeclareWinnerPayload { experiment { status winner promotion { status } } promotion { status } }
    ... on PromotionBlocked { conflicts { path } } ... on Refusal { code } } }"""
METRICS = """query ($uuid: UUID!) { experiment(uuid: $uuid) { id variant(userUuid: "ada") metrics(effectPct: 10) {
    a { variant requests conversions ratePct environment { name } } b { requests quarantined repeatedRequests }
    comparison { uplift pValue chanceToWinPct interval { low high } sequentialInterval { low } }
    values { a { users mean } comparison { pValue } } valuesPerUser { b { users } }
    mismatch { pValue alarm } recommendation { winner reason } sampleSize { usersA } experiment { metric } } } }"""


@pytest.fixture
async def trial(client: httpx.AsyncClient, owner: Headers, actor: Actor, project: Project) -> Trial:
    client.headers.update(owner)
    return await Trial.made(actor, project)


async def ask(client: httpx.AsyncClient, query: str, **variables: Any) -> Any:
    answer = await client.post("/graphql", json={"query": query, "variables": variables})
    assert "errors" not in answer.json(), answer.text
    return next(iter(answer.json()["data"].values()))


async def test_a_test_is_made_or_refused(client: httpx.AsyncClient, trial: Trial) -> None:
    wanted = {"envAUuid": str(trial.project.production_uuid), "envBUuid": str(trial.tried), "splitPct": 20}
    made = (await ask(client, CREATE, input={**wanted, "abSeed": "s"}))["experiment"]
    assert (made["splitPct"], made["abSeed"], made["metric"], made["status"]) == (20, "s", "conversion_rate", "ACTIVE")
    assert (made["envA"], made["envB"]) == ({"name": "production"}, {"name": "tried"})
    for change, refusal, code in (
        ({"splitPct": 101}, "ValidationFailed", "validation_failed"),
        ({"envBUuid": wanted["envAUuid"]}, "ValidationFailed", "validation_failed"),
        ({"envBUuid": str(uuid4())}, "NotFound", "environment_not_found"),
    ):
        refused = await ask(client, CREATE, input={**wanted, **change})
        assert (refused["__typename"], refused["code"]) == (refusal, code)
    await operator.set_plan(trial.project.id, Plan.BASIC)
    refused = await ask(client, CREATE, input=wanted)
    assert (refused["__typename"], refused["limitType"], refused["max"]) == ("PlanLimitExceeded", "AB_TEST_COUNT", 1)


async def test_users_are_counted_and_metrics_read(client: httpx.AsyncClient, trial: Trial) -> None:
    test = str(trial.test.uuid)
    users = trial.dealt(Variant.A, 30) + trial.dealt(Variant.B, 30)
    exposures: list[dict[str, Any]] = [{"userUuid": user} for user in users]
    done = await ask(client, EXPOSE, input={"testUuid": test, "exposures": [*exposures, exposures[0]]})
    assert (done["accepted"], done["repeated"], done["refused"]) == (60, 1, [])
    results: list[dict[str, Any]] = [{"userUuid": user, "outcome": "CONVERTED", "value": 1.5} for user in users[:40]]
    results += [{"userUuid": "nobody", "outcome": "CONVERTED"}]
    results += [{"userUuid": users[59], "outcome": "CONVERTED", "variant": "A"}]
    done = await ask(client, CONVERT, input={"testUuid": test, "results": results})
    assert (done["accepted"], done["quarantined"]) == (40, 1)
    assert done["refused"] == [{"index": 40, "userUuid": "nobody", "code": "user_not_exposed"}]
    found = await ask(client, METRICS, uuid=test)
    metrics = found["metrics"]
    assert metrics["a"] == {
        "variant": "A", "requests": 30, "conversions": 30, "ratePct": 100.0, "environment": {"name": "production"}
    }  # fmt: skip
    assert metrics["b"] == {"requests": 29, "quarantined": 1, "repeatedRequests": 0}
    assert metrics["values"]["a"] == {"users": 30, "mean": 1.5}
    assert metrics["valuesPerUser"] == {"b": {"users": 29}}
    assert metrics["experiment"] == {"metric": "conversion_rate"}
    assert found["variant"] == trial.test.variant_of("ada").value
    again = await ask(client, "query ($id: ID!) { node(id: $id) { ... on Experiment { uuid } } }", id=found["id"])
    assert again == {"uuid": test}
    for number in (251, 1_001):
        body = {"query": CONVERT, "variables": {"input": {"testUuid": test, "results": [results[0]] * number}}}
        too_many = (await client.post("/graphql", json=body)).json()
        assert [error["extensions"]["code"] for error in too_many["errors"]] == ["query_limit_exceeded"]
    refused = await ask(client, CONVERT, input={"testUuid": test, "results": []})
    assert (refused["__typename"], refused["code"]) == ("ValidationFailed", "validation_failed")


async def test_a_test_ends(client: httpx.AsyncClient, trial: Trial) -> None:
    wanted = {"testUuid": str(trial.test.uuid)}
    waits = await ask(client, DECLARE, input={**wanted, "winner": "B", "strategy": "BLUE_GREEN"})
    assert waits["experiment"] == {"status": "ACTIVE", "winner": None, "promotion": {"status": "PENDING_APPROVAL"}}
    stopped = (await ask(client, STOP, input={**wanted, "reason": "Enough"}))["experiment"]
    assert (stopped["status"], stopped["reason"], stopped["endedAt"] is None) == ("STOPPED", "Enough", False)
    for query, more in ((STOP, {}), (DECLARE, {"winner": "B"})):
        refused = await ask(client, query, input={**wanted, **more})
        assert (refused["__typename"], refused["code"]) == ("InvalidTransition", "ab_test_not_active")


async def test_a_winner_and_what_stands_against_it(client: httpx.AsyncClient, trial: Trial) -> None:
    page = f"/api/projects/{trial.project.id}/entities/page/a"
    assert (await client.put(page, json={"title": "Meanwhile"})).status_code == 201
    wanted = {"testUuid": str(trial.test.uuid), "winner": "B"}
    blocked = await ask(client, DECLARE, input=wanted)
    assert (blocked["__typename"], len(blocked["conflicts"])) == ("PromotionBlocked", 1)
    settled = [{"kind": "page", "key": "a", "path": blocked["conflicts"][0]["path"], "choice": {"take": "THEIRS"}}]
    done = await ask(client, DECLARE, input={**wanted, "resolutions": settled})
    assert (done["experiment"]["winner"], done["promotion"]["status"]) == ("B", "COMPLETED")


async def test_many_tests_are_read_at_once(graphql: GraphQL, trial: Trial) -> None:
    await operator.set_plan(trial.project.id, Plan.ENTERPRISE)
    query = """query ($id: Int!) { project(id: $id) { experiments(status: [ACTIVE], first: 50) { totalCount
        nodes { uuid envA { name } envB { name } metrics { a { requests environment { name } } } } } } }"""

    async def statements() -> tuple[int, int]:
        with db.count_statements() as counted:
            result = await graphql.ask(query, {"id": trial.project.id})
        return counted.count, len(result["project"]["experiments"]["nodes"])

    first, found = await statements()
    assert found == 1
    for _ in range(9):
        await experiments.create(trial.actor, Design(trial.project.production_uuid, trial.tried))
    assert await statements() == (first, 10)
