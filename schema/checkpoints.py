"""Checkpoints, rollbacks to them, pins, and dropping overrides."""

from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.services import checkpoints as service
from app.services import revert
from schema.context import Info
from schema.describe import mutation
from schema.environment_mutations import ForkEnvironmentPayload
from schema.environments import EnvironmentNode
from schema.errors import (
    EnvironmentNameTaken,
    Forbidden,
    InvalidTransition,
    NotFound,
    PlanLimitExceeded,
    ValidationFailed,
)
from schema.generations import GenerationNode
from schema.history import ChangeNode
from schema.inputs import MutationInput
from schema.scalars import JSONPointer


@strawberry.input(description="The checkpoint to take.")
class CheckpointInput(MutationInput):
    env_uuid: UUID = strawberry.field(description="The environment to freeze.")
    label: str | None = strawberry.field(default=None, description="What to call it, 1 to 200 characters.")


@strawberry.input(description="The checkpoint to delete.")
class DeleteCheckpointInput(MutationInput):
    checkpoint_uuid: UUID = strawberry.field(description="The checkpoint.")


@strawberry.input(description="The checkpoint to go back to.")
class RollbackToCheckpointInput(MutationInput):
    checkpoint_uuid: UUID = strawberry.field(description="The checkpoint, of an archived environment too.")
    env_name: str | None = strawberry.field(
        default=None, description="Name of the new environment; left out: made of the checkpoint's label."
    )


@strawberry.input(description="The environment to pin.")
class PinEnvironmentInput(MutationInput):
    env_uuid: UUID = strawberry.field(description="The environment.")


@strawberry.input(
    description="Which overrides to drop: all of the environment, or those of a kind, a document, or paths."
)
class RevertChangesInput(MutationInput):
    env_uuid: UUID = strawberry.field(description="The environment.")
    kind: str | None = strawberry.field(default=None, description="Only documents of this kind.")
    key: str | None = strawberry.field(default=None, description="Only the document with this key.")
    paths: list[JSONPointer] | None = strawberry.field(
        default=None, description="Only what stands at these places of the document."
    )


@strawberry.type(description="The checkpoint was taken.")
class CheckpointPayload:
    checkpoint: GenerationNode = strawberry.field(description="The checkpoint.")
    entities: int = strawberry.field(description="Number of documents in it.")


@strawberry.type(description="The checkpoint was deleted.")
class DeleteCheckpointPayload:
    checkpoint_uuid: UUID = strawberry.field(description="UUID of the checkpoint that was.")
    environment: EnvironmentNode = strawberry.field(description="The environment it belonged to.")


@strawberry.type(description="The environment was pinned.")
class PinEnvironmentPayload:
    pinned: GenerationNode = strawberry.field(description="The immutable snapshot.")
    environment: EnvironmentNode = strawberry.field(description="The environment, which points to it now.")


@strawberry.type(description="The overrides were dropped.")
class RevertChangesPayload:
    environment: EnvironmentNode = strawberry.field(description="The environment as it is now.")
    changes: list[ChangeNode] = strawberry.field(description="One per document that shows something else now.")


CheckpointResult: TypeAlias = Annotated[
    CheckpointPayload | PlanLimitExceeded | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("CheckpointResult", description="The checkpoint, or why there is none."),
]
DeleteCheckpointResult: TypeAlias = Annotated[
    DeleteCheckpointPayload | InvalidTransition | NotFound | Forbidden,
    strawberry.union("DeleteCheckpointResult", description="What was deleted, or why nothing was."),
]
RollbackToCheckpointResult: TypeAlias = Annotated[
    ForkEnvironmentPayload
    | PlanLimitExceeded
    | EnvironmentNameTaken
    | InvalidTransition
    | NotFound
    | Forbidden
    | ValidationFailed,
    strawberry.union("RollbackToCheckpointResult", description="The new environment, or why there is none."),
]
PinEnvironmentResult: TypeAlias = Annotated[
    PinEnvironmentPayload | InvalidTransition | NotFound | Forbidden,
    strawberry.union("PinEnvironmentResult", description="The snapshot, or why there is none."),
]
RevertChangesResult: TypeAlias = Annotated[
    RevertChangesPayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("RevertChangesResult", description="What was reverted, or why nothing was."),
]


@strawberry.type
class CheckpointMutation:
    @mutation
    async def checkpoint(self, info: Info, input: CheckpointInput) -> CheckpointResult:  # noqa: A002
        """Freeze what an environment shows into whole documents that can be rolled back to."""
        made = await service.checkpoint(info.context.actor, input.env_uuid, input.label)
        return CheckpointPayload(checkpoint=GenerationNode.of(made), entities=made.entity_count)

    @mutation
    async def delete_checkpoint(
        self,
        info: Info,
        input: DeleteCheckpointInput,  # noqa: A002
    ) -> DeleteCheckpointResult:
        """Delete a checkpoint that nothing stands on."""
        context = info.context
        gone = await service.delete_checkpoint(context.actor, input.checkpoint_uuid)
        env = await context.loaders.environment(gone.project_id, gone.env_uuid)
        return DeleteCheckpointPayload(checkpoint_uuid=gone.uuid, environment=EnvironmentNode.of(env))

    @mutation
    async def rollback_to_checkpoint(
        self,
        info: Info,
        input: RollbackToCheckpointInput,  # noqa: A002
    ) -> RollbackToCheckpointResult:
        """Branch a new environment from a checkpoint; at the plan's limit once per checkpoint. Needs a user's token."""
        fork = await service.rollback(info.context.actor, input.checkpoint_uuid, input.env_name)
        return ForkEnvironmentPayload.of(fork)

    @mutation
    async def pin_environment(self, info: Info, input: PinEnvironmentInput) -> PinEnvironmentResult:  # noqa: A002
        """Take an immutable snapshot of an environment for review links, and point the environment to it."""
        context = info.context
        pinned = await service.pin(context.actor, input.env_uuid)
        env = await context.loaders.environment(pinned.project_id, pinned.env_uuid)
        return PinEnvironmentPayload(pinned=GenerationNode.of(pinned), environment=EnvironmentNode.of(env))

    @mutation
    async def revert_changes(self, info: Info, input: RevertChangesInput) -> RevertChangesResult:  # noqa: A002
        """Drop overrides: the environment shows what its parent shows now."""
        done = await revert.revert(
            info.context.actor, input.env_uuid, kind=input.kind, key=input.key, paths=input.paths
        )
        return RevertChangesPayload(
            environment=EnvironmentNode.of(done.environment), changes=[ChangeNode.of(change) for change in done.changes]
        )
