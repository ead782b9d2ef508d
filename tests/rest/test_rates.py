"""Rate limits at both doors: 429 with Retry-After, who pays for what, and whose address counts."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import httpx
import pytest

from app.domain.client_address import parse_networks
from app.domain.model import Actor, Plan, Project, Scope
from app.domain.rates import BURST_SECONDS, PER_SECOND, Payer, RateLimits
from app.main import create_app
from app.services import api_keys, operator, rates
from app.services.rates import Meter
from app.settings import Settings
from app.storage import db
from tests.conftest import Database
from tests.doors import Headers, OwnTask, headers_of

FREE = PER_SECOND[Plan.FREE]
BURST = FREE * BURST_SECONDS
PEER = "10.255.0.1"


@pytest.fixture(autouse=True)
def meter() -> Iterator[Meter]:
    """The usual limits, as long as the test runs."""
    usual, rates.meter = rates.meter, Meter(RateLimits())
    yield rates.meter
    rates.meter = usual


@pytest.fixture
async def free(project: Project) -> Project:
    """A project on the smallest plan."""
    await operator.set_plan(project.id, Plan.FREE)
    return project


@pytest.fixture
async def proxied(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A client behind a proxy that the application trusts."""
    app = create_app(Settings(database_url=database.app_dsn, trusted_proxies=parse_networks("10.255.0.0/16")))
    transport = OwnTask(app=cast("Any", app), raise_app_exceptions=False, client=(PEER, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as found:
        yield found


def _data(project: Project) -> str:
    return f"/api/projects/{project.id}/data"


async def test_reads_of_a_project_are_limited(
    client: httpx.AsyncClient, owner: Headers, free: Project, meter: Meter
) -> None:
    first = await client.get(_data(free), headers=owner)
    assert first.status_code == 200
    assert int(first.headers["ratelimit-limit"]) == BURST
    assert int(first.headers["ratelimit-remaining"]) == pytest.approx(BURST - 1, abs=1)
    answers = [await client.get(_data(free), headers=owner) for _ in range(BURST + 2 * FREE)]
    given = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(given) + len(refused) == len(answers)
    assert len(given) < BURST + FREE * 2
    last = refused[-1]
    assert last.json()["error"] == "rate_limited"
    assert last.headers["retry-after"] == str(last.json()["retry_after"]) == "1"
    assert last.headers["ratelimit-remaining"] == "0"


async def test_a_write_costs_five_times_a_read(
    client: httpx.AsyncClient, owner: Headers, free: Project, actor: Actor, meter: Meter
) -> None:
    left = []
    for method, body in (("GET", None), ("PUT", {}), ("GET", None)):
        answer = await client.request(method, _data(free), json=body, headers=owner)
        assert answer.status_code == 200, answer.text
        left.append(int(answer.headers["ratelimit-remaining"]))
    assert left[0] - left[1] == pytest.approx(5, abs=1)
    assert left[1] - left[2] == pytest.approx(1, abs=1)


async def test_answers_that_nothing_is_new_have_a_high_limit_of_their_own(
    client: httpx.AsyncClient, owner: Headers, free: Project, meter: Meter
) -> None:
    etag = (await client.get(_data(free), headers=owner)).headers["etag"]
    await meter.pay((Payer.PROJECT, free.id, False), BURST - 1)
    known = {**owner, "If-None-Match": etag}
    polled = [await client.get(_data(free), headers=known) for _ in range(BURST + 2 * FREE)]
    assert {answer.status_code for answer in polled} == {304}
    assert int(polled[-1].headers["ratelimit-limit"]) == 10 * BURST
    meter.leases.adjust((Payer.PROJECT, free.id, False), -BURST)
    news = await client.get(_data(free), headers={**owner, "If-None-Match": '"old"'})
    assert (news.status_code, news.json()["error"]) == (429, "rate_limited")


async def test_strangers_use_up_nothing_of_a_project(
    client: httpx.AsyncClient, owner: Headers, free: Project, make_actor: Any
) -> None:
    stranger = await headers_of(await make_actor())
    answers = [(await client.get(_data(free), headers=stranger)).status_code for _ in range(BURST + FREE)]
    assert set(answers) == {404, 429}
    assert (await client.get(_data(free), headers=owner)).status_code == 200


async def test_bad_tokens_are_paid_by_address(client: httpx.AsyncClient, owner: Headers, free: Project) -> None:
    answers = [
        (await client.get(_data(free), headers={"Authorization": f"Bearer x{n}"})).status_code
        for n in range(BURST + 2 * FREE)
    ]
    assert answers[:BURST] == [401] * BURST
    assert 429 in answers
    graphql = await client.post("/graphql", json={"query": "{ __typename }"})
    assert graphql.status_code == 429
    assert (await client.get(_data(free), headers=owner)).status_code == 200


async def test_accounts_without_a_token_are_paid_by_address(client: httpx.AsyncClient) -> None:
    wrong = {"refresh_token": "x"}
    answers = [await client.post("/api/auth/refresh", json=wrong) for _ in range(BURST // 5 + 5)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[: BURST // 5] == [401] * (BURST // 5)
    assert statuses[-1] == 429
    assert answers[-1].json()["limited"] == "address"


async def test_a_thousand_forged_addresses_share_one_bucket(client: httpx.AsyncClient) -> None:
    statuses = [
        (await client.get("/api/auth/me", headers={"X-Forwarded-For": f"203.0.{n // 250}.{n % 250}"})).status_code
        for n in range(1_000)
    ]
    assert statuses.count(401) < BURST + 1_000 * 0.3
    assert statuses[-1] == 429


async def test_a_proxy_says_whose_request_it_is(proxied: httpx.AsyncClient) -> None:
    async def ask(forwarded: str) -> int:
        return (await proxied.get("/api/auth/me", headers={"X-Forwarded-For": forwarded})).status_code

    one = [await ask(f"9.9.9.{n % 250}, 203.0.113.9, {PEER}") for n in range(BURST + 2 * FREE)]
    assert 429 in one
    assert await ask("203.0.113.9") == 429
    assert await ask("203.0.113.10") == 401
    assert await ask("203.0.113.9, 203.0.113.11") == 401


async def test_logins_and_the_audit_trail_see_the_same_address(proxied: httpx.AsyncClient, actor: Actor) -> None:
    account = {"email": f"{actor.account_uuid.hex}@example.com", "password": "a long enough password"}
    via = {"X-Forwarded-For": "1.2.3.4, 203.0.113.77"}
    made = await proxied.post("/api/auth/register", json=account, headers=via)
    assert made.status_code == 201, made.text
    request_id = made.headers["x-request-id"]
    address = await db.fetchval("SELECT address FROM audit WHERE request_id = $1", request_id)
    assert address == "203.0.113.77"
    wrong = account | {"password": "another long password"}
    for _ in range(6):
        last = await proxied.post("/api/auth/login", json=wrong, headers=via)
    assert (last.status_code, last.json()["error"]) == (429, "too_many_attempts")
    elsewhere = {"X-Forwarded-For": "203.0.113.77, 203.0.113.78"}
    assert (await proxied.post("/api/auth/login", json=account, headers=elsewhere)).status_code == 200


async def test_requests_under_way_are_counted_and_let_go(
    client: httpx.AsyncClient, owner: Headers, project: Project, meter: Meter
) -> None:
    for path in (_data(project), f"/api/projects/{project.id}/entities/page/none", "/api/projects/999999999/data"):
        await client.get(path, headers=owner)
    query = f"{{ project(id: {project.id}) {{ name }} }}"
    await client.post("/graphql", json={"query": query}, headers=owner)
    assert meter._busy == {}
    rates.meter = Meter(RateLimits(concurrent=1))
    rates.meter.enter(project.id)
    full = await client.get(_data(project), headers=owner)
    assert (full.status_code, full.json()["error"], full.headers["retry-after"]) == (429, "too_many_at_once", "1")
    asked = await client.post("/graphql", json={"query": query}, headers=owner)
    assert asked.status_code == 429
    assert asked.json()["errors"][0]["extensions"]["code"] == "too_many_at_once"
    assert rates.meter._busy == {project.id: 1}


async def test_graphql_pays_what_an_operation_may_compute(
    client: httpx.AsyncClient, owner: Headers, free: Project, meter: Meter
) -> None:
    query = f"{{ project(id: {free.id}) {{ environments(first: 200) {{ nodes {{ name }} }} }} }}"
    first = await client.post("/graphql", json={"query": query}, headers=owner)
    assert first.status_code == 200, first.text
    # 200 were paid for in advance; one environment was there.
    assert int(first.headers["ratelimit-remaining"]) > BURST - 10
    while (answer := await client.post("/graphql", json={"query": query}, headers=owner)).status_code == 200:
        pass
    assert answer.status_code == 429
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "rate_limited"
    assert answer.headers["retry-after"] == str(error["extensions"]["retry_after"])
    assert not any((answer.json().get("data") or {}).values())
    cheap = await client.post("/graphql", json={"query": f"{{ project(id: {free.id}) {{ name }} }}"}, headers=owner)
    assert cheap.status_code == 200


async def test_a_key_pays_before_anything_is_done(client: httpx.AsyncClient, actor: Actor, free: Project) -> None:
    key = await api_keys.create(actor, free.id, "key", [Scope.READ])
    headers = {"Authorization": f"Bearer {key.secret}"}
    query = "{ viewer { name } }"
    statuses = [
        (await client.post("/graphql", json={"query": query}, headers=headers)).status_code
        for _ in range(BURST + 2 * FREE)
    ]
    assert statuses[: BURST - 5] == [200] * (BURST - 5)
    assert 429 in statuses


async def test_a_project_that_is_used_up_is_429_in_graphql_too(
    client: httpx.AsyncClient, actor: Actor, owner: Headers, free: Project, meter: Meter
) -> None:
    query = f"{{ viewer {{ name }} project(id: {free.id}) {{ name }} }}"
    await meter.pay((Payer.PROJECT, free.id, False), 2 * BURST)
    both = await client.post("/graphql", json={"query": query}, headers=owner)
    assert both.status_code == 200
    assert both.json()["errors"][0]["extensions"]["code"] == "rate_limited"
    alone = await client.post("/graphql", json={"query": f"{{ project(id: {free.id}) {{ name }} }}"}, headers=owner)
    assert alone.status_code == 429
    assert int(alone.headers["retry-after"]) == pytest.approx(BURST / FREE, abs=1)


async def test_without_limits_nothing_is_said_of_them(client: httpx.AsyncClient, owner: Headers, free: Project) -> None:
    rates.meter = None
    answers = [await client.get(_data(free), headers=owner) for _ in range(BURST + 2 * FREE)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any(name.startswith("ratelimit") for answer in answers for name in answer.headers)
