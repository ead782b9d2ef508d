"""Webhooks of a project: made, changed, tried, and what was delivered to them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

from app.domain import webhooks as rules
from app.domain.audit import Action
from app.domain.errors import BadRequest, DeliveryNotFound, TooManyWebhooks, WebhookDisabled, WebhookNotFound
from app.domain.events import EventType
from app.domain.jobs import JobKind
from app.domain.model import Actor
from app.domain.names import check_label
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.policy import Operation
from app.domain.values import MISSING, Missing, State
from app.domain.webhooks import Delivery, DeliveryStatus, DisabledReason, Webhook
from app.services import access, egress, jobs, recording
from app.services.operation import operation
from app.services.publishing import publish
from app.storage import db, typed, webhook_deliveries, webhooks
from app.storage.codec import dumps

_LAST_MICROSECOND: Final = 200_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class WithSecret:
    """A webhook with its new secret, shown now or never: None where the answer is repeated (§11.28)."""

    webhook: Webhook
    secret: str | None = field(metadata={typed.WITHHELD: True})


@dataclass(frozen=True, slots=True)
class WebhookChange:
    """What to change; MISSING leaves a member as it is."""

    url: str | Missing = MISSING
    description: str | Missing = MISSING
    events: Sequence[str] | Missing = MISSING
    enabled: bool | Missing = MISSING


@operation(Action.LIST_WEBHOOKS, once=False)
async def list_webhooks(actor: Actor, project_id: int) -> list[Webhook]:
    """Return the project's webhooks, the oldest first. Raises Forbidden, ProjectNotFound."""
    await access.authorize(actor, project_id, Operation.MANAGE_WEBHOOKS)
    return await webhooks.list_all(project_id)


@operation(Action.CREATE_WEBHOOK)
async def create(
    actor: Actor, project_id: int, url: str, events: Sequence[str] | None = None, description: str = ""
) -> WithSecret:
    """Make a webhook that gets the events from now on; None are those of the lifecycle.

    Raises AddressRefused, ValidationFailed, TooManyWebhooks, Forbidden, ProjectNotFound.
    """
    await access.authorize(actor, project_id, Operation.MANAGE_WEBHOOKS)
    wanted = rules.check_events(rules.LIFECYCLE if events is None else events)
    description = _checked_description(description)
    await egress.check(url)
    secret = secrets.token_bytes(rules.SECRET_BYTES)
    return WithSecret(await _add(project_id, url, wanted, description, secret), rules.shown_secret(secret))


def _checked_description(text: str) -> str:
    return check_label(text, "description") if text else ""


@db.atomic()
async def _add(project_id: int, url: str, events: tuple[str, ...], description: str, secret: bytes) -> Webhook:
    uuid = uuid4()
    version = await _announce(project_id, uuid, "created")
    # Counted while the project's counter is locked, so that two cannot both take the last place.
    if len(await webhooks.list_all(project_id)) >= rules.MAX_WEBHOOKS:
        raise TooManyWebhooks(rules.MAX_WEBHOOKS)
    webhook = await webhooks.add(
        project_id,
        uuid,
        url=url,
        description=description,
        events=events,
        secret=webhooks.seal(project_id, uuid, secret),
        cursor=version,
    )
    await _record(webhook, MISSING, rules.webhook_facts(webhook))
    return webhook


async def _announce(project_id: int, webhook_uuid: UUID, change: str) -> int:
    return await publish(project_id, EventType.WEBHOOK_CHANGED, subject=webhook_uuid, data={"change": change})


async def _record(webhook: Webhook, before: State, after: State) -> None:
    await recording.record(webhook.project_id, rules.webhook_object(webhook), change=(before, after))


