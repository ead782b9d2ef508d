"""Comparing with protected values."""

from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain.model import PROJECT_KIND
from app.services import protected as service
from schema.context import Info
from schema.describe import mutation
from schema.errors import Forbidden, InvalidTransition, NotFound, ValidationFailed
from schema.inputs import MutationInput
from schema.scalars import JSON, JSONPointer, given


@strawberry.input(description="A value, and the protected place to compare it with.")
class CheckProtectedFieldInput(MutationInput):
    project_id: int | None = strawberry.field(
        default=None, description="Number of the project; may be left out, for the environment says it."
    )
    env_uuid: UUID = strawberry.field(description="UUID of the environment.")
    kind: str = strawberry.field(default=PROJECT_KIND, description="Kind of the document.")
    key: str | None = strawberry.field(
        default=None, description="Key of the document; only `project` may leave it out."
    )
    path: JSONPointer = strawberry.field(description="The protected place.")
    value: JSON = strawberry.field(description="The value to compare with.")


@strawberry.type(description="The comparison; what is not there is answered as a wrong value.")
class CheckProtectedFieldPayload:
    match: bool = strawberry.field(description="Whether the value is the protected one.")


CheckProtectedFieldResult: TypeAlias = Annotated[
    CheckProtectedFieldPayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("CheckProtectedFieldResult", description="The comparison, or why there is none."),
]


@strawberry.type
class ProtectedMutation:
    @mutation
    async def check_protected_field(
        self,
        info: Info,
        input: CheckProtectedFieldInput,  # noqa: A002
    ) -> CheckProtectedFieldResult:
        """Compare a value with a protected one, once in an operation; wrong ones are counted, and limited."""
        checked = await service.check(
            info.context.actor,
            input.env_uuid,
            input.path,
            given(input.value),
            kind=input.kind,
            key=input.key,
            project_id=input.project_id,
        )
        return CheckProtectedFieldPayload(match=checked.match)
