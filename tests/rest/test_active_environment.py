"""Where requests go that name no environment: to the one that the user chose, and nowhere else if that is gone."""

from typing import Any
from unicodedata import normalize

import httpx
import pytest

from app.domain.model import Actor, Role
from app.services import access
from app.storage import db, members
from tests.conftest import MakeActor
from tests.doors import Headers, headers_of
from tests.rest.conftest import Api, made, refused

ACTIVE = "/api/sandbox/active-env"
NAME = "größe"


@pytest.fixture
async def here(api: Api) -> str:
    """A project whose production and environment differ; the environment's UUID."""
    await api.put(f"{api.documents}/data", {"env": "production"})
    anchor: str = (await api.fork(NAME))["anchor_uuid"]
    await api.put(f"{api.documents}/data", {"env": "work"}, params={"env": NAME})
    return anchor


async def _choose(api: Api, choice: str | None) -> dict[str, Any]:
    return made(await api.put(ACTIVE, {"project_id": api.project.id, "active_env": choice}))


async def _import(api: Api) -> httpx.Response:
    content, headers = b'{"kind": "page", "key": "a", "data": 1}\n', {"Content-Type": "application/x-ndjson"}
    return await api.client.post(f"{api.documents}/import", content=content, headers=headers)


async def _state(api: Api) -> list[bytes]:
    paths = [f"{api.documents}/export?env=production", f"/api/sandbox/changes?project_id={api.project.id}"]
    return [(await api.get(path)).content for path in paths]


async def _shown(api: Api, **options: Any) -> Any:
    answers = [await api.get(f"{api.documents}/{path}", **options) for path in ("data", "entities/project/project")]
    assert answers[0].content == answers[1].content
    return made(answers[0])["env"]


async def test_it_is_used_where_a_request_names_none(api: Api, here: str) -> None:
    assert await _shown(api) == "production"
    for choice in (NAME, normalize("NFD", NAME), here, here.upper()):
        assert (await _choose(api, choice))["env_uuid"] == here
        assert await _shown(api) == "work"
        assert await _shown(api, headers={"X-AgentStack-Env": "production"}) == "production"
        assert await _shown(api, params={"env": "production"}) == "production"
        chosen = await _choose(api, None)
        assert (chosen["active_env"], chosen["env_type"], chosen["status"]) == ("production", "production", "live")
        assert await _shown(api) == "production"
    shown = made(await api.put(ACTIVE, {"env_uuid": here}))
    assert shown == made(await api.get(ACTIVE, params={"project_id": api.project.id}))
    assert (shown["project_id"], shown["active_env"]) == (api.project.id, NAME)


async def test_writes_go_there_too(api: Api, here: str) -> None:
    await _choose(api, NAME)
    made(await api.patch(f"{api.documents}/data", {"env": "written"}))
    made(await _import(api))
    assert made(await api.get(f"{api.documents}/data", params={"env": "production"})) == {"env": "production"}
    assert (await api.get(api.entity("page", "a"), params={"env": "production"})).status_code == 404
    assert made(await api.get(f"{api.documents}/data", params={"env": here})) == {"env": "written"}


async def test_an_archived_one_is_refused_and_never_production(api: Api, here: str) -> None:
    await _choose(api, NAME)
    made(await api.client.delete("/api/sandbox/environment", params={"env_uuid": here}))
    before = await _state(api)
    for method, path in (("GET", "data"), ("PUT", "data"), ("GET", "entities/page"), ("PUT", "entities/page/a")):
        answer = await api.client.request(method, f"{api.documents}/{path}", json={} if method == "PUT" else None)
        assert "active environment" in refused(answer, 409, "environment_archived")["message"]
    refused(await api.get(f"{api.documents}/export"), 409, "environment_archived")
    imported = await _import(api)
    refused(imported, 409, "environment_archived")
    assert made(await api.get(ACTIVE, params={"project_id": api.project.id}))["status"] == "archived"
    assert (await api.get("/api/sandbox/environments", params={"project_id": api.project.id})).status_code == 200
    assert await _state(api) == before
    # A new environment takes the name, not the place.
    await api.fork(NAME)
    refused(await api.get(f"{api.documents}/data"), 409, "environment_archived")
    assert await _shown(api, params={"env": "production"}) == "production"
    await _choose(api, NAME)
    assert await _shown(api) == "production"


