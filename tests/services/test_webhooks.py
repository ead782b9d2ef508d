"""Webhooks: what happens arrives, signed, in order, at least once; and nothing else does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from app.domain import webhooks as rules
from app.domain.audit import Filter
from app.domain.egress import Allowed
from app.domain.errors import AddressRefused, TooManyWebhooks, ValidationFailed, WebhookDisabled, WebhookNotFound
from app.domain.webhooks import Delivery, DeliveryStatus, DisabledReason, Webhook
from app.services import checkpoints, egress, environments, projects, webhook_sending, webhooks
from app.services.webhooks import WebhookChange
from app.storage import audit as trail
from app.storage import db, events, webhook_deliveries
from app.storage import webhooks as stored
from tests.conftest import MakeActor
from tests.receiver import Receiver, receiving, saying, silence
from tests.services.shop import Shop


@dataclass
class Hook:
    """A webhook, its receiver, and the worker's steps for it."""

    shop: Shop
    receiver: Receiver
    webhook: Webhook
    secret: str

    @property
    def key(self) -> tuple[int, UUID]:
        return self.shop.project_id, self.webhook.uuid

    async def work(self) -> None:
        """Do what workers would do now."""
        await webhook_sending.fan_out(self.shop.project_id)
        await webhook_sending.send(*self.key)

    async def log(self) -> list[Delivery]:
        """Return all deliveries, the oldest first."""
        page = await webhooks.list_deliveries(self.shop.actor, *self.key, limit=200)
        return list(page.items)[::-1]

    async def now(self) -> Webhook:
        found = await stored.get(*self.key)
        assert found is not None
        return found

    async def hurry(self) -> None:
        """Make all that waits due."""
        await db.execute(
            "UPDATE webhook_delivery SET next_attempt_at = now() WHERE project_id = $1 AND status = 'pending'",
            self.shop.project_id,
        )
        await db.execute(
            "UPDATE webhook SET paused_until = NULL, leased_until = NULL, lease = NULL WHERE project_id = $1",
            self.shop.project_id,
        )


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    """A receiver on this machine, which the installation lists."""
    monkeypatch.setattr(egress, "allowed", Allowed.parse("127.0.0.1"))
    async with receiving() as made:
        yield made


async def _hook(shop: Shop, receiver: Receiver, *patterns: str) -> Hook:
    made = await webhooks.create(shop.actor, shop.project_id, receiver.url, patterns or rules.LIFECYCLE)
    assert made.secret is not None
    return Hook(shop, receiver, made.webhook, made.secret)


@pytest.fixture
async def hook(shop: Shop, receiver: Receiver) -> Hook:
    """A webhook that gets what happens to environments."""
    return await _hook(shop, receiver)


async def _jobs(project_id: int, kind: str) -> int:
    count: int = await db.fetchval(
        "SELECT count(*) FROM pgqueuer WHERE entrypoint = $2 AND status = 'queued'"
        " AND (convert_from(payload, 'UTF8')::jsonb ->> 'project_id')::int = $1",
        project_id,
        kind,
    )
    return count


async def test_what_happens_arrives_signed_and_in_order(hook: Hook) -> None:
    env = await hook.shop.fork("env")
    await environments.archive(hook.shop.actor, env)
    await hook.work()
    first, second = hook.receiver.received
    assert [first.value["type"], second.value["type"]] == ["generation.created", "environment.archived"]
    assert first.id < second.id
    assert first.id.startswith(f"evt_{hook.shop.project_id}_")
    assert first.signed_with()(hook.secret)
    assert not first.signed_with()(rules.shown_secret(bytes(32)))
    (event,) = [
        event for event in await events.published(hook.shop.project_id, 0, 200) if event.type == "environment.archived"
    ]
    assert second.value == {
        "type": "environment.archived",
        "timestamp": event.created_at.isoformat().replace("+00:00", "Z"),
        "project_id": hook.shop.project_id,
        "version": event.version,
        "env_uuid": str(env),
        "subject": None,
        "actor": hook.shop.actor.name,
        "data": dict(event.data),
    }
    for delivery in await hook.log():
        assert (delivery.status, delivery.attempts, delivery.response_code) == (DeliveryStatus.DELIVERED, 1, 200)
        assert (delivery.response_text, delivery.error, delivery.next_attempt_at) == ("ok", None, None)
        assert delivery.duration is not None


