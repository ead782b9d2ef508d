"""Where users go, through REST: right, cheap to poll, and never more than a second behind."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.domain.bucketing import variant
from app.domain.canary import serves
from app.domain.model import Actor, Project, Scope
from app.services import api_keys, canaries, routing, settings
from app.storage import db
from tests.doors import Headers
from tests.services.rolling import AUTO, Rolling
from tests.services.shop import Shop

USERS = [f"user-{number}" for number in range(60)]


@pytest.fixture
async def shop(actor: Actor, project: Project) -> Shop:
    """A project with a page that has a price."""
    made = Shop(actor, project)
    await made.put(None, {"title": "Home", "price": 1})
    return made


@pytest.fixture(autouse=True)
async def forgotten() -> AsyncIterator[None]:
    """What a test has read is no concern of the next."""
    yield
    routing.kept.clear()


async def ask(client: httpx.AsyncClient, project: Project, user: str = "ada", **headers: str) -> httpx.Response:
    parameters: dict[str, Any] = {"project_id": project.id, "user_uuid": user}
    return await client.get("/api/sandbox/route", params=parameters, headers=headers)


async def test_without_anything_everybody_goes_to_production(
    client: httpx.AsyncClient, owner: Headers, project: Project
) -> None:
    client.headers.update(owner)
    answer = await ask(client, project)
    assert answer.status_code == 200
    assert answer.json() == {
        "user_uuid": "ada",
        "env_uuid": str(project.production_uuid),
        "env_name": "production",
        "reason": "production",
        "traffic_weight": 0,
        "rollout": None,
        "bucket": None,
        "test_id": None,
        "variant": None,
        "segment_id": None,
    }


async def test_a_rollout_has_its_share_and_production_the_rest(
    client: httpx.AsyncClient, owner: Headers, project: Project, shop: Shop
) -> None:
    client.headers.update(owner)
    rolling = await Rolling.started(shop, [{"weight": 40}, {"weight": 100}])
    for user in USERS:
        said = (await ask(client, project, user)).json()
        inside = serves(rolling.env, user, 40)
        assert (said["env_uuid"], said["reason"]) == (
            (str(rolling.env), "canary") if inside else (str(project.production_uuid), "production")
        )
        assert (said["traffic_weight"], said["rollout"]["env_uuid"]) == (40, str(rolling.env))
        assert (said["bucket"] < 4_000) is inside


async def test_what_has_not_changed_is_304(
    client: httpx.AsyncClient, owner: Headers, project: Project, shop: Shop
) -> None:
    client.headers.update(owner)
    rolling = await Rolling.started(shop, [{"weight": 50}, {"weight": 70}, {"weight": 100}])
    first = await ask(client, project)
    again = await ask(client, project, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "no-cache" in first.headers["Cache-Control"]
    tags = {(await ask(client, project, user)).headers["ETag"] for user in USERS}
    assert len(tags) == 2
    await canaries.advance(shop.actor, rolling.env)
    await asyncio.sleep(1.05)
    changed = await ask(client, project, **{"If-None-Match": first.headers["ETag"]})
    assert (changed.status_code, changed.json()["traffic_weight"]) == (200, 70)


@pytest.mark.parametrize("user", ["ada", "a b", "ada%20b", "Ünïcödé", "a+b", "a&b=c", "x" * 256])
async def test_304_for_whatever_a_user_is_called(
    client: httpx.AsyncClient, owner: Headers, project: Project, shop: Shop, user: str
) -> None:
    client.headers.update(owner)
    rolling = await Rolling.started(shop, [{"weight": 50}, {"weight": 100}])
    first = await ask(client, project, user)
    assert first.json()["user_uuid"] == user
    assert (first.json()["reason"] == "canary") is serves(rolling.env, user, 50)
    tags = {(await ask(client, project, other)).headers["ETag"] for other in USERS}
    for tag in (*tags, "*", f"W/{first.headers['ETag']}", f'"other", {first.headers["ETag"]}'):
        again = await ask(client, project, user, **{"If-None-Match": tag})
        assert (again.status_code == 304) is (first.headers["ETag"] in tag or tag == "*")


async def test_a_tag_helps_nobody_in(client: httpx.AsyncClient, owner: Headers, project: Project) -> None:
    client.headers.update(owner)
    known = {"If-None-Match": (await ask(client, project)).headers["ETag"]}
    assert (await ask(client, project, **known)).status_code == 304
    for query in ("", "user_uuid=", "user_uuid=a&user_uuid=b", "project_id=0&user_uuid=a", "project_id=x&user_uuid=a"):
        answer = await client.get(f"/api/sandbox/route?{query}", headers=known)
        assert answer.status_code in (400, 404), query
    answer = await client.get(f"/api/sandbox/route?project_id={2**31 - 1}&user_uuid=ada", headers=known)
    assert answer.status_code == 404
    named = await ask(client, project, **known, **{"X-AgentStack-Env": "production"})
    assert named.json()["reason"] == "explicit"
    in_query: dict[str, Any] = {"project_id": project.id, "user_uuid": "ada", "env": "nowhere"}
    assert (await client.get("/api/sandbox/route", params=in_query, headers=known)).status_code == 404
    client.headers.pop("Authorization")
    assert (await ask(client, project, **known)).status_code == 401


async def test_never_more_than_a_second_behind(
    client: httpx.AsyncClient, owner: Headers, project: Project, shop: Shop
) -> None:
    client.headers.update(owner)
    rolling = await Rolling.started(shop, [{"weight": weight} for weight in (1, 2, 3, 4, 100)])
    for weight in (2, 3, 4):
        moved = asyncio.create_task(canaries.advance(shop.actor, rolling.env))
        while not moved.done():
            await ask(client, project)
        await moved
        committed = time.monotonic()
        while (await ask(client, project)).json()["traffic_weight"] != weight:
            assert time.monotonic() - committed < 5.0, (
                "the second itself is measured by hand: a busy machine is no mistake"
            )
            await asyncio.sleep(0.01)


async def test_the_weight_follows_the_clock_between_two_readings(shop: Shop, project: Project) -> None:
    rolling = await Rolling.started(shop, AUTO)
    await rolling.passes(minutes=30, seconds=-0.4)
    found = await routing.snapshot(project.id)
    assert (found.canary.weight if found.canary else None) == 5
    assert found.next_step_at is not None
    read_at = found.read_at
    soon = found.at(read_at + 0.9)
    assert soon.canary is not None
    assert soon.canary.weight == 20
    later = found.at(read_at + 90 * 60)
    assert later.canary is not None
    assert later.canary.weight == 50


async def test_news_are_read_before_the_second_is_over(shop: Shop, project: Project) -> None:
    await routing.snapshot(project.id)
    rolling = await Rolling.started(shop)
    await asyncio.sleep(0.06)
    routing.kept.stale(project.id)
    await routing.snapshot(project.id)
    await asyncio.sleep(0.1)
    found = await routing.snapshot(project.id)
    assert found.canary is not None
    assert found.canary.place.env_uuid == rolling.env


async def test_answers_cost_no_statement(shop: Shop, project: Project) -> None:
    await Rolling.started(shop)
    await routing.known(shop.actor, project.id)
    with db.count_statements() as counted:
        for _ in range(100):
            await routing.known(shop.actor, project.id)
    assert counted.count == 0


async def test_with_guards_the_weight_waits_for_the_server(shop: Shop, project: Project) -> None:
    await settings.update(shop.actor, project.id, {"canary_p99_latency_ms_threshold": 100})
    rolling = await Rolling.started(shop, AUTO)
    await rolling.passes(minutes=45)
    found = await routing.snapshot(project.id)
    assert found.canary is not None
    assert found.canary.weight == 5


async def test_the_context_of_the_request_goes_first(
    client: httpx.AsyncClient, owner: Headers, project: Project, shop: Shop
) -> None:
    client.headers.update(owner)
    rolling = await Rolling.started(shop, [{"weight": 99}, {"weight": 100}])
    other = await shop.fork("other")
    for named in ("other", str(other)):
        said = (await ask(client, project, **{"X-AgentStack-Env": named})).json()
        assert (UUID(said["env_uuid"]), said["reason"]) == (other, "explicit")
    said = (await ask(client, project, **{"X-AgentStack-Env": "production"})).json()
    assert said["reason"] == "explicit"
    answer = await ask(client, project, **{"X-AgentStack-Env": "nowhere"})
    assert (answer.status_code, answer.json()["error"]) == (404, "environment_not_found")
    assert rolling.env != other


async def test_what_cannot_be_asked(client: httpx.AsyncClient, owner: Headers, project: Project) -> None:
    client.headers.update(owner)
    assert (await client.get("/api/sandbox/route", params={"project_id": project.id})).status_code == 400
    for user in ("", "x" * 257):
        answer = await ask(client, project, user)
        assert (answer.status_code, answer.json()["error"]) == (422, "validation_failed")
    unknown = await client.get("/api/sandbox/route", params={"project_id": 2**31 - 1, "user_uuid": "ada"})
    assert (unknown.status_code, unknown.json()["error"]) == (404, "project_not_found")
    assert (await client.get("/api/sandbox/route", params={"user_uuid": "ada"})).status_code == 400


async def test_a_gateways_key(client: httpx.AsyncClient, actor: Actor, project: Project) -> None:
    for scope, status in ((Scope.EVALUATE, 200), (Scope.WRITE, 403)):
        made = await api_keys.create(actor, project.id, "gateway", [scope])
        headers = {"Authorization": f"Bearer {made.secret}"}
        answer = await client.get("/api/sandbox/route", params={"user_uuid": "ada"}, headers=headers)
        assert answer.status_code == status


async def price(client: httpx.AsyncClient, project: Project, user: str | None, **headers: str) -> Any:
    parameters = {} if user is None else {"user_uuid": user}
    address = f"/api/projects/{project.id}/entities/page/a"
    whole = await client.get(address, params=parameters, headers=headers)
    part = await client.get(address, params={**parameters, "path": "price"}, headers=headers)
    assert whole.json()["price"] == part.json()
    return part.json()


async def test_reads_with_a_user_go_where_the_user_goes_if_the_project_wants_it(
    client: httpx.AsyncClient, owner: Headers, project: Project, shop: Shop
) -> None:
    client.headers.update(owner)
    rolling = await Rolling.started(shop, [{"weight": 40}, {"weight": 100}])
    inside = next(user for user in USERS if serves(rolling.env, user, 40))
    outside = next(user for user in USERS if not serves(rolling.env, user, 40))
    assert [await price(client, project, user) for user in (inside, outside, None)] == [1, 1, 1]
    await settings.update(shop.actor, project.id, {"canary_auto_route": True})
    await asyncio.sleep(1.05)
    assert [await price(client, project, user) for user in (inside, outside, None)] == [2, 1, 1]
    assert await price(client, project, inside, **{"X-AgentStack-Env": "production"}) == 1
    await shop.fork("mine")
    await shop.merge("mine", {"price": 7})
    await client.put("/api/sandbox/active-env", json={"project_id": project.id, "active_env": "mine"})
    assert await price(client, project, inside) == 7
    made = await api_keys.create(shop.actor, project.id, "storefront", [Scope.READ])
    client.headers["Authorization"] = f"Bearer {made.secret}"
    assert [await price(client, project, user) for user in (inside, outside, None)] == [2, 1, 1]
    answer = await client.get(f"/api/projects/{project.id}/data", params={"user_uuid": "x" * 257})
    assert answer.status_code == 422


async def test_the_oldest_test_that_runs_deals_everybody(
    client: httpx.AsyncClient, owner: Headers, project: Project, shop: Shop
) -> None:
    client.headers.update(owner)
    side = await shop.fork("b")
    await shop.merge("b", {"price": 5})
    other = await shop.fork("later")
    tests = []
    for env, seed in ((side, "first"), (other, "second")):
        body = {"env_a_uuid": str(project.production_uuid), "env_b_uuid": str(env), "split_pct": 50, "ab_seed": seed}
        made = await client.post("/api/sandbox/ab-test", json=body)
        assert made.status_code == 201, made.text
        tests.append(made.json()["test_id"])
    for user in USERS[:20]:
        said = (await ask(client, project, user)).json()
        dealt = variant(user, "first", 50)
        assert (said["reason"], said["test_id"], said["variant"]) == ("experiment", tests[0], dealt)
        assert said["env_uuid"] == str(side if dealt == "B" else project.production_uuid)
    tags = {(await ask(client, project, user)).headers["ETag"] for user in USERS}
    assert len(tags) == 2
    assert (await client.post(f"/api/sandbox/ab-test/{tests[0]}/stop", json={"reason": "enough"})).status_code == 200
    await asyncio.sleep(1.05)
    assert (await ask(client, project)).json()["test_id"] == tests[1]