@operation(Action.UPDATE_WEBHOOK)
async def update(actor: Actor, project_id: int, webhook_uuid: UUID, wanted: WebhookChange) -> Webhook:
    """Change a webhook. One that is enabled again gets what happens from then on.

    Raises WebhookNotFound, AddressRefused, ValidationFailed, Forbidden, ProjectNotFound.
    """
    await access.authorize(actor, project_id, Operation.MANAGE_WEBHOOKS)
    if wanted.url is not MISSING:
        await egress.check(wanted.url)
    return await _update(project_id, webhook_uuid, wanted)


@db.atomic()
async def _update(project_id: int, webhook_uuid: UUID, wanted: WebhookChange) -> Webhook:
    before = await _locked(project_id, webhook_uuid)
    changed = _changed(before, wanted)
    if changed == before:
        return before
    version = await _announce(project_id, webhook_uuid, "updated")
    if changed.enabled and not before.enabled:
        changed = replace(changed, cursor=version)
    saved = await webhooks.save(changed)
    if saved.enabled and not before.enabled:
        await jobs.enqueue(JobKind.SEND_TO_WEBHOOK, project_id=project_id, webhook_uuid=webhook_uuid)
    await _record(saved, rules.webhook_facts(before), rules.webhook_facts(saved))
    return saved


def _changed(webhook: Webhook, wanted: WebhookChange) -> Webhook:
    if wanted.url is not MISSING and wanted.url != webhook.url:
        webhook = replace(webhook, url=wanted.url, failing_since=None)
    if wanted.description is not MISSING:
        webhook = replace(webhook, description=_checked_description(wanted.description))
    if wanted.events is not MISSING:
        webhook = replace(webhook, events=rules.check_events(wanted.events))
    if wanted.enabled is not MISSING and wanted.enabled != webhook.enabled:
        reason = None if wanted.enabled else DisabledReason.BY_MEMBER
        since = None if wanted.enabled else webhook.failing_since
        webhook = replace(webhook, enabled=wanted.enabled, disabled_reason=reason, failing_since=since)
    return webhook


async def _locked(project_id: int, webhook_uuid: UUID) -> Webhook:
    webhook = await webhooks.lock(project_id, webhook_uuid)
    if webhook is None:
        raise WebhookNotFound
    return webhook


@operation(Action.DELETE_WEBHOOK)
async def delete(actor: Actor, project_id: int, webhook_uuid: UUID) -> Webhook:
    """Delete a webhook with the log of its deliveries. Raises WebhookNotFound, Forbidden, ProjectNotFound."""
    await access.authorize(actor, project_id, Operation.MANAGE_WEBHOOKS)
    return await _delete(project_id, webhook_uuid)


@db.atomic(statement_timeout="1min")
async def _delete(project_id: int, webhook_uuid: UUID) -> Webhook:
    webhook = await _locked(project_id, webhook_uuid)
    await webhooks.remove(project_id, webhook_uuid)
    await _announce(project_id, webhook_uuid, "deleted")
    await _record(webhook, rules.webhook_facts(webhook), MISSING)
    return webhook


@operation(Action.ROTATE_WEBHOOK_SECRET)
async def rotate_secret(actor: Actor, project_id: int, webhook_uuid: UUID) -> WithSecret:
    """Give a webhook a new secret; for 24 hours messages are signed with the one before, too.

    Raises WebhookNotFound, Forbidden, ProjectNotFound.
    """
    await access.authorize(actor, project_id, Operation.MANAGE_WEBHOOKS)
    secret = secrets.token_bytes(rules.SECRET_BYTES)
    return WithSecret(await _rotate(project_id, webhook_uuid, secret), rules.shown_secret(secret))


@db.atomic()
async def _rotate(project_id: int, webhook_uuid: UUID, secret: bytes) -> Webhook:
    before = await _locked(project_id, webhook_uuid)
    rotated = await webhooks.rotate(project_id, webhook_uuid, webhooks.seal(project_id, webhook_uuid, secret))
    await _announce(project_id, webhook_uuid, "secret_rotated")
    until = {"old_secret_until": rotated.old_secret_until.isoformat() if rotated.old_secret_until else None}
    await _record(rotated, rules.webhook_facts(before), {**rules.webhook_facts(rotated), **until})
    return rotated