async def test_only_what_is_wanted_arrives(shop: Shop, receiver: Receiver) -> None:
    hook = await _hook(shop, receiver, "environment.archived", "rollout.*")
    await shop.put(None, {"n": 1})
    env = await shop.fork("env")
    await environments.archive(shop.actor, env)
    await hook.work()
    assert [request.value["type"] for request in receiver.received] == ["environment.archived"]


async def test_nothing_from_before_it_was_made_arrives(shop: Shop, receiver: Receiver) -> None:
    await shop.fork("before")
    hook = await _hook(shop, receiver, "*")
    await hook.work()
    assert receiver.received == []


async def test_changes_of_documents_arrive_where_they_are_wanted(
    shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sending, "PAGE", 3)
    hook = await _hook(shop, receiver, "document.changed")
    for number in range(8):
        await shop.put(None, {"n": number})
    await webhook_sending.on_news([shop.project_id])
    assert await _jobs(shop.project_id, "fan_out_events") == 1
    await hook.work()
    versions = [request.value["version"] for request in receiver.received]
    assert len(versions) == 8
    assert versions == sorted(versions)
    assert {request.value["type"] for request in receiver.received} == {"document.changed"}
    assert "title" not in receiver.received[0].body.decode()
    await webhook_sending.on_news([shop.project_id])
    assert await stored.with_news([shop.project_id]) == []


async def test_an_event_promises_its_own_fan_out(shop: Shop, receiver: Receiver) -> None:
    await shop.fork("before")
    assert await _jobs(shop.project_id, "fan_out_events") == 0
    hook = await _hook(shop, receiver)
    await shop.fork("one")
    await shop.fork("two")
    assert await _jobs(shop.project_id, "fan_out_events") == 1
    await webhooks.update(shop.actor, *hook.key, WebhookChange(enabled=False))
    await db.execute("DELETE FROM pgqueuer")
    await shop.fork("three")
    assert await _jobs(shop.project_id, "fan_out_events") == 0


async def test_fanning_out_at_once_makes_one_row_each(hook: Hook) -> None:
    for number in range(5):
        await hook.shop.fork(f"env-{number}")
    await asyncio.gather(*(webhook_sending.fan_out(hook.shop.project_id) for _ in range(6)))
    assert len(await hook.log()) == 5
    await db.execute("UPDATE webhook SET cursor = 0 WHERE project_id = $1", hook.shop.project_id)
    await webhook_sending.fan_out(hook.shop.project_id)
    versions = [delivery.version for delivery in await hook.log()]
    assert len(versions) == len(set(versions))


async def test_sending_at_once_sends_one_after_the_other(hook: Hook) -> None:
    for number in range(6):
        await hook.shop.fork(f"env-{number}")
    await webhook_sending.fan_out(hook.shop.project_id)
    await asyncio.gather(*(webhook_sending.send(*hook.key) for _ in range(4)))
    ids = [request.id for request in hook.receiver.received]
    assert len(ids) == 6
    assert ids == sorted(ids)


async def test_what_fails_is_sent_again_later(hook: Hook) -> None:
    hook.receiver.answers = [saying("500 No", b"not today"), saying("500 No")]
    await hook.shop.fork("env")
    await hook.work()
    (delivery,) = await hook.log()
    assert (delivery.status, delivery.attempts, delivery.response_code) == (DeliveryStatus.PENDING, 1, 500)
    assert delivery.response_text == "not today"
    assert delivery.last_attempt_at is not None
    assert delivery.next_attempt_at is not None
    first = delivery.next_attempt_at - delivery.last_attempt_at
    assert timedelta(seconds=4) < first < timedelta(seconds=6)
    await hook.work()
    assert len(hook.receiver.received) == 1
    await hook.hurry()
    await hook.work()
    (delivery,) = await hook.log()
    assert delivery.next_attempt_at is not None
    assert delivery.last_attempt_at is not None
    assert delivery.next_attempt_at - delivery.last_attempt_at > first
    hook.receiver.answers = [saying("204 No Content", b"")]
    await hook.hurry()
    await hook.work()
    (delivery,) = await hook.log()
    assert (delivery.status, delivery.attempts, delivery.response_code) == (DeliveryStatus.DELIVERED, 3, 204)
    assert len({(request.id, request.body) for request in hook.receiver.received}) == 1
    assert (await hook.now()).failing_since is None


