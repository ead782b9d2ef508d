"""Making and changing webhooks, and sending to them again."""

from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain.values import MISSING
from app.services import webhooks as service
from app.services.webhooks import WebhookChange
from schema.context import Info
from schema.describe import mutation
from schema.errors import Forbidden, InvalidTransition, NotFound, ValidationFailed
from schema.inputs import MutationInput
from schema.webhooks import WebhookDelivery, WebhookNode

_EVENTS = "Types of events, all of a kind as `rollout.*`, or all as `*`"


@strawberry.input(description="The webhook to make.")
class CreateWebhookInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    url: str = strawberry.field(description="Where to post to: https, on the public internet.")
    events: list[str] | None = strawberry.field(default=None, description=f"{_EVENTS}; left out: the lifecycle.")
    description: str = strawberry.field(default="", description="What it is for, up to 200 characters.")


@strawberry.input(description="What to change of a webhook; members of the input left out stay as they are.")
class UpdateWebhookInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    webhook_uuid: UUID = strawberry.field(description="UUID of the webhook.")
    url: strawberry.Maybe[str] = strawberry.field(default=None, description="Where to post to.")
    events: strawberry.Maybe[list[str]] = strawberry.field(default=None, description=f"{_EVENTS}.")
    description: strawberry.Maybe[str] = strawberry.field(default=None, description="What it is for.")
    enabled: strawberry.Maybe[bool] = strawberry.field(
        default=None, description="Whether it gets anything; enabled again, it gets what happens from then on."
    )


@strawberry.input(description="The webhook to delete.")
class DeleteWebhookInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    webhook_uuid: UUID = strawberry.field(description="UUID of the webhook.")


@strawberry.input(description="The webhook that is to have a new secret.")
class RotateWebhookSecretInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    webhook_uuid: UUID = strawberry.field(description="UUID of the webhook.")


@strawberry.input(description="The webhook to try.")
class TestWebhookInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    webhook_uuid: UUID = strawberry.field(description="UUID of the webhook.")


@strawberry.input(description="The message to send once more.")
class RedeliverWebhookInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    webhook_uuid: UUID = strawberry.field(description="UUID of the webhook.")
    delivery_uuid: UUID = strawberry.field(description="UUID of the delivery.")


_SHOWN_ONCE = (
    "What messages are signed with. It is shown now and never again; null in an answer that is repeated under an"
    " idempotency key."
)


@strawberry.type(description="The webhook was made.")
class CreateWebhookPayload:
    webhook: WebhookNode = strawberry.field(description="The webhook.")
    secret: str | None = strawberry.field(description=_SHOWN_ONCE)


@strawberry.type(description="The webhook was changed.")
class UpdateWebhookPayload:
    webhook: WebhookNode = strawberry.field(description="The webhook as it is now.")


@strawberry.type(description="The webhook is gone, with the log of its deliveries.")
class DeleteWebhookPayload:
    webhook_uuid: UUID = strawberry.field(description="UUID of the webhook that was.")


@strawberry.type(description="The webhook has a new secret; for 24 hours messages are signed with the old one, too.")
class RotateWebhookSecretPayload:
    webhook: WebhookNode = strawberry.field(description="The webhook.")
    secret: str | None = strawberry.field(description=_SHOWN_ONCE)


@strawberry.type(description="A message of the type `webhook.test` is on its way.")
class TestWebhookPayload:
    delivery: WebhookDelivery = strawberry.field(description="The message.")


@strawberry.type(description="The message is on its way once more.")
class RedeliverWebhookPayload:
    delivery: WebhookDelivery = strawberry.field(description="The message.")


