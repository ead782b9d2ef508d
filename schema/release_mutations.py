"""Undoing releases."""

from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.services import releasing
from schema.context import Info
from schema.describe import mutation
from schema.errors import Forbidden, NotFound, PromotionBlocked, ValidationFailed
from schema.inputs import MutationInput
from schema.promotion_inputs import ResolutionInput, resolutions
from schema.releases import ReleaseNode


@strawberry.input(description="The release to undo.")
class RollbackReleaseInput(MutationInput):
    release_uuid: UUID = strawberry.field(description="UUID of the release.")
    resolutions: list[ResolutionInput] | None = strawberry.field(
        default=None, description="How to settle conflicts with what was changed since."
    )
    message: str | None = strawberry.field(default=None, description="What to say about it.")


@strawberry.type(description="What the release did is undone; what came later is kept.")
class RollbackReleasePayload:
    release: ReleaseNode = strawberry.field(description="The release that undoes the other one.")


RollbackReleaseResult: TypeAlias = Annotated[
    RollbackReleasePayload | PromotionBlocked | NotFound | Forbidden | ValidationFailed,
    strawberry.union("RollbackReleaseResult", description="The new release, or why there is none."),
]


@strawberry.type
class ReleaseMutation:
    @mutation
    async def rollback_release(self, info: Info, input: RollbackReleaseInput) -> RollbackReleaseResult:  # noqa: A002
        """Undo what one release did and keep what came later. A live environment gets the changes back as a draft."""
        made = await releasing.rollback_release(
            info.context.actor, input.release_uuid, resolutions(input.resolutions), input.message
        )
        return RollbackReleasePayload(release=ReleaseNode.of(made))
