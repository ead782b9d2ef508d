"""API keys of a project."""

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain.model import Scope
from app.services import api_keys as service
from app.storage.accounts import ApiKey
from schema.context import Info
from schema.describe import mutation
from schema.errors import Forbidden, NotFound, ValidationFailed
from schema.inputs import MutationInput
from schema.nodes import GlobalId, Node


@strawberry.type(
    name="ApiKey", description="A key with which a program speaks for the project. Its secret is not kept."
)
class ApiKeyNode(Node):
    uuid: UUID = strawberry.field(description="UUID of the key.")
    name: str = strawberry.field(description="What it is for.")
    prefix: str = strawberry.field(description="The part of the secret that may be shown, to tell keys apart.")
    scopes: list[Scope] = strawberry.field(description="What it may be used for.")
    created_at: datetime = strawberry.field(description="When it was made.")
    expires_at: datetime | None = strawberry.field(description="When it stops working; null: never.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked; null if it was not.")
    last_used_at: datetime | None = strawberry.field(
        description="When it was last used, to the minute; null if it never was."
    )

    @classmethod
    def of(cls, key: ApiKey) -> "ApiKeyNode":
        return cls(
            id=GlobalId("ApiKey", key.project_id, key.uuid).encode(),
            uuid=key.uuid,
            name=key.name,
            prefix=key.prefix,
            scopes=list(key.scopes),
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
        )


@strawberry.input(description="The key to make.")
class CreateApiKeyInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    name: str = strawberry.field(description="What it is for, 1 to 200 characters.")
    scopes: list[Scope] = strawberry.field(description="What it may be used for; at least one.")
    expires_at: datetime | None = strawberry.field(
        default=None, description="When it is to stop working, within a year; left out: never."
    )


@strawberry.input(description="The key to revoke.")
class RevokeApiKeyInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    key_uuid: UUID = strawberry.field(description="UUID of the key.")


@strawberry.type(description="The key was made.")
class CreateApiKeyPayload:
    api_key: ApiKeyNode = strawberry.field(description="The key.")
    secret: str | None = strawberry.field(
        description="Send it as a bearer token. It is shown now and never again; null in an answer that is repeated"
        " under an idempotency key."
    )


@strawberry.type(description="The key works no more.")
class RevokeApiKeyPayload:
    api_key: ApiKeyNode = strawberry.field(description="The key.")


CreateApiKeyResult: TypeAlias = Annotated[
    CreateApiKeyPayload | ValidationFailed | Forbidden | NotFound,
    strawberry.union("CreateApiKeyResult", description="The key, or why there is none."),
]
RevokeApiKeyResult: TypeAlias = Annotated[
    RevokeApiKeyPayload | Forbidden | NotFound,
    strawberry.union("RevokeApiKeyResult", description="The revoked key, or why it was not revoked."),
]


@strawberry.type
class ApiKeyMutation:
    @mutation
    async def create_api_key(self, info: Info, input: CreateApiKeyInput) -> CreateApiKeyResult:  # noqa: A002
        """Make an API key of a project. For owners and admins, with a user's token."""
        made = await service.create(info.context.actor, input.project_id, input.name, input.scopes, input.expires_at)
        return CreateApiKeyPayload(api_key=ApiKeyNode.of(made.key), secret=made.secret)

    @mutation
    async def revoke_api_key(self, info: Info, input: RevokeApiKeyInput) -> RevokeApiKeyResult:  # noqa: A002
        """Revoke an API key for good: it is refused everywhere within a second. Revoking again does nothing."""
        key = await service.revoke(info.context.actor, input.project_id, input.key_uuid)
        return RevokeApiKeyPayload(api_key=ApiKeyNode.of(key))
