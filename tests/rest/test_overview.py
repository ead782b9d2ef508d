"""What has been done, as lists: releases, promotions, the trail, environments, invitations."""

import httpx
import pytest

from app.domain.model import Project
from tests.doors import Headers

PROMOTE = "/api/sandbox/promote"


@pytest.fixture
async def api(client: httpx.AsyncClient, owner: Headers) -> httpx.AsyncClient:
    client.headers.update(owner)
    return client


async def forked(api: httpx.AsyncClient, project: Project) -> str:
    """Return an environment that changes a page."""
    page = f"/api/projects/{project.id}/entities/page/a"
    await api.put(page, json={"a": 1})
    made = await api.post("/api/sandbox/fork", json={"source_project_id": project.id, "env_name": "env"})
    await api.patch(page, params={"env": "env"}, json={"a": 2})
    anchor: str = made.json()["anchor_uuid"]
    return anchor


async def test_a_release_is_listed_and_shown(api: httpx.AsyncClient, project: Project) -> None:
    env = await forked(api, project)
    done = (await api.post(PROMOTE, json={"env_uuid": env, "message": "New page"})).json()
    (listed,) = (await api.get("/api/sandbox/releases", params={"project_id": project.id})).json()["releases"]
    assert (listed["release_id"], listed["message"]) == (done["release_id"], "New page")
    assert (await api.get(f"/api/sandbox/releases/{done['release_id']}")).json() == listed


async def test_what_was_done_is_in_the_trail(api: httpx.AsyncClient, project: Project) -> None:
    await forked(api, project)
    found = await api.get("/api/sandbox/audit", params={"project_id": project.id, "operation": "fork_environment"})
    (row,) = found.json()["entries"]
    assert (row["operation"], row["refusal"]) == ("fork_environment", None)


async def test_client_libraries_find_environments_and_approve(api: httpx.AsyncClient, project: Project) -> None:
    env = await forked(api, project)
    generations = f"/api/generations/{project.id}"
    found = (await api.get(generations)).json()["environments"]
    assert [item["env_name"] for item in found] == ["production", "env"]
    await api.post(PROMOTE, json={"env_uuid": env, "strategy": "blue_green"})
    approved = await api.post(f"{generations}/approve", json={"env_uuid": env})
    assert (approved.status_code, approved.json()["status"]) == (200, "completed")
    told = await api.post(f"{generations}/notify", json={"env_uuid": env, "message": "Look"})
    assert (told.status_code, told.json()["env_name"]) == (202, "env")


async def test_an_invitation_is_taken_back(api: httpx.AsyncClient, project: Project) -> None:
    invitations = f"/api/projects/{project.id}/invitations"
    made = (await api.post(invitations, json={"email": "ada@example.com", "role": "viewer"})).json()
    revoked = await api.delete(f"{invitations}/{made['uuid']}")
    assert revoked.status_code == 200
    accepted = await api.post("/api/invitations/accept", json={"token": made["token"]})
    assert (accepted.status_code, accepted.json()["error"]) == (404, "invitation_not_found")
