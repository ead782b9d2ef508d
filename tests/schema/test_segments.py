"""Segments through GraphQL: what REST can, with typed rules."""

from typing import Any
from uuid import uuid4

import pytest

from app.domain.model import Actor
from app.services import documents
from tests.schema.conftest import GraphQL

SEGMENT = "segment { segmentId name rules createdAt } version"
RULES: list[dict[str, Any]] = [
    {"any": [{"field": "plan", "op": "EQ", "value": "pro"}, {"not": {"field": "n", "op": "NEQ", "value": None}}]}
]
WRITTEN = [
    {"any": [{"field": "plan", "op": "eq", "value": "pro"}, {"not": {"field": "n", "op": "neq", "value": None}}]}
]


@pytest.fixture
async def users(graphql: GraphQL, actor: Actor) -> GraphQL:
    """A project with four users, the even ones pro; the last one's number is null."""
    for number in range(4):
        data: Any = {"plan": "free" if number % 2 else "pro", "n": None if number == 3 else number}
        await documents.put(actor, graphql.project.id, None, "user", f"u{number}", data)
    return graphql


async def test_a_segment_from_first_to_last(users: GraphQL) -> None:
    project = {"projectId": users.project.id}
    made = await users.do("createSegment", {**project, "name": "Pro", "rules": RULES}, SEGMENT)
    segment = made["segment"]
    assert (segment["name"], segment["rules"]) == ("Pro", WRITTEN)
    asked = "query ($id: Int!, $segment: UUID!) {"
    asked += " project(id: $id) { segments { segmentId } production { segments { name } } }"
    asked += " segmentPreview(projectId: $id, segmentId: $segment) { matching total sample } }"
    seen = await users.ask(asked, {"id": users.project.id, "segment": segment["segmentId"]})
    assert seen["project"] == {
        "segments": [{"segmentId": segment["segmentId"]}],
        "production": {"segments": [{"name": "Pro"}]},
    }
    assert seen["segmentPreview"] == {"matching": 3, "total": 4, "sample": ["u0", "u2", "u3"]}
    named = {**project, "segmentId": segment["segmentId"]}
    stale = await users.do("updateSegment", {**named, "name": "x", "expectedVersion": "old"}, SEGMENT)
    assert stale["__typename"] == "VersionConflict"
    changed = await users.do("updateSegment", {**named, "name": "Everybody", "rules": []}, SEGMENT)
    assert changed["segment"] == {**segment, "name": "Everybody", "rules": []}
    gone = await users.do("deleteSegment", named, SEGMENT)
    assert gone["segment"] == changed["segment"]
    assert (await users.do("deleteSegment", named, SEGMENT))["code"] == "segment_not_found"


async def test_a_fork_by_segment_says_by_which(users: GraphQL) -> None:
    made = await users.do("createSegment", {"projectId": users.project.id, "name": "Pro", "rules": RULES}, SEGMENT)
    segment_id = made["segment"]["segmentId"]
    manifest = "manifest { uuid forkedCount userFilter sourceGenerationUuid createdBy createdAt }"
    wanted = {"projectId": users.project.id, "envName": "env", "segmentId": segment_id}
    forked = await users.do("forkEnvironment", wanted, f"forkedCount manifestUuid environment {{ {manifest} }}")
    shown = forked["environment"]["manifest"]
    assert (forked["forkedCount"], shown["forkedCount"], shown["uuid"]) == (4, 4, forked["manifestUuid"])
    assert shown["userFilter"] == {"rules": WRITTEN, "segment_id": segment_id, "name": "Pro", "matching": 3}
    production = await users.ask(
        "query ($id: Int!) { project(id: $id) { production { manifest { uuid } } } }", {"id": users.project.id}
    )
    assert production["project"]["production"]["manifest"] is None


@pytest.mark.parametrize(
    ("rules", "pointer"),
    [
        ([{"field": "a", "op": "GT", "value": "1"}], "/rules/0/value"),
        ([{"field": "a", "op": "EQ"}], "/rules/0"),
        ([{"field": "a", "op": "EQ", "value": 1, "all": []}], "/rules/0"),
        ([{}], "/rules/0"),
        ([{"all": [{"any": []}]}], "/rules/0/all/0/any"),
    ],
)
async def test_rules_that_mean_nothing_are_refused(users: GraphQL, rules: Any, pointer: str) -> None:
    wanted = {"projectId": users.project.id, "name": "a", "rules": rules}
    refused = await users.do("createSegment", wanted, SEGMENT, "... on ValidationFailed { path }")
    assert (refused["__typename"], refused["path"]) == ("ValidationFailed", pointer)


async def test_a_segment_that_is_served_is_not_deleted(users: GraphQL) -> None:
    project = {"projectId": users.project.id}
    made = await users.do("createSegment", {**project, "name": "Pro", "rules": RULES}, SEGMENT)
    segment_id = made["segment"]["segmentId"]
    forked = await users.do("forkEnvironment", {**project, "envName": "beta"}, "environment { uuid }")
    served = {"envUuid": forked["environment"]["uuid"], "segments": [segment_id]}
    await users.do("updateEnvironment", served, "environment { uuid }")
    refused = await users.do("deleteSegment", {**project, "segmentId": segment_id}, SEGMENT)
    assert (refused["__typename"], refused["code"]) == ("InvalidTransition", "segment_in_use")
    unknown = await users.do("updateSegment", {**project, "segmentId": str(uuid4())}, SEGMENT)
    assert unknown["__typename"] == "NotFound"
