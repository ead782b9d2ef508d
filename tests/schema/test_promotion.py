"""Promotions, releases and freezes through GraphQL."""

from typing import Any

import pytest

from tests.schema.conftest import GraphQL

ASKED = "promotion { uuid status requiredApprovals }"
PRICE = """query ($project: Int!) { project(id: $project) { production {
    document(kind: "page", key: "home") { value(pointer: "/price") } } } }"""


async def written(graphql: GraphQL, env: str | None, price: int) -> None:
    wanted = {"projectId": graphql.project.id, "envUuid": env, "kind": "page", "key": "home"}
    await graphql.do("writeDocument", {**wanted, "patch": {"put": {"price": price}}}, "created")


async def price(graphql: GraphQL) -> Any:
    found = await graphql.ask(PRICE, {"project": graphql.project.id})
    return found["project"]["production"]["document"]["value"]


@pytest.fixture
async def env(graphql: GraphQL) -> str:
    """An environment with a new price."""
    await written(graphql, None, 1)
    uuid: str = (await graphql.fork("new-price"))["uuid"]
    await written(graphql, uuid, 2)
    return uuid


async def test_a_switch_is_asked_for_rejected_approved_and_undone(graphql: GraphQL, env: str) -> None:
    blue_green = {"envUuid": env, "strategy": "BLUE_GREEN"}
    first = (await graphql.do("promote", blue_green, ASKED))["promotion"]
    assert first["status"] == "PENDING_APPROVAL"
    found = await graphql.ask("query ($uuid: UUID!) { promotion(uuid: $uuid) { status } }", {"uuid": first["uuid"]})
    assert found == {"promotion": {"status": "PENDING_APPROVAL"}}
    rejected = await graphql.do("rejectPromotion", {"promotionUuid": first["uuid"], "reason": "Friday"}, ASKED)
    assert (rejected["promotion"]["status"], await price(graphql)) == ("REJECTED", 1)
    await graphql.do("promote", blue_green, ASKED)
    approved = await graphql.do("approvePromotion", {"envUuid": env}, "promotion { status release { uuid } }")
    assert (approved["promotion"]["status"], await price(graphql)) == ("COMPLETED", 2)
    release = approved["promotion"]["release"]["uuid"]
    undone = await graphql.do("rollbackRelease", {"releaseUuid": release}, "release { entities undoes { uuid } }")
    assert (undone["release"], await price(graphql)) == ({"entities": 1, "undoes": {"uuid": release}}, 1)


async def test_nothing_is_promoted_in_a_freeze(graphql: GraphQL, env: str) -> None:
    frozen = await graphql.do(
        "freeze", {"projectId": graphql.project.id, "reason": "Holidays"}, "freeze { uuid inForce }"
    )
    assert frozen["freeze"]["inForce"]
    refused = await graphql.do("promote", {"envUuid": env}, ASKED)
    assert (refused["code"], await price(graphql)) == ("production_frozen", 1)
    lifted = await graphql.do("liftFreeze", {"freezeUuid": frozen["freeze"]["uuid"]}, "freeze { inForce liftedBy }")
    assert not lifted["freeze"]["inForce"]
    assert (await graphql.do("promote", {"envUuid": env}, ASKED))["promotion"]["status"] == "COMPLETED"


async def test_a_conflict_is_rebased_away(graphql: GraphQL, env: str) -> None:
    await written(graphql, None, 3)
    checked = await graphql.do("validateEnvironment", {"envUuid": env}, "environment { status } conflicts { path }")
    assert (checked["environment"]["status"], checked["conflicts"]) == ("DRAFT", [{"path": "/price"}])
    theirs = {"kind": "page", "key": "home", "path": "/price", "choice": {"take": "THEIRS"}}
    done = await graphql.do("rebaseEnvironment", {"envUuid": env, "resolutions": [theirs]}, "resolved { path }")
    assert done["resolved"] == [{"path": "/price"}]
    assert (await graphql.do("promote", {"envUuid": env}, ASKED))["promotion"]["status"] == "COMPLETED"
    assert await price(graphql) == 2


async def test_documents_are_imported_whole_or_not_at_all(graphql: GraphQL) -> None:
    project = {"projectId": graphql.project.id}
    lines = [{"kind": "page", "key": f"p{number}", "data": {"n": number}} for number in range(3)]
    counts = "created changed unchanged"
    done = await graphql.do("importDocuments", {**project, "documents": lines}, counts)
    assert done == {"__typename": "ImportDocumentsPayload", "created": 3, "changed": 0, "unchanged": 0}
    twice = await graphql.do("importDocuments", {**project, "documents": [*lines, lines[0]]}, counts)
    assert twice["code"] == "validation_failed"
    again = await graphql.do("importDocuments", {**project, "documents": lines}, counts)
    assert again["unchanged"] == 3


async def test_followers_are_told_by_hand(graphql: GraphQL, env: str) -> None:
    told = await graphql.do("notifyEnvironment", {"envUuid": env, "message": "Look"}, "environment { name }")
    assert told["environment"] == {"name": "new-price"}