@operation(Action.LIST_WEBHOOKS, once=False)
async def list_deliveries(
    actor: Actor,
    project_id: int,
    webhook_uuid: UUID,
    *,
    status: DeliveryStatus | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Delivery]:
    """Return what was sent to a webhook in the last 30 days, and what is to be sent, the newest first.

    Raises WebhookNotFound, Forbidden, ProjectNotFound.
    """
    await access.authorize(actor, project_id, Operation.MANAGE_WEBHOOKS)
    check_limit(limit)
    if await webhooks.get(project_id, webhook_uuid) is None:
        raise WebhookNotFound
    before = _position(cursor) if cursor else None
    found = await webhook_deliveries.list_page(project_id, webhook_uuid, status, limit + 1, before)
    more = len(found) > limit
    return Page(found[:limit], encode_cursor(*webhook_deliveries.sort_key(found[limit - 1])) if more else None)


def _position(cursor: str) -> tuple[int, UUID]:
    moment, uuid = decode_cursor(cursor, int, str)
    found = access.as_uuid(str(uuid))
    if found is None or int(moment) > _LAST_MICROSECOND:
        raise BadRequest("The cursor is none of ours; start again without one.")
    return int(moment), found


@operation(Action.REDELIVER_WEBHOOK)
async def redeliver(actor: Actor, project_id: int, webhook_uuid: UUID, delivery_uuid: UUID) -> Delivery:
    """Send a message once more: the same id and body, signed anew.

    Raises WebhookNotFound, DeliveryNotFound, WebhookDisabled, Forbidden, ProjectNotFound.
    """
    await access.authorize(actor, project_id, Operation.MANAGE_WEBHOOKS)
    return await _redeliver(project_id, webhook_uuid, delivery_uuid)


@db.atomic()
async def _redeliver(project_id: int, webhook_uuid: UUID, delivery_uuid: UUID) -> Delivery:
    webhook = await _locked_enabled(project_id, webhook_uuid)
    delivery = await webhook_deliveries.get(project_id, webhook_uuid, delivery_uuid)
    again = await webhook_deliveries.again(delivery) if delivery else None
    if again is None:
        raise DeliveryNotFound
    await _promise_and_record(webhook, again)
    return again


@operation(Action.TEST_WEBHOOK)
async def test(actor: Actor, project_id: int, webhook_uuid: UUID) -> Delivery:
    """Send a message that means nothing, to see whether it arrives.

    Raises WebhookNotFound, WebhookDisabled, Forbidden, ProjectNotFound.
    """
    await access.authorize(actor, project_id, Operation.MANAGE_WEBHOOKS)
    return await _test(actor, project_id, webhook_uuid)


@db.atomic()
async def _test(actor: Actor, project_id: int, webhook_uuid: UUID) -> Delivery:
    webhook = await _locked_enabled(project_id, webhook_uuid)
    body = dumps(rules.probe(project_id, webhook_uuid, datetime.now(UTC), actor.name))
    message = (f"test_{uuid4()}", None, rules.PROBE, body)
    (delivery,) = await webhook_deliveries.add(project_id, webhook_uuid, [message])
    await _promise_and_record(webhook, delivery)
    return delivery


async def _locked_enabled(project_id: int, webhook_uuid: UUID) -> Webhook:
    webhook = await _locked(project_id, webhook_uuid)
    if not webhook.enabled:
        raise WebhookDisabled
    return webhook


async def _promise_and_record(webhook: Webhook, delivery: Delivery) -> None:
    await jobs.enqueue(JobKind.SEND_TO_WEBHOOK, project_id=webhook.project_id, webhook_uuid=webhook.uuid)
    facts: State = {"delivery_uuid": str(delivery.uuid), "message_id": delivery.message_id}
    await _record(webhook, MISSING, facts)