async def test_one_message_that_fails_holds_nothing_up(hook: Hook) -> None:
    hook.receiver.answers = [saying("500 No"), saying("200 OK")]
    await hook.shop.fork("one")
    await hook.shop.fork("two")
    await hook.work()
    assert [delivery.status for delivery in await hook.log()] == ["pending", "delivered"]


async def test_who_hangs_is_left_alone_for_a_while(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "SECONDS", 0.2)
    hook.receiver.answers = [silence]
    for name in ("one", "two", "three"):
        await hook.shop.fork(name)
    async with receiving() as well:
        other = await _hook(hook.shop, well)
        await hook.shop.fork("four")
        await hook.work()
        await webhook_sending.send(*other.key)
        assert len(well.received) == 1
    assert hook.receiver.connections == 1
    log = await hook.log()
    assert [delivery.attempts for delivery in log] == [1, 0, 0, 0]
    assert log[0].error is not None
    assert (await hook.now()).failing_since is not None
    await webhook_sending.send(*hook.key)
    assert hook.receiver.connections == 1


async def test_who_fails_for_three_days_is_disabled(hook: Hook) -> None:
    hook.receiver.answers = [saying("500 No")]
    await hook.shop.fork("env")
    await hook.work()
    await db.execute(
        "UPDATE webhook_delivery SET retry_until = now() - interval '1 second' WHERE project_id = $1",
        hook.shop.project_id,
    )
    await db.execute(
        "UPDATE webhook SET failing_since = now() - interval '73 hours' WHERE project_id = $1", hook.shop.project_id
    )
    await hook.hurry()
    await hook.work()
    (delivery,) = await hook.log()
    assert (delivery.status, delivery.next_attempt_at) == (DeliveryStatus.FAILED, None)
    webhook = await hook.now()
    assert (webhook.enabled, webhook.disabled_reason) == (False, DisabledReason.FAILING)
    (event,) = (await events.published(hook.shop.project_id, 0, 200))[-1:]
    assert (event.type, event.subject, event.actor) == ("webhook.changed", webhook.uuid, None)
    assert event.data == {"change": "disabled", "reason": "failing"}
    (row,) = await trail.list_page(hook.shop.project_id, Filter(), 1, None)
    assert (row.operation, row.actor, row.object_id) == ("update_webhook", None, str(webhook.uuid))


async def test_one_message_given_up_does_not_disable_who_works(hook: Hook) -> None:
    hook.receiver.answers = [saying("500 No")]
    await hook.shop.fork("env")
    await hook.work()
    await db.execute("UPDATE webhook_delivery SET retry_until = now() WHERE project_id = $1", hook.shop.project_id)
    await hook.hurry()
    await hook.work()
    assert [delivery.status for delivery in await hook.log()] == ["failed"]
    assert (await hook.now()).enabled


async def test_who_is_gone_gets_nothing_more(hook: Hook) -> None:
    hook.receiver.answers = [saying("410 Gone")]
    await hook.shop.fork("one")
    await hook.shop.fork("two")
    await hook.work()
    assert [delivery.status for delivery in await hook.log()] == ["failed", "pending"]
    assert (await hook.now()).disabled_reason is DisabledReason.GONE
    await hook.hurry()
    await hook.work()
    assert len(hook.receiver.received) == 1
    with pytest.raises(WebhookDisabled):
        await webhooks.test(hook.shop.actor, *hook.key)


async def test_who_was_disabled_gets_what_happens_from_then_on(hook: Hook) -> None:
    await webhooks.update(hook.shop.actor, *hook.key, WebhookChange(enabled=False))
    await hook.shop.fork("meanwhile")
    await hook.work()
    enabled = await webhooks.update(hook.shop.actor, *hook.key, WebhookChange(enabled=True))
    assert (enabled.enabled, enabled.disabled_reason) == (True, None)
    await hook.shop.fork("after")
    await hook.work()
    (request,) = hook.receiver.received
    assert request.value["type"] == "generation.created"