CreateWebhookResult: TypeAlias = Annotated[
    CreateWebhookPayload | ValidationFailed | InvalidTransition | Forbidden | NotFound,
    strawberry.union("CreateWebhookResult", description="The webhook, or why there is none."),
]
UpdateWebhookResult: TypeAlias = Annotated[
    UpdateWebhookPayload | ValidationFailed | Forbidden | NotFound,
    strawberry.union("UpdateWebhookResult", description="The webhook, or why it was not changed."),
]
DeleteWebhookResult: TypeAlias = Annotated[
    DeleteWebhookPayload | Forbidden | NotFound,
    strawberry.union("DeleteWebhookResult", description="What was deleted, or why it was not."),
]
RotateWebhookSecretResult: TypeAlias = Annotated[
    RotateWebhookSecretPayload | Forbidden | NotFound,
    strawberry.union("RotateWebhookSecretResult", description="The new secret, or why there is none."),
]
TestWebhookResult: TypeAlias = Annotated[
    TestWebhookPayload | InvalidTransition | Forbidden | NotFound,
    strawberry.union("TestWebhookResult", description="The message, or why none was sent."),
]
RedeliverWebhookResult: TypeAlias = Annotated[
    RedeliverWebhookPayload | InvalidTransition | Forbidden | NotFound,
    strawberry.union("RedeliverWebhookResult", description="The message, or why it was not sent."),
]


@strawberry.type
class WebhookMutation:
    @mutation
    async def create_webhook(self, info: Info, input: CreateWebhookInput) -> CreateWebhookResult:  # noqa: A002
        """Make a webhook, which gets what happens from now on. For owners and admins.

        Messages are those of Standard Webhooks: signed, at least once, tried for three days.
        """
        made = await service.create(info.context.actor, input.project_id, input.url, input.events, input.description)
        return CreateWebhookPayload(webhook=WebhookNode.of(made.webhook), secret=made.secret)

    @mutation
    async def update_webhook(self, info: Info, input: UpdateWebhookInput) -> UpdateWebhookResult:  # noqa: A002
        """Change a webhook, disable it, or enable it again."""
        wanted = WebhookChange(
            url=MISSING if input.url is None else input.url.value,
            description=MISSING if input.description is None else input.description.value,
            events=MISSING if input.events is None else input.events.value,
            enabled=MISSING if input.enabled is None else input.enabled.value,
        )
        changed = await service.update(info.context.actor, input.project_id, input.webhook_uuid, wanted)
        return UpdateWebhookPayload(webhook=WebhookNode.of(changed))

    @mutation
    async def delete_webhook(self, info: Info, input: DeleteWebhookInput) -> DeleteWebhookResult:  # noqa: A002
        """Delete a webhook with the log of its deliveries."""
        deleted = await service.delete(info.context.actor, input.project_id, input.webhook_uuid)
        return DeleteWebhookPayload(webhook_uuid=deleted.uuid)

    @mutation
    async def rotate_webhook_secret(
        self,
        info: Info,
        input: RotateWebhookSecretInput,  # noqa: A002
    ) -> RotateWebhookSecretResult:
        """Give a webhook a new secret."""
        made = await service.rotate_secret(info.context.actor, input.project_id, input.webhook_uuid)
        return RotateWebhookSecretPayload(webhook=WebhookNode.of(made.webhook), secret=made.secret)

    @mutation
    async def test_webhook(self, info: Info, input: TestWebhookInput) -> TestWebhookResult:  # noqa: A002
        """Send a message that means nothing, to see whether it arrives; `deliveries` tell."""
        delivery = await service.test(info.context.actor, input.project_id, input.webhook_uuid)
        return TestWebhookPayload(delivery=WebhookDelivery.of(delivery))

    @mutation
    async def redeliver_webhook(self, info: Info, input: RedeliverWebhookInput) -> RedeliverWebhookResult:  # noqa: A002
        """Send a message once more: the same id and body, signed anew."""
        delivery = await service.redeliver(
            info.context.actor, input.project_id, input.webhook_uuid, input.delivery_uuid
        )
        return RedeliverWebhookPayload(delivery=WebhookDelivery.of(delivery))
