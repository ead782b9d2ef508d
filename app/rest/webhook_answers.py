"""Bodies and answers about webhooks and what was delivered to them."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import UNSET, UnsetType

from app.domain.webhooks import Delivery, DeliveryStatus, DisabledReason, Webhook
from app.rest.answers import Answer
from app.rest.body import Body
from app.services.webhooks import WithSecret
from app.storage.codec import loads

_NOT_REPEATED: Final = "The secret was shown in the first answer and is not shown again. If it was lost, rotate it."


class NewWebhook(Body):
    """``events``: types of events, all of a kind as ``rollout.*``, or all as ``*``; left out: the lifecycle."""

    url: str
    events: list[str] | None = None
    description: str = ""


class WebhookSettings(Body):
    """What to change of a webhook; members left out stay as they are."""

    url: str | UnsetType = UNSET
    events: list[str] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookAnswer(Answer):
    """``failing_since`` is null while the last delivery went well; a webhook that fails for three days is disabled.

    ``old_secret_until`` is until when messages are signed with the secret before the present one, too.
    """

    uuid: UUID
    project_id: int
    url: str
    description: str
    events: list[str]
    enabled: bool
    disabled_reason: DisabledReason | None
    failing_since: datetime | None
    old_secret_until: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, webhook: Webhook) -> "WebhookAnswer":
        """Return the answer for a webhook, without its secret."""
        return cls(**_fields(webhook))


class WebhookWithSecret(WebhookAnswer):
    """``secret`` is shown once: null in an answer that is repeated, and ``notice`` says so."""

    secret: str | None
    notice: str | None

    @classmethod
    def showing(cls, made: WithSecret) -> "WebhookWithSecret":
        """Return the answer for a webhook with a new secret, where it is not a repeated one."""
        notice = _NOT_REPEATED if made.secret is None else None
        return cls(secret=made.secret, notice=notice, **_fields(made.webhook))


def _fields(webhook: Webhook) -> dict[str, Any]:
    return {
        "uuid": webhook.uuid,
        "project_id": webhook.project_id,
        "url": webhook.url,
        "description": webhook.description,
        "events": list(webhook.events),
        "enabled": webhook.enabled,
        "disabled_reason": webhook.disabled_reason,
        "failing_since": webhook.failing_since,
        "old_secret_until": webhook.old_secret_until,
        "created_at": webhook.created_at,
        "updated_at": webhook.updated_at,
    }


class Webhooks(Answer):
    webhooks: list[WebhookAnswer]


class DeliveryAnswer(Answer):
    """One message and its last attempt. ``message_id`` is its ``webhook-id``, ``payload`` its body.

    ``error`` says why there was no answer; ``duration_ms`` is how long the attempt took, ``response_text`` how the
    answer began.
    """

    uuid: UUID
    webhook_uuid: UUID
    message_id: str
    type: str
    version: int | None
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    response_code: int | None
    response_text: str | None
    error: str | None
    duration_ms: int | None
    payload: Any
    created_at: datetime

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryAnswer":
        """Return the answer for a delivery."""
        return cls(
            uuid=delivery.uuid,
            webhook_uuid=delivery.webhook_uuid,
            message_id=delivery.message_id,
            type=delivery.type,
            version=delivery.version,
            status=delivery.status,
            attempts=delivery.attempts,
            next_attempt_at=delivery.next_attempt_at,
            last_attempt_at=delivery.last_attempt_at,
            response_code=delivery.response_code,
            response_text=delivery.response_text,
            error=delivery.error,
            duration_ms=delivery.duration,
            payload=loads(delivery.body),
            created_at=delivery.created_at,
        )


class Deliveries(Answer):
    deliveries: list[DeliveryAnswer]
    next_cursor: str | None