async def test_an_old_secret_is_good_for_a_day(hook: Hook) -> None:
    rotated = await webhooks.rotate_secret(hook.shop.actor, *hook.key)
    assert rotated.secret is not None
    assert rotated.secret != hook.secret
    assert rotated.webhook.old_secret_until is not None
    await hook.shop.fork("one")
    await hook.work()
    assert hook.receiver.received[0].signed_with()(hook.secret)
    assert hook.receiver.received[0].signed_with()(rotated.secret)
    await db.execute("UPDATE webhook SET old_secret_until = now() WHERE project_id = $1", hook.shop.project_id)
    await webhook_sending.forget_old()
    assert (await hook.now()).old_secret_until is None
    await hook.shop.fork("two")
    await hook.work()
    assert not hook.receiver.received[1].signed_with()(hook.secret)
    assert hook.receiver.received[1].signed_with()(rotated.secret)


async def test_a_message_is_sent_again_when_asked(hook: Hook) -> None:
    await hook.shop.fork("one")
    await hook.work()
    (delivery,) = await hook.log()
    again = await webhooks.redeliver(hook.shop.actor, *hook.key, delivery.uuid)
    assert (again.uuid, again.status) == (delivery.uuid, DeliveryStatus.PENDING)
    await hook.work()
    first, second = hook.receiver.received
    assert (first.id, first.body) == (second.id, second.body)
    (delivery,) = await hook.log()
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.DELIVERED, 2)


async def test_a_probe_is_sent(hook: Hook) -> None:
    delivery = await webhooks.test(hook.shop.actor, *hook.key)
    await webhook_sending.send(*hook.key)
    (request,) = hook.receiver.received
    assert (request.id, request.value["type"]) == (delivery.message_id, "webhook.test")
    assert request.signed_with()(hook.secret)


async def test_what_was_promised_and_lost_is_found(hook: Hook) -> None:
    await hook.shop.fork("one")
    await db.execute("DELETE FROM pgqueuer")
    await webhook_sending.find_work()
    assert await _jobs(hook.shop.project_id, "fan_out_events") == 1
    await webhook_sending.fan_out(hook.shop.project_id)
    await db.execute("DELETE FROM pgqueuer")
    await db.execute(
        "UPDATE webhook_delivery SET next_attempt_at = now() - interval '1 minute' WHERE project_id = $1",
        hook.shop.project_id,
    )
    await webhook_sending.find_work()
    assert await _jobs(hook.shop.project_id, "send_to_webhook") == 1
    await webhook_sending.send(*hook.key)
    await db.execute("DELETE FROM pgqueuer")
    await webhook_sending.find_work()
    assert await _jobs(hook.shop.project_id, "send_to_webhook") == 0
    assert await _jobs(hook.shop.project_id, "fan_out_events") == 0


async def test_who_died_while_sending_is_replaced(hook: Hook) -> None:
    await hook.shop.fork("one")
    await webhook_sending.fan_out(hook.shop.project_id)
    async with db.transaction():
        await webhook_deliveries.hold(*hook.key, uuid4())
        await webhook_deliveries.take(*hook.key, uuid4())
    await db.execute("DELETE FROM pgqueuer")
    for _ in range(5):
        await webhook_sending.send(*hook.key)
    assert hook.receiver.received == []
    assert await _jobs(hook.shop.project_id, "send_to_webhook") == 1
    await db.execute("UPDATE webhook SET leased_until = now() WHERE project_id = $1", hook.shop.project_id)
    await webhook_sending.send(*hook.key)
    assert len(hook.receiver.received) == 1


async def test_many_senders_promise_one_more(hook: Hook) -> None:
    hook.receiver.answers = [saying("503 Later")]
    for number in range(5):
        await hook.shop.fork(f"env-{number}")
    await hook.work()
    await db.execute("DELETE FROM pgqueuer WHERE execute_after <= now()")
    for _ in range(5):
        await webhook_sending.send(*hook.key)
    assert await _jobs(hook.shop.project_id, "send_to_webhook") == 1