async def test_what_cannot_be_chosen(api: Api, here: str) -> None:
    archived = (await api.fork("old"))["anchor_uuid"]
    await api.client.delete("/api/sandbox/environment", params={"env_uuid": archived})
    await _choose(api, NAME)
    for choice, status, code in (
        ("none", 404, "environment_not_found"),
        ("", 404, "environment_not_found"),
        ("Größe", 404, "environment_not_found"),
        ("gr\u00f6\u00df\u0435", 404, "environment_not_found"),
        ("\u202egr\u00f6\u00dfe", 404, "environment_not_found"),
        ("old", 409, "environment_archived"),
        (archived, 409, "environment_archived"),
    ):
        answer = await api.put(ACTIVE, {"project_id": api.project.id, "active_env": choice})
        refused(answer, status, code)
    refused(await api.put(ACTIVE, {"project_id": api.project.id}), 400, "bad_request")
    refused(await api.put(ACTIVE, {"active_env": NAME}), 400, "bad_request")
    both = {"project_id": api.project.id, "active_env": NAME, "env_uuid": here}
    refused(await api.put(ACTIVE, both), 400, "bad_request")
    assert await _shown(api) == "work"


async def test_calls_that_name_an_environment_ignore_it(api: Api, here: str) -> None:
    other = (await api.fork("other"))["anchor_uuid"]
    await _choose(api, NAME)
    made(await api.client.delete("/api/sandbox/environment", params={"env_uuid": here}))
    made(await api.post("/api/sandbox/checkpoint", {"env_uuid": other}))
    made(await api.post("/api/sandbox/revert", {"env_uuid": other}))
    made(await api.get("/api/sandbox/blame", params={"env_uuid": other, "path": "env"}))
    made(await api.post("/api/sandbox/backup", {"project_id": api.project.id}))
    made(await api.get("/api/sandbox/changes", params={"project_id": api.project.id, "env_uuid": other}))
    assert (await api.fork("third"))["env_name"] == "third"


async def test_it_is_the_users_own_and_the_projects(api: Api, here: str, make_actor: MakeActor) -> None:
    await _choose(api, NAME)
    other = await make_actor()
    await members.add(api.project.id, other.account_uuid, Role.VIEWER, None)
    assert await _shown(api, headers=await headers_of(other)) == "production"
    second = made(await api.post("/api/projects", {"name": "Second"}))
    assert made(await api.get(f"/api/projects/{second['id']}/data")) == {}
    elsewhere = await api.put(ACTIVE, {"project_id": second["id"], "active_env": NAME})
    refused(elsewhere, 404, "environment_not_found")
    elsewhere = await api.put(ACTIVE, {"project_id": second["id"], "env_uuid": here})
    refused(elsewhere, 404, "environment_not_found")
    assert await _shown(api) == "work"


async def test_keys_have_none(api: Api, here: str) -> None:
    key = made(await api.post(f"{api.documents}/api-keys", {"name": "k", "scopes": ["read", "write", "admin"]}))["key"]
    headers = {"Authorization": f"Bearer {key}"}
    await _choose(api, NAME)
    assert await _shown(api, headers=headers) == "production"
    refused(await api.get(ACTIVE, headers=headers), 403, "jwt_required")
    refused(await api.put(ACTIVE, {"active_env": NAME}, headers=headers), 403, "jwt_required")


async def test_whoever_comes_back_starts_in_production(
    api: Api, here: str, make_actor: MakeActor, actor: Actor
) -> None:
    other = await make_actor()
    headers: Headers = await headers_of(other)
    await members.add(api.project.id, other.account_uuid, Role.VIEWER, None)
    made(await api.put(ACTIVE, {"env_uuid": here}, headers=headers))
    made(await api.client.delete(f"{api.documents}/members/{other.account_uuid}"))
    refused(await api.get(f"{api.documents}/data", headers=headers), 404, "project_not_found")
    await members.add(api.project.id, other.account_uuid, Role.VIEWER, None)
    assert await _shown(api, headers=headers) == "production"


async def test_other_processes_choose_too(api: Api, here: str, actor: Actor) -> None:
    assert await _shown(api) == "production"
    await db.execute("UPDATE member SET active_env_uuid = $2 WHERE account_uuid = $1", actor.account_uuid, here)
    assert await _shown(api) == "work"
    access.forget(actor.account_uuid)
    assert await _shown(api) == "work"
