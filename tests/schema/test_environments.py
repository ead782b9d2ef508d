"""Making, changing and archiving environments through GraphQL; what is refused leaves no trace."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.domain.model import Actor, Scope
from app.services import api_keys
from tests.schema.conftest import GraphQL

FORK = "environment { uuid name type status generation parent { name } } generation { number } forkedCount"


async def _names(graphql: GraphQL) -> list[str]:
    data = await graphql.ask(
        "query ($id: Int!) { project(id: $id) { environments { nodes { name } } } }", {"id": graphql.project.id}
    )
    return [node["name"] for node in data["project"]["environments"]["nodes"]]


async def test_project_is_made_with_production(graphql: GraphQL) -> None:
    made = await graphql.do(
        "createProject",
        {"name": "Käse & Co."},
        "project { name plan viewerRole production { name type status config } }",
    )
    assert made["project"]["name"] == "Käse & Co."
    assert made["project"]["viewerRole"] == "OWNER"
    production = made["project"]["production"]
    assert (production["name"], production["type"], production["status"]) == ("production", "PRODUCTION", "LIVE")
    assert production["config"]["env_type"] == "production"


async def test_project_without_a_name_is_refused(graphql: GraphQL) -> None:
    refused = await graphql.do("createProject", {"name": ""}, "project { id }", "... on ValidationFailed { field }")
    assert (refused["__typename"], refused["code"], refused["field"]) == (
        "ValidationFailed",
        "validation_failed",
        "name",
    )


async def test_fork_of_production_and_fork_of_the_fork(graphql: GraphQL) -> None:
    first = await graphql.do("forkEnvironment", {"projectId": graphql.project.id, "envName": "one"}, FORK)
    assert first["environment"]["parent"] == {"name": "production"}
    assert (first["environment"]["generation"], first["generation"]["number"], first["forkedCount"]) == (1, 1, 1)
    wanted = {"parentEnvUuid": first["environment"]["uuid"], "envName": "two", "envType": "STAGING"}
    second = await graphql.do("forkEnvironment", wanted, FORK)
    assert second["environment"] | {"uuid": ""} == {
        "uuid": "",
        "name": "two",
        "type": "STAGING",
        "status": "DRAFT",
        "generation": 2,
        "parent": {"name": "one"},
    }


async def test_fork_with_all_options(graphql: GraphQL) -> None:
    expires = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
    made = await graphql.do(
        "forkEnvironment",
        {
            "projectId": graphql.project.id,
            "envName": "all",
            "rolloutSteps": [{"weight": 10, "pauseMinutes": 5, "autoAdvance": True}, {"weight": 100}],
            "shadowWrites": True,
            "expiresAt": expires.isoformat(),
            "userUuids": [],
        },
        "environment { shadowWrites expiresAt config }",
    )
    env = made["environment"]
    assert env["shadowWrites"] is True
    assert env["expiresAt"] == expires.isoformat().replace("+00:00", "Z")
    assert env["config"]["rollout_steps"] == [
        {"weight": 10, "pause_minutes": 5, "auto_advance": True},
        {"weight": 100, "pause_minutes": 0},
    ]


async def test_refused_forks_add_nothing(graphql: GraphQL) -> None:
    await graphql.fork("taken")
    before = await _names(graphql)
    wanted: dict[str, Any] = {"projectId": graphql.project.id, "envName": "taken"}
    named = await graphql.do("forkEnvironment", wanted, FORK, "... on EnvironmentNameTaken { envName }")
    assert named["__typename"] == "EnvironmentNameTaken"
    assert (named["code"], named["envName"]) == ("environment_name_taken", "taken")
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"envName": str(uuid4())}, "ValidationFailed", "validation_failed"),
        ({"envName": "x" * 201}, "ValidationFailed", "validation_failed"),
        ({"envName": "p", "envType": "PRODUCTION"}, "ValidationFailed", "validation_failed"),
        ({"envName": "p", "parentEnvUuid": str(uuid4())}, "NotFound", "environment_not_found"),
        ({"envName": "p", "projectId": 999_999_999}, "NotFound", "project_not_found"),
        ({"envName": "p", "rolloutSteps": [{"weight": 0}]}, "ValidationFailed", "validation_failed"),
        ({"envName": "p", "expiresAt": "2001-01-01T00:00:00Z"}, "ValidationFailed", "validation_failed"),
        ({"envName": "p", "projectId": None}, "ValidationFailed", "validation_failed"),
    ]
    for change, typename, code in cases:
        refused = await graphql.do("forkEnvironment", wanted | change, FORK)
        assert (refused["__typename"], refused["code"]) == (typename, code), change
        assert refused["message"]
    assert await _names(graphql) == before


@pytest.mark.usefixtures("unlimited")
async def test_update_changes_only_what_is_given(graphql: GraphQL) -> None:
    env = await graphql.fork("before")
    selection = "environment { name shadowWrites shadowOverwrite expiresAt config }"
    in_a_day = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    first = await graphql.do(
        "updateEnvironment", {"envUuid": env["uuid"], "name": "after", "expiresAt": in_a_day}, selection
    )
    assert first["environment"]["name"] == "after"
    assert first["environment"]["expiresAt"] is not None
    segment = str(uuid4())
    second = await graphql.do(
        "updateEnvironment", {"envUuid": env["uuid"], "shadowOverwrite": True, "segments": [segment]}, selection
    )
    assert second["environment"]["name"] == "after"
    assert second["environment"]["expiresAt"] is not None
    assert second["environment"]["shadowOverwrite"] is True
    assert second["environment"]["config"]["segments"] == [segment]
    third = await graphql.do("updateEnvironment", {"envUuid": env["uuid"], "expiresAt": None}, selection)
    assert third["environment"]["expiresAt"] is None


async def test_update_refusals(graphql: GraphQL) -> None:
    await graphql.fork("one")
    env = await graphql.fork("two")
    query = "query ($id: Int!) { project(id: $id) { production { uuid } } }"
    production = (await graphql.ask(query, {"id": graphql.project.id}))["project"]["production"]["uuid"]
    selection = "environment { name }"
    taken = await graphql.do("updateEnvironment", {"envUuid": env["uuid"], "name": "one"}, selection)
    assert taken["__typename"] == "EnvironmentNameTaken"
    protected = await graphql.do("updateEnvironment", {"envUuid": production, "name": "prod"}, selection)
    assert (protected["__typename"], protected["code"]) == ("InvalidTransition", "production_protected")
    unknown = await graphql.do("updateEnvironment", {"envUuid": str(uuid4()), "name": "x"}, selection)
    assert (unknown["__typename"], unknown["code"]) == ("NotFound", "environment_not_found")
    assert await graphql.errors(
        "mutation ($input: UpdateEnvironmentInput!) { updateEnvironment(input: $input) { __typename } }",
        {"input": {"envUuid": env["uuid"], "name": None}},
    ) == ["graphql_invalid"]
    assert await _names(graphql) == ["production", "one", "two"]


async def test_archive_once(graphql: GraphQL) -> None:
    env = await graphql.fork("gone")
    selection = "environment { status name allowedTransitions } removedDiffs"
    done = await graphql.do("archiveEnvironment", {"envUuid": env["uuid"]}, selection)
    assert done == {
        "__typename": "ArchiveEnvironmentPayload",
        "environment": {"status": "ARCHIVED", "name": "gone", "allowedTransitions": []},
        "removedDiffs": 1,
    }
    again = await graphql.do("archiveEnvironment", {"envUuid": env["uuid"]}, selection)
    assert (again["__typename"], again["code"]) == ("InvalidTransition", "environment_archived")


async def test_what_is_left_of_an_archived_environment_is_not_shown_as_if_it_were_all(graphql: GraphQL) -> None:
    env = await graphql.fork("gone")
    await graphql.do("writeDocument", {"envUuid": env["uuid"], "patch": {"put": {"a": 1}}}, "created")
    pinned = await graphql.do("pinEnvironment", {"envUuid": env["uuid"]}, "pinned { uuid }")
    await graphql.do("archiveEnvironment", {"envUuid": env["uuid"]}, "removedDiffs")
    query = "query ($uuid: UUID!) { environment(uuid: $uuid) { name history { totalCount } pinned { uuid } } }"
    seen = (await graphql.ask(query, {"uuid": env["uuid"]}))["environment"]
    assert seen == {"name": "gone", "history": {"totalCount": 2}, "pinned": {"uuid": pinned["pinned"]["uuid"]}}
    for field in ("document { data }", 'documents(kind: "project") { totalCount }', "diff { added }"):
        query = f"query ($uuid: UUID!) {{ environment(uuid: $uuid) {{ {field} }} }}"
        assert await graphql.errors(query, {"uuid": env["uuid"]}) == ["environment_archived"]
    of_generation = "query ($uuid: UUID!) { generation(uuid: $uuid) { document { data } } }"
    assert await graphql.errors(of_generation, {"uuid": env["head"]["uuid"]}) == ["environment_archived"]
    kept = await graphql.ask(of_generation, {"uuid": pinned["pinned"]["uuid"]})
    assert kept["generation"]["document"] == {"data": {"a": 1}}


async def test_an_api_key_may_not_fork(graphql: GraphQL, actor: Actor) -> None:
    key = await api_keys.create(actor, graphql.project.id, "reader", [Scope.READ, Scope.WRITE])
    as_key = GraphQL(graphql.client, graphql.project, {"Authorization": f"Bearer {key.secret}"})
    refused = await as_key.do("forkEnvironment", {"envName": "x"}, FORK)
    assert (refused["__typename"], refused["code"]) == ("Forbidden", "jwt_required")
    keys = "query ($id: Int!) { project(id: $id) { name apiKeys { name } activeEnvironment { name } } }"
    answer = await as_key.post(keys, {"id": graphql.project.id}, **{"X-AgentStack-Env": "none"})
    assert answer.json()["data"] == {"project": {"name": "Shop", "apiKeys": None, "activeEnvironment": None}}
    viewer = (await as_key.ask("{ viewer { isApiKey projectId scopes role activeEnvironment { name } } }"))["viewer"]
    assert viewer == {
        "isApiKey": True,
        "projectId": graphql.project.id,
        "scopes": ["READ", "WRITE"],
        "role": None,
        "activeEnvironment": {"name": "production"},
    }
