"""Rate limits at both doors: 429 with Retry-After, who pays for what, and whose address counts."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import httpx
import pytest

from app.domain.client_address import parse_networks
from app.domain.errors import RateLimited
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


async def use_up(meter: Meter, payer: Payer, who: Any, *, often: bool = False) -> None:
    """Leave a bucket with so much debt that the slowest machine sees it refuse."""
    while True:
        try:
            await meter.pay((payer, who, often), 1_000 * BURST)
            return
        except RateLimited:
            # Only a full bucket takes on a debt.
            await asyncio.sleep(0.05)


def _data(project: Project) -> str:
    return f"/api/projects/{project.id}/data"


async def test_reads_of_a_project_are_limited(
    client: httpx.AsyncClient, owner: Headers, free: Project, meter: Meter
) -> None:
    first = await client.get(_data(free), headers=owner)
    assert first.status_code == 200
    assert int(first.headers["ratelimit-limit"]) == BURST
    assert int(first.headers["ratelimit-remaining"]) == pytest.approx(BURST - 1, abs=1)
    began = time.monotonic()
    statuses = [(await client.get(_data(free), headers=owner)).status_code for _ in range(2 * BURST)]
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) <= 1.05 * (BURST + FREE * (time.monotonic() - began))
    await use_up(meter, Payer.PROJECT, free.id)
    last = await client.get(_data(free), headers=owner)
    assert (last.status_code, last.json()["error"]) == (429, "rate_limited")
    assert int(last.headers["retry-after"]) == last.json()["retry_after"] > 1
    assert last.headers["ratelimit-remaining"] == "0"


async def test_a_write_costs_five_times_a_read(
    client: httpx.AsyncClient, owner: Headers, free: Project, actor: Actor, meter: Meter
) -> None:
    await meter.pay((Payer.PROJECT, free.id, False), BURST // 2)
    left = []
    for method, body in (("GET", None), ("PUT", {}), ("GET", None)):
        answer = await client.request(method, _data(free), json=body, headers=owner)
        assert answer.status_code == 200, answer.text
        left.append(int(answer.headers["ratelimit-remaining"]))
    # It is refilled meanwhile.
    assert left[0] - 5 <= left[1] < left[0] + FREE
    assert await _paid(client, owner, free, meter, "GET") == 1
    assert await _paid(client, owner, free, meter, "PUT") == 5


async def _paid(client: httpx.AsyncClient, owner: Headers, free: Project, meter: Meter, method: str) -> float:
    key = (Payer.PROJECT, free.id, False)
    await meter.pay(key, 1)
    meter.leases.adjust(key, 100)
    before = meter.leases._held[key].tokens
    await client.request(method, _data(free), json={}, headers=owner)
    return before - meter.leases._held[key].tokens


async def test_answers_that_nothing_is_new_have_a_high_limit_of_their_own(
    client: httpx.AsyncClient, owner: Headers, free: Project, meter: Meter
) -> None:
    etag = (await client.get(_data(free), headers=owner)).headers["etag"]
    await use_up(meter, Payer.PROJECT, free.id)
    known = {**owner, "If-None-Match": etag}
    polled = [await client.get(_data(free), headers=known) for _ in range(BURST + 2 * FREE)]
    assert {answer.status_code for answer in polled} == {304}
    assert int(polled[-1].headers["ratelimit-limit"]) == 10 * BURST
    news = await client.get(_data(free), headers={**owner, "If-None-Match": '"old"'})
    assert (news.status_code, news.json()["error"]) == (429, "rate_limited")


async def test_strangers_use_up_nothing_of_a_project(
    client: httpx.AsyncClient, owner: Headers, free: Project, make_actor: Any, meter: Meter
) -> None:
    stranger = await headers_of(await make_actor())
    answers = [(await client.get(_data(free), headers=stranger)).status_code for _ in range(50)]
    assert set(answers) == {404}
    assert (Payer.PROJECT, free.id, False) not in meter.leases._held
    assert (await client.get(_data(free), headers=owner)).status_code == 200


async def test_bad_tokens_are_paid_by_address(
    client: httpx.AsyncClient, owner: Headers, free: Project, address: str, meter: Meter
) -> None:
    bad = {"Authorization": "Bearer x"}
    query = {"query": "{ __typename }"}
    assert (await client.get(_data(free), headers=bad)).status_code == 401
    assert (await client.post("/graphql", json=query, headers=bad)).status_code == 401
    await use_up(meter, Payer.ADDRESS, address)
    assert (await client.get(_data(free), headers=bad)).status_code == 429
    assert (await client.post("/graphql", json=query, headers=bad)).status_code == 429
    graphql = await client.post("/graphql", json={"query": "{ __typename }"})
    assert graphql.status_code == 429
    assert (await client.get(_data(free), headers=owner)).status_code == 200


async def test_accounts_without_a_token_are_paid_by_address(
    client: httpx.AsyncClient, address: str, meter: Meter
) -> None:
    wrong = {"refresh_token": "x"}
    assert (await client.post("/api/auth/refresh", json=wrong)).status_code == 401
    await use_up(meter, Payer.ADDRESS, address)
    refused = await client.post("/api/auth/refresh", json=wrong)
    assert (refused.status_code, refused.json()["limited"]) == (429, "address")


async def test_a_thousand_forged_addresses_share_one_bucket(
    client: httpx.AsyncClient, address: str, meter: Meter
) -> None:
    for number in range(1_000):
        forged = {"X-Forwarded-For": f"203.0.{number // 250}.{number % 250}"}
        assert (await client.get("/api/auth/me", headers=forged)).status_code in (401, 429)
    assert list(meter.leases._held) == [(Payer.ADDRESS, address, False)]


async def test_a_proxy_says_whose_request_it_is(proxied: httpx.AsyncClient, meter: Meter) -> None:
    async def ask(forwarded: str) -> int:
        return (await proxied.get("/api/auth/me", headers={"X-Forwarded-For": forwarded})).status_code

    await use_up(meter, Payer.ADDRESS, "203.0.113.9")
    assert await ask(f"9.9.9.9, 203.0.113.9, {PEER}") == 429
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
    await meter.pay((Payer.PROJECT, free.id, False), BURST - 20)
    answer = await client.post("/graphql", json={"query": query}, headers=owner)
    assert answer.status_code == 429
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "rate_limited"
    assert answer.headers["retry-after"] == str(error["extensions"]["retry_after"])
    assert not any((answer.json().get("data") or {}).values())
    await asyncio.sleep(0.2)
    cheap = await client.post("/graphql", json={"query": f"{{ project(id: {free.id}) {{ name }} }}"}, headers=owner)
    assert cheap.status_code == 200


async def test_a_key_pays_before_anything_is_done(
    client: httpx.AsyncClient, actor: Actor, free: Project, meter: Meter
) -> None:
    key = await api_keys.create(actor, free.id, "key", [Scope.READ])
    headers = {"Authorization": f"Bearer {key.secret}"}
    query = "{ viewer { name } }"
    assert (await client.post("/graphql", json={"query": query}, headers=headers)).status_code == 200
    await use_up(meter, Payer.PROJECT, free.id)
    refused = await client.post("/graphql", json={"query": query}, headers=headers)
    assert refused.status_code == 429
    assert "data" not in refused.json()


async def test_a_project_that_is_used_up_is_429_in_graphql_too(
    client: httpx.AsyncClient, actor: Actor, owner: Headers, free: Project, meter: Meter
) -> None:
    query = f"{{ viewer {{ name }} project(id: {free.id}) {{ name }} }}"
    await use_up(meter, Payer.PROJECT, free.id)
    both = await client.post("/graphql", json={"query": query}, headers=owner)
    assert both.status_code == 200
    assert both.json()["errors"][0]["extensions"]["code"] == "rate_limited"
    alone = await client.post("/graphql", json={"query": f"{{ project(id: {free.id}) {{ name }} }}"}, headers=owner)
    assert alone.status_code == 429
    assert int(alone.headers["retry-after"]) > 1


async def test_without_limits_nothing_is_said_of_them(client: httpx.AsyncClient, owner: Headers, free: Project) -> None:
    rates.meter = None
    answers = [await client.get(_data(free), headers=owner) for _ in range(BURST + 2 * FREE)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any(name.startswith("ratelimit") for answer in answers for name in answer.headers)
