"""Making, changing and deleting segments."""

from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.services import segments as service
from app.services.documents import ANY, Expected
from schema.context import Info
from schema.describe import mutation
from schema.errors import Forbidden, InvalidTransition, NotFound, ValidationFailed, VersionConflict
from schema.inputs import ContextInput
from schema.segments import RuleInput, Segment, written


@strawberry.input(description="The segment to make.")
class CreateSegmentInput(ContextInput):
    env_uuid: UUID | None = strawberry.field(
        default=None,
        description="Environment to define it in; left out: the one that the request names, else production.",
    )
    name: str = strawberry.field(description="What it is called, 1 to 200 characters.")
    rules: list[RuleInput] = strawberry.field(description="Rules that must all hold; none: all users match.")
    expected_version: str | None = strawberry.field(
        default=None, description="Only if this is the project document's version; left out: whatever it is."
    )


@strawberry.input(description="What to change of a segment; members left out stay as they are.")
class UpdateSegmentInput(ContextInput):
    env_uuid: UUID | None = strawberry.field(
        default=None,
        description="Environment to change it in; left out: the one that the request names, else production.",
    )
    segment_id: UUID = strawberry.field(description="UUID of the segment.")
    name: str | None = strawberry.field(default=None, description="Its new name.")
    rules: list[RuleInput] | None = strawberry.field(default=None, description="Its new rules.")
    expected_version: str | None = strawberry.field(
        default=None, description="Only if this is the project document's version; left out: whatever it is."
    )


@strawberry.input(description="The segment to delete.")
class DeleteSegmentInput(ContextInput):
    env_uuid: UUID | None = strawberry.field(
        default=None,
        description="Environment to delete it in; left out: the one that the request names, else production.",
    )
    segment_id: UUID = strawberry.field(description="UUID of the segment.")
    expected_version: str | None = strawberry.field(
        default=None, description="Only if this is the project document's version; left out: whatever it is."
    )


@strawberry.type(description="The segment is defined.")
class CreateSegmentPayload:
    segment: Segment = strawberry.field(description="The segment.")
    version: str = strawberry.field(description="The project document's version now.")


@strawberry.type(description="The segment was changed.")
class UpdateSegmentPayload:
    segment: Segment = strawberry.field(description="The segment as it is now.")
    version: str = strawberry.field(description="The project document's version now.")


@strawberry.type(description="The segment is gone.")
class DeleteSegmentPayload:
    segment: Segment = strawberry.field(description="The segment as it was.")
    version: str = strawberry.field(description="The project document's version now.")


CreateSegmentResult: TypeAlias = Annotated[
    CreateSegmentPayload | VersionConflict | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("CreateSegmentResult", description="The segment, or why there is none."),
]
UpdateSegmentResult: TypeAlias = Annotated[
    UpdateSegmentPayload | VersionConflict | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("UpdateSegmentResult", description="The segment, or why it was not changed."),
]
DeleteSegmentResult: TypeAlias = Annotated[
    DeleteSegmentPayload | VersionConflict | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("DeleteSegmentResult", description="What was deleted, or why nothing was."),
]


def _expected(version: str | None) -> Expected:
    return ANY if version is None else Expected(version=version)


@strawberry.type
class SegmentMutation:
    @mutation
    async def create_segment(self, info: Info, input: CreateSegmentInput) -> CreateSegmentResult:  # noqa: A002
        """Add a segment to an environment's project document."""
        context = info.context
        done = await service.create(
            context.actor,
            await context.project_id(input.project_id, input.env_uuid),
            context.reference(input.env_uuid),
            input.name,
            written(input.rules),
            expected=_expected(input.expected_version),
        )
        return CreateSegmentPayload(segment=Segment.of(done.segment), version=done.version)

    @mutation
    async def update_segment(self, info: Info, input: UpdateSegmentInput) -> UpdateSegmentResult:  # noqa: A002
        """Change a segment's name, its rules, or both, in an environment's project document."""
        context = info.context
        done = await service.update(
            context.actor,
            await context.project_id(input.project_id, input.env_uuid),
            context.reference(input.env_uuid),
            input.segment_id,
            name=input.name,
            rules=None if input.rules is None else written(input.rules),
            expected=_expected(input.expected_version),
        )
        return UpdateSegmentPayload(segment=Segment.of(done.segment), version=done.version)

    @mutation
    async def delete_segment(self, info: Info, input: DeleteSegmentInput) -> DeleteSegmentResult:  # noqa: A002
        """Take a segment out of an environment's project document. In production, one that is served is refused."""
        context = info.context
        done = await service.delete(
            context.actor,
            await context.project_id(input.project_id, input.env_uuid),
            context.reference(input.env_uuid),
            input.segment_id,
            expected=_expected(input.expected_version),
        )
        return DeleteSegmentPayload(segment=Segment.of(done.segment), version=done.version)
