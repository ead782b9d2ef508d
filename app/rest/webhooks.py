"""``/api/projects/{id}/webhooks``: telling others what happens in a project."""

from typing import Annotated
from uuid import UUID

from litestar import Router, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET

from app.domain.values import MISSING
from app.domain.webhooks import DeliveryStatus
from app.rest.parameters import Caller, Cursor, Limit, ProjectId
from app.rest.webhook_answers import (
    Deliveries,
    DeliveryAnswer,
    NewWebhook,
    WebhookAnswer,
    Webhooks,
    WebhookSettings,
    WebhookWithSecret,
)
from app.services import webhooks
from app.services.webhooks import WebhookChange

Status = Annotated[DeliveryStatus | None, QueryParameter(description="Only deliveries of this status.")]


@get("/")
async def list_webhooks(project_id: ProjectId, actor: Caller) -> Webhooks:
    """List the project's webhooks, the oldest first.

    For owners and admins; API keys need the scope `admin`.
    """
    return Webhooks(webhooks=[WebhookAnswer.of(item) for item in await webhooks.list_webhooks(actor, project_id)])


@post("/", status_code=201)
async def create_webhook(project_id: ProjectId, data: JSONBody[NewWebhook], actor: Caller) -> WebhookWithSecret:
    """Make a webhook, which gets what happens from now on; the answer shows its secret once.

    Messages are those of Standard Webhooks: `webhook-id`, the same for each attempt; `webhook-timestamp`; and
    `webhook-signature`, `v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`, with what follows `whsec_` of the
    secret, read as base64, for a key. An answer 2xx within ten seconds is a success; everything else is tried again,
    ever more slowly, for three days. Messages can come more than once. The URL is https, on the public internet.
    """
    made = await webhooks.create(actor, project_id, data.url, data.events, data.description)
    return WebhookWithSecret.showing(made)


@patch("/{webhook_uuid:str}")
async def update_webhook(
    project_id: ProjectId, webhook_uuid: FromPath[UUID], data: JSONBody[WebhookSettings], actor: Caller
) -> WebhookAnswer:
    """Change a webhook, disable it, or enable it again: then it gets what happens from then on."""
    wanted = WebhookChange(
        url=MISSING if data.url is UNSET else data.url,
        description=MISSING if data.description is UNSET else data.description,
        events=MISSING if data.events is UNSET else data.events,
        enabled=MISSING if data.enabled is UNSET else data.enabled,
    )
    return WebhookAnswer.of(await webhooks.update(actor, project_id, webhook_uuid, wanted))


@delete("/{webhook_uuid:str}", status_code=200)
async def delete_webhook(project_id: ProjectId, webhook_uuid: FromPath[UUID], actor: Caller) -> WebhookAnswer:
    """Delete a webhook with the log of its deliveries."""
    return WebhookAnswer.of(await webhooks.delete(actor, project_id, webhook_uuid))


@post("/{webhook_uuid:str}/rotate-secret", status_code=200)
async def rotate_webhook_secret(
    project_id: ProjectId, webhook_uuid: FromPath[UUID], actor: Caller
) -> WebhookWithSecret:
    """Give a webhook a new secret, shown once.

    For 24 hours messages carry two signatures, the second one with the secret before.
    """
    return WebhookWithSecret.showing(await webhooks.rotate_secret(actor, project_id, webhook_uuid))


@post("/{webhook_uuid:str}/test", status_code=202)
async def test_webhook(project_id: ProjectId, webhook_uuid: FromPath[UUID], actor: Caller) -> DeliveryAnswer:
    """Send a message of the type `webhook.test`, to see whether it arrives; the deliveries tell."""
    return DeliveryAnswer.of(await webhooks.test(actor, project_id, webhook_uuid))


@get("/{webhook_uuid:str}/deliveries")
async def list_webhook_deliveries(
    project_id: ProjectId,
    webhook_uuid: FromPath[UUID],
    actor: Caller,
    status: Status = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Deliveries:
    """List what was sent to a webhook in the last 30 days, and what is to be sent, the newest first."""
    page = await webhooks.list_deliveries(actor, project_id, webhook_uuid, status=status, limit=limit, cursor=cursor)
    return Deliveries(deliveries=[DeliveryAnswer.of(item) for item in page.items], next_cursor=page.next_cursor)


@post("/{webhook_uuid:str}/deliveries/{delivery_uuid:str}/redeliver", status_code=202)
async def redeliver_webhook(
    project_id: ProjectId, webhook_uuid: FromPath[UUID], delivery_uuid: FromPath[UUID], actor: Caller
) -> DeliveryAnswer:
    """Send a message once more: the same id and body, signed anew, and tried as long as a new one."""
    return DeliveryAnswer.of(await webhooks.redeliver(actor, project_id, webhook_uuid, delivery_uuid))


def webhook_routes() -> Router:
    """Return the routes of webhooks."""
    return Router(
        "/api/projects/{project_id:str}/webhooks",
        route_handlers=[
            list_webhooks,
            create_webhook,
            update_webhook,
            delete_webhook,
            rotate_webhook_secret,
            test_webhook,
            list_webhook_deliveries,
            redeliver_webhook,
        ],
        tags=["Webhooks"],
    )
