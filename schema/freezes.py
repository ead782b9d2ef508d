"""Freezes: times in which nothing is promoted."""

from datetime import UTC, datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain.freezes import Freeze
from app.services import freezes as service
from schema.context import Info
from schema.describe import mutation
from schema.errors import Forbidden, InvalidTransition, NotFound, ValidationFailed
from schema.inputs import MutationInput
from schema.nodes import GlobalId, Node


@strawberry.type(name="Freeze", description="A time in which nothing is promoted, advanced or switched.")
class FreezeNode(Node):
    uuid: UUID = strawberry.field(description="UUID of the freeze.")
    reason: str = strawberry.field(description="Why.")
    owner: str = strawberry.field(description="Whom to ask.")
    starts_at: datetime = strawberry.field(description="From when on.")
    ends_at: datetime | None = strawberry.field(description="Until when; null: until it is lifted.")
    in_force: bool = strawberry.field(description="Whether it holds now.")
    created_by: str = strawberry.field(description="Name of who declared it.")
    created_at: datetime = strawberry.field(description="When it was declared.")
    lifted_by: str | None = strawberry.field(description="Name of who lifted it; null if nobody did.")
    lifted_at: datetime | None = strawberry.field(description="When it was lifted; null if it was not.")

    @classmethod
    def of(cls, freeze: Freeze) -> "FreezeNode":
        return cls(
            id=GlobalId("Freeze", freeze.project_id, freeze.uuid).encode(),
            uuid=freeze.uuid,
            reason=freeze.reason,
            owner=freeze.owner,
            starts_at=freeze.starts_at,
            ends_at=freeze.ends_at,
            in_force=freeze.is_in_force(datetime.now(UTC)),
            created_by=freeze.created_by,
            created_at=freeze.created_at,
            lifted_by=freeze.lifted_by,
            lifted_at=freeze.lifted_at,
        )


@strawberry.input(description="The freeze to declare.")
class FreezeInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters.")
    owner: str | None = strawberry.field(default=None, description="Whom to ask; left out: you.")
    starts_at: datetime | None = strawberry.field(default=None, description="From when on; left out: from now.")
    ends_at: datetime | None = strawberry.field(default=None, description="Until when; left out: until it is lifted.")


@strawberry.input(description="The freeze to lift.")
class LiftFreezeInput(MutationInput):
    freeze_uuid: UUID = strawberry.field(description="UUID of the freeze.")


@strawberry.type(description="Production is frozen, or will be.")
class FreezePayload:
    freeze: FreezeNode = strawberry.field(description="The freeze.")


@strawberry.type(description="The freeze is over.")
class LiftFreezePayload:
    freeze: FreezeNode = strawberry.field(description="The freeze.")


FreezeResult: TypeAlias = Annotated[
    FreezePayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("FreezeResult", description="The freeze, or why there is none."),
]
LiftFreezeResult: TypeAlias = Annotated[
    LiftFreezePayload | NotFound | Forbidden | ValidationFailed,
    strawberry.union("LiftFreezeResult", description="The freeze that is over, or why it is not."),
]


@strawberry.type
class FreezeMutation:
    @mutation
    async def freeze(self, info: Info, input: FreezeInput) -> FreezeResult:  # noqa: A002
        """Freeze production: nothing is promoted, advanced or switched meanwhile. For owners and admins."""
        made = await service.freeze(
            info.context.actor,
            input.project_id,
            input.reason,
            owner=input.owner,
            starts_at=input.starts_at,
            ends_at=input.ends_at,
        )
        return FreezePayload(freeze=FreezeNode.of(made))

    @mutation
    async def lift_freeze(self, info: Info, input: LiftFreezeInput) -> LiftFreezeResult:  # noqa: A002
        """Lift a freeze, or call off one that is to come. For owners and admins."""
        return LiftFreezePayload(freeze=FreezeNode.of(await service.lift(info.context.actor, input.freeze_uuid)))