async def test_a_secret_stands_nowhere_but_sealed(hook: Hook) -> None:
    rotated = await webhooks.rotate_secret(hook.shop.actor, *hook.key)
    await hook.shop.fork("one")
    await hook.work()
    assert rotated.secret is not None
    for secret in (hook.secret, rotated.secret):
        raw = rules.secret_of(secret)
        for table in ("webhook", "webhook_delivery", "event", "audit", "pgqueuer", "idempotency"):
            text = await db.fetchval(f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t")
            assert secret not in text
            assert secret.removeprefix("whsec_") not in text
            assert raw.hex() not in text
    shown = repr(await webhooks.list_webhooks(hook.shop.actor, hook.shop.project_id))
    assert "whsec_" not in shown
    # What follows the ? of a URL belongs to the receiver: the trail does not repeat it.
    assert "receivers-own" not in str(await db.fetchval("SELECT string_agg(audit::text, ' ') FROM audit"))


async def test_a_webhook_has_a_place_among_twenty(shop: Shop, receiver: Receiver) -> None:
    made = await asyncio.gather(*(_hook(shop, receiver) for _ in range(22)), return_exceptions=True)
    assert sum(isinstance(one, TooManyWebhooks) for one in made) == 2


@pytest.mark.parametrize("patterns", [[], ["no.such"], ["rollout"], ["roll*"], ["*.created"], ["x.*"], ["*"] * 51])
async def test_events_that_there_are_not(shop: Shop, receiver: Receiver, patterns: list[str]) -> None:
    with pytest.raises(ValidationFailed):
        await webhooks.create(shop.actor, shop.project_id, receiver.url, patterns)


async def test_an_address_that_is_refused_changes_nothing(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "allowed", Allowed())
    with pytest.raises(AddressRefused):
        await webhooks.update(hook.shop.actor, *hook.key, WebhookChange(url="http://127.0.0.1/"))
    assert (await hook.now()).url == hook.receiver.url
    await hook.shop.fork("one")
    await hook.work()
    assert hook.receiver.connections == 0
    (delivery,) = await hook.log()
    assert "https://" in str(delivery.error)


async def test_a_webhook_is_its_projects_own(hook: Hook, make_actor: MakeActor) -> None:
    other = await make_actor()
    foreign = await projects.create(other, "Other")
    for call in (webhooks.delete, webhooks.rotate_secret, webhooks.test, webhooks.list_deliveries):
        with pytest.raises(WebhookNotFound):
            await call(other, foreign.id, hook.webhook.uuid)
    with pytest.raises(WebhookNotFound):
        await webhooks.update(other, foreign.id, hook.webhook.uuid, WebhookChange(enabled=False))


async def test_a_deleted_webhook_takes_its_log_along(hook: Hook) -> None:
    await hook.shop.fork("one")
    await hook.work()
    await webhooks.delete(hook.shop.actor, *hook.key)
    assert await webhooks.list_webhooks(hook.shop.actor, hook.shop.project_id) == []
    await hook.work()
    with pytest.raises(WebhookNotFound):
        await hook.log()


async def test_the_log_is_read_page_by_page_and_ends_after_a_month(hook: Hook) -> None:
    env = await hook.shop.fork("env")
    for number in range(4):
        await checkpoints.checkpoint(hook.shop.actor, env, f"c{number}")
    await hook.work()
    found: list[Delivery] = []
    cursor = None
    while True:
        page = await webhooks.list_deliveries(hook.shop.actor, *hook.key, limit=2, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert [delivery.version for delivery in found] == [d.version for d in await hook.log()][::-1]
    pending = await webhooks.list_deliveries(hook.shop.actor, *hook.key, status=DeliveryStatus.PENDING)
    assert pending.items == []
    await db.execute(
        "UPDATE webhook_delivery SET created_at = now() - interval '31 days' WHERE uuid = $1", found[0].uuid
    )
    await webhook_sending.forget_old()
    assert len(await hook.log()) == len(found) - 1
