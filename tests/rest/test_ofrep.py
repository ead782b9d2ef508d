"""Flags over the OpenFeature Remote Evaluation Protocol: right values, right reasons, right refusals."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.domain.canary import serves
from app.domain.evaluation import bucket
from app.domain.model import Actor, Project, Scope, Strategy
from app.domain.values import Value
from app.services import api_keys, evaluation, known_users, promoting, routing
from app.services.promoting import PromoteOptions
from app.storage import db
from tests.doors import Headers, headers_of
from tests.rest.conftest import Api, made, refused
from tests.services.shop import Shop

PREMIUM = "7d1f0a52-7c0e-4a35-9c5f-0d6a3b8a1c11"
FLAGS: dict[str, Value] = {
    "banner": {"value": "Welcome"},
    "checkout": {
        "variants": {"new": True, "old": False},
        "defaultVariant": "old",
        "rules": [
            {"segment": PREMIUM, "variant": "new"},
            {"rules": [{"field": "country", "op": "eq", "value": "DE"}], "split": {"new": 25, "old": 75}},
        ],
        "metadata": {"owner": "payments"},
    },
    "hidden": {"value": 1, "enabled": False},
    "limits": {"value": {"items": 10, "ratio": 2}},
}
SEGMENTS: list[Value] = [
    {
        "segment_id": PREMIUM,
        "name": "premium",
        "rules": [{"field": "tier", "op": "eq", "value": "premium"}],
        "created_at": "2026-11-24T00:00:00Z",
    }
]
DOCUMENT: dict[str, Value] = {
    "config": {"flags": FLAGS, "segments": SEGMENTS},
    "theme": {"color": "blue", "sizes": [1, 2], "none": None, "deep": {"a": 1}, "a.b": 7},
    "title": "Shop",
}
FLAG = "/ofrep/v1/evaluate/flags"


@pytest.fixture(autouse=True)
async def forgotten() -> AsyncIterator[None]:
    """What a test has read is no concern of the next."""
    yield
    for kept in (evaluation.kept, evaluation.named, routing.kept):
        kept.clear()
    known_users._remembered.clear()


@pytest.fixture
async def shop(actor: Actor, project: Project) -> Shop:
    """A project with flags, a segment, and a premium user."""
    made = Shop(actor, project)
    await made.put(None, DOCUMENT, "project", "project")
    await made.put(None, {"tier": "premium", "address": {"city": "Bonn"}}, "grace", "user")
    return made


@pytest.fixture
async def ofrep(client: httpx.AsyncClient, shop: Shop) -> httpx.AsyncClient:
    """A client with an API key that may do nothing but evaluate."""
    made = await api_keys.create(shop.actor, shop.project_id, "app", [Scope.EVALUATE])
    client.headers["Authorization"] = f"Bearer {made.secret}"
    return client


async def ask(client: httpx.AsyncClient, key: str, user: str | None = "ada", **attributes: Any) -> dict[str, Any]:
    context = attributes if user is None else {"targetingKey": user, **attributes}
    answer = await client.post(f"{FLAG}/{key}", json={"context": context})
    body: dict[str, Any] = answer.json()
    body["status"] = answer.status_code
    return body


def with_bucket(key: str, low: int, high: int) -> str:
    return next(user for user in map(str, range(10_000)) if low <= bucket(key, user) < high)


@pytest.mark.parametrize(
    ("key", "user", "attributes", "value", "variant", "reason"),
    [
        ("banner", "ada", {}, "Welcome", "value", "STATIC"),
        ("banner", None, {}, "Welcome", "value", "STATIC"),
        ("limits", "ada", {}, {"items": 10, "ratio": 2}, "value", "STATIC"),
        ("checkout", "ada", {}, False, "old", "DEFAULT"),
        ("checkout", "ada", {"tier": "premium"}, True, "new", "TARGETING_MATCH"),
        ("checkout", None, {"tier": "premium"}, True, "new", "TARGETING_MATCH"),
        ("checkout", "grace", {}, True, "new", "TARGETING_MATCH"),
        ("checkout", "grace", {"tier": "basic"}, False, "old", "DEFAULT"),
        ("checkout", with_bucket("checkout", 0, 2_500), {"country": "DE"}, True, "new", "SPLIT"),
        ("checkout", with_bucket("checkout", 2_500, 10_000), {"country": "DE"}, False, "old", "SPLIT"),
        ("/theme/color", "ada", {}, "blue", "value", "STATIC"),
        ("%2Ftheme%2Fcolor", "ada", {}, "blue", "value", "STATIC"),
        ("theme/color", "ada", {}, "blue", "value", "STATIC"),
        ("theme.color", "ada", {}, "blue", "value", "STATIC"),
        ("theme.a%5C.b", "ada", {}, 7, "value", "STATIC"),
        ("/theme/sizes", "ada", {}, [1, 2], "value", "STATIC"),
        ("/theme/sizes/1", "ada", {}, 2, "value", "STATIC"),
        ("title", "ada", {}, "Shop", "value", "STATIC"),
    ],
)
async def test_values_and_reasons(
    ofrep: httpx.AsyncClient,
    key: str,
    user: str | None,
    attributes: dict[str, Any],
    value: Any,
    variant: str,
    reason: str,
) -> None:
    said = await ask(ofrep, key, user, **attributes)
    assert (said["status"], said.get("value"), said["variant"], said["reason"]) == (200, value, variant, reason)
    assert said["metadata"]["environment"] == "production"
    assert said["metadata"]["route"] == "production"


@pytest.mark.parametrize(("key", "reason"), [("hidden", "DISABLED"), ("/theme/none", "STATIC")])
async def test_no_value_leaves_it_to_the_client(ofrep: httpx.AsyncClient, key: str, reason: str) -> None:
    said = await ask(ofrep, key)
    assert (said["status"], said["reason"], "value" in said) == (200, reason, False)


@pytest.mark.parametrize(
    ("key", "user", "attributes", "status", "code"),
    [
        ("nothing", "ada", {}, 404, "FLAG_NOT_FOUND"),
        ("/theme", "ada", {}, 404, "FLAG_NOT_FOUND"),
        ("/theme/nothing", "ada", {}, 404, "FLAG_NOT_FOUND"),
        ("/config/flags/banner/value", "ada", {}, 404, "FLAG_NOT_FOUND"),
        ("config.segments", "ada", {}, 404, "FLAG_NOT_FOUND"),
        ("/a~2", "ada", {}, 404, "FLAG_NOT_FOUND"),
        ("checkout", None, {"country": "DE"}, 400, "TARGETING_KEY_MISSING"),
        ("checkout", "", {"country": "DE"}, 400, "TARGETING_KEY_MISSING"),
        ("banner", "x" * 257, {}, 400, "INVALID_CONTEXT"),
    ],
)
async def test_failures(
    ofrep: httpx.AsyncClient, key: str, user: str | None, attributes: dict[str, Any], status: int, code: str
) -> None:
    said = await ask(ofrep, key, user, **attributes)
    assert (said["status"], said["errorCode"], said["key"]) == (status, code, key)
    assert said["errorDetails"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "PARSE_ERROR"),
        (b'{"context": {"a": NaN}}', 400, "PARSE_ERROR"),
        (b'{"context": {"a": 1e9999999}}', 400, "PARSE_ERROR"),
        (b'{"context": ' + b"[" * 3_000, 400, "PARSE_ERROR"),
        (b'"x"', 400, "INVALID_CONTEXT"),
        (b'{"context": 5}', 400, "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": 5}}', 400, "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": "a\\u0000b"}}', 200, None),
        (b'{"context": {"targetingKey": "\\ud800"}}', 200, None),
        (b'{"context": {"n": 123456789012345678901234567890}}', 200, None),
        (b'{"context": null}', 400, "INVALID_CONTEXT"),
        (b"", 200, None),
        (b"{}", 200, None),
    ],
)
@pytest.mark.parametrize("address", [FLAG, f"{FLAG}/checkout"])
async def test_bodies(ofrep: httpx.AsyncClient, address: str, body: bytes, status: int, code: str | None) -> None:
    answer = await ofrep.post(address, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json().get("errorCode")) == (status, code), answer.text
    other = await ofrep.post(address, content=body or b"{}", headers={"Content-Type": "text/plain"})
    assert other.status_code == 415


async def test_all_at_once_and_304(ofrep: httpx.AsyncClient, shop: Shop) -> None:
    body = {"context": {"targetingKey": "grace"}}
    first = await ofrep.post(FLAG, json=body)
    said = first.json()
    assert [flag["key"] for flag in said["flags"]] == sorted(FLAGS)
    assert {flag["key"]: flag.get("value") for flag in said["flags"]} == {
        "banner": "Welcome",
        "checkout": True,
        "hidden": None,
        "limits": {"items": 10, "ratio": 2},
    }
    assert said["metadata"]["environment"] == "production"
    assert int(first.headers["X-Snapshot-Age-Ms"]) <= 1_000
    known = {"If-None-Match": first.headers["ETag"]}
    again = await ofrep.post(FLAG, json=body, headers=known)
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    other = await ofrep.post(FLAG, json={"context": {"targetingKey": "grace", "tier": "basic"}}, headers=known)
    assert other.status_code == 200
    await shop.put(None, {"unrelated": 1}, "other")
    await asyncio.sleep(1.05)
    assert (await ofrep.post(FLAG, json=body, headers=known)).status_code == 304
    await shop.merge(None, {"config": {"flags": {"banner": {"value": "Bye"}}}}, "project", "project")
    await asyncio.sleep(1.05)
    changed = await ofrep.post(FLAG, json=body, headers=known)
    assert (changed.status_code, changed.json()["flags"][0]["value"]) == (200, "Bye")


async def test_a_stored_user_counts_within_a_second(ofrep: httpx.AsyncClient, shop: Shop) -> None:
    assert (await ask(ofrep, "checkout"))["value"] is False
    await shop.put(None, {"tier": "premium"}, "ada", "user")
    await asyncio.sleep(1.05)
    assert (await ask(ofrep, "checkout"))["value"] is True


async def test_answers_cost_no_statement(ofrep: httpx.AsyncClient) -> None:
    await ask(ofrep, "checkout")
    with db.count_statements() as counted:
        for _ in range(50):
            await ask(ofrep, "checkout")
            await ask(ofrep, "banner")
    assert counted.count <= 6


async def test_the_request_may_name_the_environment(ofrep: httpx.AsyncClient, shop: Shop) -> None:
    await shop.fork("feature")
    await shop.merge("feature", {"config": {"flags": {"banner": {"value": "Soon"}}}}, "project", "project")
    named = await ofrep.post(f"{FLAG}/banner", json={}, headers={"X-AgentStack-Env": "feature"})
    assert (named.json()["value"], named.json()["metadata"]["route"]) == ("Soon", "explicit")
    assert (await ofrep.post(f"{FLAG}/banner?env=feature", json={})).json()["value"] == "Soon"
    assert (await ofrep.post(f"{FLAG}/banner", json={})).json()["value"] == "Welcome"
    missing = await ofrep.post(f"{FLAG}/banner", json={}, headers={"X-AgentStack-Env": "nowhere"})
    assert (missing.status_code, missing.json()["error"], missing.json()["errorCode"]) == (
        404,
        "environment_not_found",
        "GENERAL",
    )


async def test_a_rollout_applies_to_flags(ofrep: httpx.AsyncClient, shop: Shop) -> None:
    env = await shop.fork("next")
    await shop.merge("next", {"config": {"flags": {"banner": {"value": "Next"}}}}, "project", "project")
    steps: list[Value] = [{"weight": 40}, {"weight": 100}]
    await promoting.promote(shop.actor, env, PromoteOptions(Strategy.CANARY, rollout_steps=steps))
    await asyncio.sleep(1.05)
    for user in map(str, range(30)):
        said = await ask(ofrep, "banner", user)
        inside = serves(env, user, 40)
        assert (said["value"], said["metadata"]["route"]) == (
            ("Next", "canary") if inside else ("Welcome", "production")
        )


async def test_who_may_ask(client: httpx.AsyncClient, owner: Headers, shop: Shop, make_actor: Any) -> None:
    assert (await client.post(f"{FLAG}/banner", json={})).status_code == 401
    assert (await client.post(f"{FLAG}/banner", json={}, headers=owner)).status_code == 400
    by_header = owner | {"X-AgentStack-Project": str(shop.project_id)}
    assert (await client.post(f"{FLAG}/banner", json={}, headers=by_header)).json()["value"] == "Welcome"
    by_query = await client.post(f"{FLAG}/banner?project_id={shop.project_id}", json={}, headers=owner)
    assert by_query.json()["value"] == "Welcome"
    stranger = await headers_of(await make_actor()) | {"X-AgentStack-Project": str(shop.project_id)}
    assert (await client.post(f"{FLAG}/banner", json={}, headers=stranger)).status_code == 404
    for scope, status in ((Scope.EVALUATE, 200), (Scope.READ, 403)):
        made = await api_keys.create(shop.actor, shop.project_id, "app", [scope])
        answer = await client.post(FLAG, json={}, headers={"X-API-Key": made.secret or ""})
        assert answer.status_code == status
        assert scope is Scope.EVALUATE or answer.json()["errorCode"] == "GENERAL"


async def test_protected_values_stay_where_they_are(ofrep: httpx.AsyncClient, shop: Shop) -> None:
    await shop.merge(
        None,
        {"secret": {"key": "s3cret"}, "config": {"protected_fields": ["secret.key", "user:tier"]}},
        "project",
        "project",
    )
    await asyncio.sleep(1.05)
    said = await ask(ofrep, "/secret/key")
    assert (said["status"], said["errorCode"]) == (400, "GENERAL")
    assert (await ask(ofrep, "config.protected_fields"))["status"] == 404
    broken = await ask(ofrep, "checkout", "grace")
    assert (broken["status"], broken["errorCode"]) == (400, "PARSE_ERROR")
    whole = (await ofrep.post(FLAG, json={"context": {"targetingKey": "grace"}})).json()
    assert next(flag for flag in whole["flags"] if flag["key"] == "checkout")["errorCode"] == "PARSE_ERROR"


async def test_flags_that_cannot_be_read_are_not_written(api: Api, shop: Shop) -> None:
    before = await api.state()
    place = "/config/flags/new"
    for flag, path in (
        ({"value": 1, "typo": 2}, f"{place}/typo"),
        (
            {"variants": {"a": 1, "b": 2}, "defaultVariant": "a", "rules": [{"split": {"a": 101}}]},
            f"{place}/rules/0/split/a",
        ),
        (
            {"variants": {"a": 1}, "defaultVariant": "a", "rules": [{"segment": str(UUID(int=1)), "variant": "a"}]},
            f"{place}/rules/0/segment",
        ),
    ):
        for answer in (
            await api.patch(f"{api.documents}/data", {"config": {"flags": {"new": flag}}}),
            await api.put(f"{api.documents}/data?path={place}", flag),
        ):
            assert refused(answer, 422, "validation_failed")["path"] == path
    segments: dict[str, Any] = {"config": {"segments": []}}
    gone = refused(await api.patch(f"{api.documents}/data", segments), 422, "validation_failed")
    assert gone["path"] == "/config/flags/checkout/rules/0/segment"
    assert await api.state() == before
    made(await api.patch(f"{api.documents}/data", {"config": {"flags": {"new": {"value": 1}}}}))
