"""What workers do for webhooks: hand events to them, send messages, and see to it that nothing is forgotten.

The database says at each moment what is still to be done: events after a webhook's cursor, and pending deliveries.
A job that ran twice, or died, changes nothing about that.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

from app.domain import webhooks as rules
from app.domain.audit import Action
from app.domain.events import Event, EventType
from app.domain.jobs import JobKind
from app.domain.webhooks import Delivery, DisabledReason, Outcome, Webhook
from app.services import calls, egress, jobs, recording
from app.services.publishing import publish
from app.storage import changes, db, events, webhook_deliveries, webhooks
from app.storage.codec import dumps

PAGE: Final = 200
SENDING_SECONDS: Final = 20.0


async def find_work() -> None:
    """Promise whatever is to be done for webhooks and was not promised, or not done in time."""
    for project_id in await webhooks.with_news():
        await jobs.enqueue_missing(JobKind.FAN_OUT_EVENTS, project_id=project_id)
    for project_id, webhook_uuid in await webhooks.overdue():
        await jobs.enqueue_missing(JobKind.SEND_TO_WEBHOOK, project_id=project_id, webhook_uuid=webhook_uuid)


async def on_news(project_ids: Sequence[int]) -> None:
    """Promise the fan-out of projects in which documents were written, where a webhook wants to know."""
    for project_id in await webhooks.with_news(project_ids):
        async with db.transaction():
            await jobs.enqueue(JobKind.FAN_OUT_EVENTS, project_id=project_id)


async def fan_out(project_id: int) -> None:
    """Hand a project's new events to its webhooks: one delivery for each webhook and event that it wants."""
    while await _fan_out_page(project_id):
        pass


@db.atomic()
async def _fan_out_page(project_id: int) -> bool:
    more = False
    for webhook in await webhooks.lock_enabled(project_id):
        # Read first: what has committed up to there is seen by the page, and nothing below it comes later.
        newest = await changes.current_version(project_id)
        found = await _events_after(webhook)
        full = len(found) == PAGE
        wanted = [event for event in found if rules.wants(webhook.events, event.type)]
        if wanted:
            await webhook_deliveries.add(project_id, webhook.uuid, [_message(event) for event in wanted])
            await jobs.enqueue(JobKind.SEND_TO_WEBHOOK, project_id=project_id, webhook_uuid=webhook.uuid)
        await webhooks.advance(project_id, webhook.uuid, found[-1].version if full else newest)
        more = more or full
    return more


async def _events_after(webhook: Webhook) -> list[Event]:
    read = events.page if rules.wants_documents(webhook.events) else events.published
    return await read(webhook.project_id, webhook.cursor, PAGE)


def _message(event: Event) -> tuple[str, int, str, str]:
    return rules.message_id(event), event.version, event.type.value, dumps(rules.message(event))


async def send(project_id: int, webhook_uuid: UUID) -> None:
    """Send what is due to a webhook, one message after the other, unless somebody else is doing it."""
    lease, deadline = uuid4(), time.monotonic() + SENDING_SECONDS
    while time.monotonic() < deadline:
        taken = await _taken(project_id, webhook_uuid, lease)
        if taken is None:
            break
        delivery, url, secrets = taken
        body = delivery.body.encode()
        headers = rules.headers(secrets, delivery.message_id, body, datetime.now(UTC))
        await _settle(delivery, await egress.post(url, headers, body))
    await _promise_next(project_id, webhook_uuid, lease)


@db.atomic()
async def _taken(project_id: int, webhook_uuid: UUID, lease: UUID) -> tuple[Delivery, str, tuple[bytes, ...]] | None:
    held = await webhook_deliveries.hold(project_id, webhook_uuid, lease)
    if held is None or held.busy_until is not None or held.paused:
        return None
    delivery = await webhook_deliveries.take(project_id, webhook_uuid, lease)
    return (delivery, held.url, held.secrets) if delivery else None


@db.atomic()
async def _settle(delivery: Delivery, outcome: Outcome) -> None:
    project_id, webhook_uuid = delivery.project_id, delivery.webhook_uuid
    webhook = await webhooks.lock(project_id, webhook_uuid)
    if webhook is None:
        return
    status = await webhook_deliveries.settle(delivery, outcome, rules.delay_after(delivery.attempts + 1))
    if outcome.delivered:
        await webhook_deliveries.note_success(project_id, webhook_uuid)
        return
    failures, long = await webhook_deliveries.note_failure(project_id, webhook_uuid)
    if outcome.gone:
        await _disable(webhook, DisabledReason.GONE)
    elif status is rules.DeliveryStatus.FAILED and long:
        await _disable(webhook, DisabledReason.FAILING)
    elif outcome.down:
        await webhook_deliveries.pause(project_id, webhook_uuid, rules.pause_after(failures))


async def _disable(webhook: Webhook, reason: DisabledReason) -> None:
    disabled = await webhooks.disable(webhook.project_id, webhook.uuid, reason)
    if disabled is None:
        return
    with calls.begun(calls.Call(Action.UPDATE_WEBHOOK, None, webhook.project_id)):
        data = {"change": "disabled", "reason": reason.value}
        await publish(webhook.project_id, EventType.WEBHOOK_CHANGED, subject=webhook.uuid, data=data)
        change = (rules.webhook_facts(webhook), rules.webhook_facts(disabled))
        await recording.record(webhook.project_id, rules.webhook_object(webhook), change=change)


@db.atomic()
async def _promise_next(project_id: int, webhook_uuid: UUID, lease: UUID) -> None:
    held = await webhook_deliveries.hold(project_id, webhook_uuid, lease)
    if held is None:
        return
    if held.busy_until is not None:
        # Should the other sender be dead, somebody has to go on where it stopped.
        await _promise_send(project_id, webhook_uuid, held.busy_until)
        return
    following = await webhook_deliveries.release(project_id, webhook_uuid, lease)
    if following is not None:
        moment, due = following
        await _promise_send(project_id, webhook_uuid, None if due else moment)


async def _promise_send(project_id: int, webhook_uuid: UUID, at: datetime | None) -> None:
    if at is None or await webhook_deliveries.wake_at(project_id, webhook_uuid, at):
        await jobs.enqueue(JobKind.SEND_TO_WEBHOOK, at=at, project_id=project_id, webhook_uuid=webhook_uuid)


async def forget_old() -> None:
    """Remove the log of old deliveries, and secrets that are good no more."""
    await webhooks.forget_old_secrets()
    await webhook_deliveries.forget_old()
