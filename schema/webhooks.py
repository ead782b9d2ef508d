"""Webhooks of a project and what was delivered to them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from app.domain.paging import encode_cursor
from app.domain.webhooks import Delivery, DeliveryStatus, DisabledReason, Webhook
from app.services import webhooks as service
from app.storage import webhook_deliveries
from app.storage.codec import loads
from schema.connections import FIRST, After, Connection, First, connect, size
from schema.context import Info
from schema.describe import field
from schema.nodes import GlobalId, Node
from schema.scalars import JSON, BigInt

OfStatus = Annotated[
    DeliveryStatus | None, strawberry.argument(description="Only deliveries of this status; left out: all.")
]


@strawberry.type(description="One message to a webhook, and how its last attempt went.")
class WebhookDelivery:
    uuid: UUID = strawberry.field(description="UUID of the delivery.")
    message_id: str = strawberry.field(description="The header `webhook-id`: the same at each attempt.")
    type: str = strawberry.field(description="Type of the event; `webhook.test` for a message sent to try it.")
    version: BigInt | None = strawberry.field(description="Version of the event; null for a test.")
    status: DeliveryStatus = strawberry.field(description="Whether it has arrived.")
    attempts: int = strawberry.field(description="How often it was tried.")
    next_attempt_at: datetime | None = strawberry.field(description="When it is tried next; null if it is not.")
    last_attempt_at: datetime | None = strawberry.field(description="When it was last tried; null: not yet.")
    response_code: int | None = strawberry.field(description="Status of the answer; null if there was none.")
    response_text: str | None = strawberry.field(description="How the answer began, up to 1,000 bytes.")
    error: str | None = strawberry.field(description="Why there was no answer; null if there was one.")
    duration_ms: int | None = strawberry.field(description="How long the last attempt took, milliseconds.")
    payload: JSON = strawberry.field(description="The body of the message.")
    created_at: datetime = strawberry.field(description="When the webhook was to be told.")

    @classmethod
    def of(cls, delivery: Delivery) -> "WebhookDelivery":
        return cls(
            uuid=delivery.uuid,
            message_id=delivery.message_id,
            type=delivery.type,
            version=None if delivery.version is None else BigInt(delivery.version),
            status=delivery.status,
            attempts=delivery.attempts,
            next_attempt_at=delivery.next_attempt_at,
            last_attempt_at=delivery.last_attempt_at,
            response_code=delivery.response_code,
            response_text=delivery.response_text,
            error=delivery.error,
            duration_ms=delivery.duration,
            payload=JSON(loads(delivery.body)),
            created_at=delivery.created_at,
        )


@strawberry.type(name="Webhook", description="An address that is told what happens in the project.")
class WebhookNode(Node):
    uuid: UUID = strawberry.field(description="UUID of the webhook.")
    url: str = strawberry.field(description="Where messages are posted to.")
    description: str = strawberry.field(description="What it is for; empty if nobody said.")
    events: list[str] = strawberry.field(description="Types of events that it gets; `rollout.*` is all of a kind.")
    enabled: bool = strawberry.field(description="Whether it gets anything.")
    disabled_reason: DisabledReason | None = strawberry.field(description="Why it is disabled; null if it is not.")
    failing_since: datetime | None = strawberry.field(
        description="Since when nothing arrived; null while the last delivery went well."
    )
    old_secret_until: datetime | None = strawberry.field(
        description="Until when messages are signed with the secret before the present one, too; null for none."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")
    source: strawberry.Private[Webhook]

    @classmethod
    def of(cls, webhook: Webhook) -> "WebhookNode":
        return cls(
            id=GlobalId("Webhook", webhook.project_id, webhook.uuid).encode(),
            uuid=webhook.uuid,
            url=webhook.url,
            description=webhook.description,
            events=list(webhook.events),
            enabled=webhook.enabled,
            disabled_reason=webhook.disabled_reason,
            failing_since=webhook.failing_since,
            old_secret_until=webhook.old_secret_until,
            created_at=webhook.created_at,
            updated_at=webhook.updated_at,
            source=webhook,
        )

    @field
    async def deliveries(
        self, info: Info, status: OfStatus = None, first: First = FIRST, after: After = None
    ) -> Connection[WebhookDelivery]:
        """What was sent to it in the last 30 days, and what is to be sent, the newest first."""
        project_id, uuid = self.source.project_id, self.source.uuid
        page = await service.list_deliveries(
            info.context.actor, project_id, uuid, status=status, limit=size(first), cursor=after
        )

        async def count() -> int | None:
            return await webhook_deliveries.count(project_id, uuid, status)

        return connect(
            page.items,
            after,
            more=page.next_cursor is not None,
            node=WebhookDelivery.of,
            cursor=lambda delivery: encode_cursor(*webhook_deliveries.sort_key(delivery)),
            count=count,
        )
