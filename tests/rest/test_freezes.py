"""Freezes through both doors."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx

from app.domain.model import Project
from tests.doors import Headers


async def test_a_freeze_is_declared_listed_and_lifted(
    client: httpx.AsyncClient, owner: Headers, project: Project
) -> None:
    client.headers.update(owner)
    wanted = {"project_id": project.id, "reason": "Holidays", "owner": "Ada"}
    made = await client.post("/api/sandbox/freeze", json=wanted)
    assert made.status_code == 201
    assert {**made.json(), "in_force": True, "ends_at": None, "lifted_at": None, "owner": "Ada"} == made.json()
    listing = {"project_id": project.id}
    listed = await client.get("/api/sandbox/freeze", params=listing)
    assert listed.json() == {"freezes": [made.json()], "next_cursor": None}
    wanted_in_query = {"freeze_uuid": made.json()["freeze_uuid"]}
    lifted = await client.delete("/api/sandbox/freeze", params=wanted_in_query)
    assert (lifted.status_code, lifted.json()["in_force"]) == (200, False)
    assert (await client.get("/api/sandbox/freeze", params=listing)).json()["freezes"] == []
    over = await client.get("/api/sandbox/freeze", params={**listing, "all": "true"})
    assert over.json()["freezes"] == [lifted.json()]


async def test_what_is_no_freeze(client: httpx.AsyncClient, owner: Headers, project: Project) -> None:
    client.headers.update(owner)
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for body in ({}, {"reason": " "}, {"reason": "x", "ends_at": past}, {"reason": "x", "ends_at": "tomorrow"}):
        answer = await client.post("/api/sandbox/freeze", json={"project_id": project.id, **body})
        assert (answer.status_code, answer.json()["error"]) == (422, "validation_failed")
    answer = await client.delete("/api/sandbox/freeze", params={"freeze_uuid": str(uuid4())})
    assert (answer.status_code, answer.json()["error"]) == (404, "freeze_not_found")


async def test_freezes_in_graphql(client: httpx.AsyncClient, owner: Headers, project: Project) -> None:
    client.headers.update(owner)
    query = """query ($id: Int!) { project(id: $id) { freezes { id uuid reason inForce startsAt endsAt } } }"""
    start = datetime(2099, 1, 1, tzinfo=UTC)
    wanted = {"project_id": project.id, "reason": "Later", "starts_at": start.isoformat()}
    await client.post("/api/sandbox/freeze", json=wanted)
    answer = await client.post("/graphql", json={"query": query, "variables": {"id": project.id}})
    (found,) = answer.json()["data"]["project"]["freezes"]
    assert (found["reason"], found["inForce"], found["startsAt"], found["endsAt"]) == (
        "Later",
        False,
        "2099-01-01T00:00:00Z",
        None,
    )
    again = "query ($id: ID!) { node(id: $id) { ... on Freeze { uuid liftedAt } } }"
    await client.delete("/api/sandbox/freeze", params={"freeze_uuid": found["uuid"]})
    answer = await client.post("/graphql", json={"query": again, "variables": {"id": found["id"]}})
    node = answer.json()["data"]["node"]
    assert (node["uuid"], node["liftedAt"] is None) == (found["uuid"], False)
