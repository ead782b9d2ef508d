"""Webhooks through both doors."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.domain.egress import Allowed
from app.domain.model import Actor, Role, Scope
from app.services import api_keys, egress, webhook_sending
from app.storage import db
from tests.conftest import MakeActor
from tests.doors import headers_of
from tests.receiver import receiving
from tests.rest.conftest import Api, made, refused


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers on this machine are let through."""
    monkeypatch.setattr(egress, "allowed", Allowed.parse("127.0.0.1"))


async def test_a_webhook_from_its_making_to_its_end(api: Api) -> None:
    hooks = f"{api.documents}/webhooks"
    async with receiving() as receiver:
        created = await api.post(hooks, {"url": receiver.url, "description": "chat"})
        hook = made(created)
        assert created.status_code == 201
        assert hook["secret"].startswith("whsec_")
        assert hook["events"] == ["environment.*", "generation.*", "promotion.*", "rollout.*"]
        (listed,) = (await api.client.get(hooks)).json()["webhooks"]
        assert "secret" not in listed
        changed = made(await api.client.patch(f"{hooks}/{hook['uuid']}", json={"events": ["generation.*"]}))
        assert (changed["events"], changed["description"]) == (["generation.*"], "chat")
        probe = await api.post(f"{hooks}/{hook['uuid']}/test", None)
        assert (probe.status_code, probe.json()["status"]) == (202, "pending")
        await api.fork("env")
        await webhook_sending.fan_out(api.project.id)
        await webhook_sending.send(api.project.id, hook["uuid"])
        first = (await api.client.get(f"{hooks}/{hook['uuid']}/deliveries", params={"limit": 1})).json()
        rest = (await api.client.get(f"{hooks}/{hook['uuid']}/deliveries?cursor={first['next_cursor']}")).json()
        (newest, oldest) = first["deliveries"] + rest["deliveries"]
        assert (newest["type"], oldest["type"]) == ("generation.created", "webhook.test")
        assert (newest["status"], newest["response_code"], newest["response_text"]) == ("delivered", 200, "ok")
        assert newest["payload"] == receiver.received[1].value
        again = await api.post(f"{hooks}/{hook['uuid']}/deliveries/{newest['uuid']}/redeliver", None)
        assert (again.status_code, again.json()["status"]) == (202, "pending")
        rotated = made(await api.post(f"{hooks}/{hook['uuid']}/rotate-secret", None))
        assert rotated["secret"] not in (None, hook["secret"])
        assert rotated["old_secret_until"]
    assert made(await api.client.delete(f"{hooks}/{hook['uuid']}"))["uuid"] == hook["uuid"]
    refused(await api.client.delete(f"{hooks}/{hook['uuid']}"), 404, "webhook_not_found")


async def test_what_is_refused(api: Api) -> None:
    hooks = f"{api.documents}/webhooks"
    for url in ("https://10.0.0.1/", "http://example.com/", "https://localhost/", "file:///etc/passwd"):
        assert refused(await api.post(hooks, {"url": url}), 422, "address_refused")["field"] == "url"
    body = {"url": "http://127.0.0.1:9/", "events": ["no.such"]}
    assert "rollout.started" in refused(await api.post(hooks, body), 422, "validation_failed")["known"]
    hook = made(await api.post(hooks, {"url": "http://127.0.0.1:9/"}))
    refused(await api.post(f"{hooks}/{hook['uuid']}/deliveries/{uuid4()}/redeliver", None), 404, "delivery_not_found")
    await api.client.patch(f"{hooks}/{hook['uuid']}", json={"enabled": False})
    refused(await api.post(f"{hooks}/{hook['uuid']}/test", None), 409, "webhook_disabled")
    for cursor in ("x", "WyJhIiwgImIiXQ", "WzEsICJhIl0", "Wzk5OTk5OTk5OTk5OTk5OTk5OTksICJhIl0"):
        answer = await api.client.get(f"{hooks}/{hook['uuid']}/deliveries", params={"cursor": cursor})
        refused(answer, 400, "bad_request")


async def test_webhooks_are_for_owners_and_admins(api: Api, actor: Actor, make_actor: MakeActor) -> None:
    hooks = f"{api.documents}/webhooks"
    member = await make_actor()
    for role in (Role.VIEWER, Role.EDITOR):
        await db.execute(
            "INSERT INTO member (project_id, account_uuid, role) VALUES ($1, $2, $3)"
            " ON CONFLICT (project_id, account_uuid) DO UPDATE SET role = excluded.role",
            api.project.id,
            member.account_uuid,
            role.value,
        )
        refused(await api.client.get(hooks, headers=await headers_of(member)), 403, "forbidden")
    for scopes, status in (([Scope.WRITE], 403), ([Scope.ADMIN], 200)):
        key = await api_keys.create(actor, api.project.id, "key", scopes)
        answer = await api.client.get(hooks, headers={"Authorization": f"Bearer {key.secret}"})
        assert answer.status_code == status


async def _ask(client: httpx.AsyncClient, query: str, **variables: Any) -> Any:
    answer = (await client.post("/graphql", json={"query": query, "variables": variables})).json()
    assert "errors" not in answer, answer
    return answer["data"]


async def test_graphql_shows_webhooks_and_their_deliveries(api: Api) -> None:
    async with receiving() as receiver:
        made_hook = await _ask(
            api.client,
            "mutation ($input: CreateWebhookInput!) { createWebhook(input: $input) { ... on CreateWebhookPayload"
            " { secret webhook { id uuid } } ... on Refusal { code message } } }",
            input={"projectId": api.project.id, "url": receiver.url, "events": ["generation.*"]},
        )
        webhook = made_hook["createWebhook"]["webhook"]
        assert made_hook["createWebhook"]["secret"].startswith("whsec_")
        await api.fork("env")
        await webhook_sending.fan_out(api.project.id)
        await webhook_sending.send(api.project.id, webhook["uuid"])
    found = await _ask(
        api.client,
        "query ($id: Int!, $node: ID!) { project(id: $id) { webhooks { uuid url events enabled disabledReason"
        " deliveries(status: DELIVERED) { totalCount nodes { type status responseCode payload } } } }"
        " node(id: $node) { ... on Webhook { uuid } } }",
        id=api.project.id,
        node=webhook["id"],
    )
    (shown,) = found["project"]["webhooks"]
    assert found["node"] == {"uuid": webhook["uuid"]}
    assert shown["deliveries"]["totalCount"] == 1
    (delivery,) = shown["deliveries"]["nodes"]
    assert (delivery["type"], delivery["status"], delivery["responseCode"]) == ("generation.created", "DELIVERED", 200)
    assert delivery["payload"] == receiver.received[0].value
    refusal = await _ask(
        api.client,
        "mutation ($input: CreateWebhookInput!) { createWebhook(input: $input) { ... on Refusal { code message } } }",
        input={"projectId": api.project.id, "url": "https://169.254.169.254/"},
    )
    assert refusal["createWebhook"]["code"] == "address_refused"
