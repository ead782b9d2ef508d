"""Telling whoever follows a project about an environment, by hand."""

from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.services import notifying
from schema.context import Info
from schema.describe import mutation
from schema.environments import EnvironmentNode
from schema.errors import Forbidden, InvalidTransition, NotFound, ValidationFailed
from schema.inputs import MutationInput


@strawberry.input(description="What to tell, about which environment.")
class NotifyEnvironmentInput(MutationInput):
    env_uuid: UUID = strawberry.field(description="The environment.")
    message: str | None = strawberry.field(default=None, description="What to say, at most 2,000 characters.")


@strawberry.type(description="Whoever follows the project is told.")
class NotifyEnvironmentPayload:
    environment: EnvironmentNode = strawberry.field(description="The environment.")


NotifyEnvironmentResult: TypeAlias = Annotated[
    NotifyEnvironmentPayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("NotifyEnvironmentResult", description="The environment, or why nobody was told."),
]


@strawberry.type
class NotifyingMutation:
    @mutation
    async def notify_environment(
        self,
        info: Info,
        input: NotifyEnvironmentInput,  # noqa: A002
    ) -> NotifyEnvironmentResult:
        """Tell subscribers and webhooks about an environment: the event `generation.notify_manual`."""
        told = await notifying.notify(info.context.actor, input.env_uuid, input.message)
        return NotifyEnvironmentPayload(environment=EnvironmentNode.of(told))
