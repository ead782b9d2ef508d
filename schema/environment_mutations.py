"""Making, changing and archiving environments."""

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain.model import EnvType
from app.domain.values import MISSING, Value
from app.services import environments as service
from app.services.branching import Fork, ForkOptions
from app.services.environments import EnvironmentUpdate
from schema.context import Info
from schema.describe import mutation
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
from schema.inputs import MutationInput
from schema.segments import RuleInput, written


@strawberry.input(description="One step of a canary rollout.")
class RolloutStepInput:
    weight: int = strawberry.field(description="Share of traffic, percent, 1 to 100; larger than the step before.")
    pause_minutes: int = strawberry.field(default=0, description="Minutes to stay before the next step.")
    auto_advance: bool = strawberry.field(default=False, description="Whether the server goes on by itself.")
    min_sample: int = strawberry.field(default=0, description="Requests that must have been seen before going on.")
    approval: bool = strawberry.field(default=False, description="Whether somebody has to approve going on.")

    def value(self) -> Value:
        """Return the step as the environment's config holds it: what is not asked for is not mentioned."""
        options: dict[str, Value] = {
            "auto_advance": self.auto_advance,
            "min_sample": self.min_sample,
            "approval": self.approval,
        }
        asked: dict[str, Value] = {name: option for name, option in options.items() if option}
        return {"weight": self.weight, "pause_minutes": self.pause_minutes, **asked}


@strawberry.input(description="What to fork, and how.")
class ForkEnvironmentInput(MutationInput):
    project_id: int | None = strawberry.field(
        default=None, description="Number of the project; may be left out where `parentEnvUuid` says it."
    )
    env_name: str = strawberry.field(description="Name of the new environment, 1 to 200 characters, unique.")
    env_type: EnvType = strawberry.field(default=EnvType.SANDBOX, description="What it is for; not production.")
    parent_env_uuid: UUID | None = strawberry.field(
        default=None, description="Environment to fork; left out: production."
    )
    user_uuids: list[str] | None = strawberry.field(
        default=None, description="Keys of the only users that it shall show; left out: all."
    )
    user_rules: list[RuleInput] | None = strawberry.field(
        default=None, description="Rules that the only users that it shall show match now; not with `userUuids`."
    )
    segment_id: UUID | None = strawberry.field(
        default=None,
        description="A segment of what is forked; the only users that it shall show match it now. Not with `userUuids` "
        "or `userRules`.",
    )
    rollout_steps: list[RolloutStepInput] | None = strawberry.field(
        default=None, description="Steps of its canary rollout; left out: 5, 20, 50 and 100 percent."
    )
    shadow_writes: bool = strawberry.field(
        default=False, description="Whether writes to production are mirrored into it. From the plan Pro on."
    )
    expires_at: datetime | None = strawberry.field(
        default=None,
        description="When it is to be archived by itself; left out: as late as the plan allows, on Enterprise never.",
    )

    def options(self) -> ForkOptions:
        """Return what the service needs to know."""
        return ForkOptions(
            env_name=self.env_name,
            env_type=self.env_type,
            parent_env_uuid=self.parent_env_uuid,
            user_uuids=self.user_uuids,
            user_rules=written(self.user_rules) if self.user_rules is not None else None,
            segment_id=self.segment_id,
            rollout_steps=_steps(self.rollout_steps) if self.rollout_steps is not None else None,
            shadow_writes=self.shadow_writes,
            expires_at=self.expires_at,
        )


@strawberry.input(description="What to change of an environment; members left out stay as they are.")
class UpdateEnvironmentInput(MutationInput):
    env_uuid: UUID = strawberry.field(description="The environment.")
    name: strawberry.Maybe[str] = strawberry.field(default=None, description="Its new name; unique.")
    expires_at: strawberry.Maybe[datetime | None] = strawberry.field(
        default=None,
        description="When it is to be archived by itself; null: as late as the plan allows, on Enterprise never.",
    )
    rollout_steps: strawberry.Maybe[list[RolloutStepInput]] = strawberry.field(
        default=None, description="Steps of its canary rollout."
    )
    shadow_writes: strawberry.Maybe[bool] = strawberry.field(
        default=None, description="Whether writes to production are mirrored into it. From the plan Pro on."
    )
    shadow_overwrite: strawberry.Maybe[bool] = strawberry.field(
        default=None, description="Whether mirrored writes win over what it overrides itself."
    )
    segments: strawberry.Maybe[list[UUID]] = strawberry.field(
        default=None, description="Segments whose users it serves."
    )

    def update(self) -> EnvironmentUpdate:
        """Return what the service needs to know."""
        return EnvironmentUpdate(
            name=self.name.value if self.name else MISSING,
            expires_at=self.expires_at.value if self.expires_at else MISSING,
            rollout_steps=_steps(self.rollout_steps.value) if self.rollout_steps else MISSING,
            shadow_writes=self.shadow_writes.value if self.shadow_writes else MISSING,
            shadow_overwrite=self.shadow_overwrite.value if self.shadow_overwrite else MISSING,
            segments=[str(uuid) for uuid in self.segments.value] if self.segments else MISSING,
        )


def _steps(steps: list[RolloutStepInput]) -> list[Value]:
    return [step.value() for step in steps]


@strawberry.input(description="The environment to archive.")
class ArchiveEnvironmentInput(MutationInput):
    env_uuid: UUID = strawberry.field(description="The environment.")


@strawberry.type(description="The environment was forked.")
class ForkEnvironmentPayload:
    environment: EnvironmentNode = strawberry.field(description="The new environment.")
    generation: GenerationNode = strawberry.field(description="Its first generation.")
    forked_count: int = strawberry.field(description="Number of documents that it starts with.")
    fork_project_uuid: UUID = strawberry.field(description="UUID of its layer of the project document.")
    manifest_uuid: UUID = strawberry.field(description="UUID of the record of this fork.")

    @classmethod
    def of(cls, fork: Fork) -> "ForkEnvironmentPayload":
        return cls(
            environment=EnvironmentNode.of(fork.environment),
            generation=GenerationNode.of(fork.generation),
            forked_count=fork.forked_count,
            fork_project_uuid=fork.fork_project_uuid,
            manifest_uuid=fork.manifest_uuid,
        )


@strawberry.type(description="The environment was changed.")
class UpdateEnvironmentPayload:
    environment: EnvironmentNode = strawberry.field(description="The environment as it is now.")


@strawberry.type(description="The environment was archived.")
class ArchiveEnvironmentPayload:
    environment: EnvironmentNode = strawberry.field(description="The environment as it is now.")
    removed_diffs: int = strawberry.field(description="Number of layers removed: those that nothing else stands on.")


ForkEnvironmentResult: TypeAlias = Annotated[
    ForkEnvironmentPayload
    | PlanLimitExceeded
    | EnvironmentNameTaken
    | InvalidTransition
    | NotFound
    | Forbidden
    | ValidationFailed,
    strawberry.union("ForkEnvironmentResult", description="The new environment, or why there is none."),
]
UpdateEnvironmentResult: TypeAlias = Annotated[
    UpdateEnvironmentPayload
    | PlanLimitExceeded
    | EnvironmentNameTaken
    | InvalidTransition
    | NotFound
    | Forbidden
    | ValidationFailed,
    strawberry.union("UpdateEnvironmentResult", description="The environment, or why it was not changed."),
]
ArchiveEnvironmentResult: TypeAlias = Annotated[
    ArchiveEnvironmentPayload | InvalidTransition | NotFound | Forbidden,
    strawberry.union("ArchiveEnvironmentResult", description="The environment, or why it was not archived."),
]


@strawberry.type
class EnvironmentMutation:
    @mutation
    async def fork_environment(self, info: Info, input: ForkEnvironmentInput) -> ForkEnvironmentResult:  # noqa: A002
        """Fork production or an environment, in constant time. Needs a user's token."""
        context = info.context
        project_id = await context.project_id(input.project_id, input.parent_env_uuid)
        return ForkEnvironmentPayload.of(await service.fork(context.actor, project_id, input.options()))

    @mutation
    async def update_environment(
        self,
        info: Info,
        input: UpdateEnvironmentInput,  # noqa: A002
    ) -> UpdateEnvironmentResult:
        """Change an environment's name and settings; not while it is rolling out."""
        env = await service.update(info.context.actor, input.env_uuid, input.update())
        return UpdateEnvironmentPayload(environment=EnvironmentNode.of(env))

    @mutation
    async def archive_environment(
        self,
        info: Info,
        input: ArchiveEnvironmentInput,  # noqa: A002
    ) -> ArchiveEnvironmentResult:
        """Archive an environment for good; what was forked from it stays. Needs a user's token."""
        done = await service.archive(info.context.actor, input.env_uuid)
        return ArchiveEnvironmentPayload(
            environment=EnvironmentNode.of(done.environment), removed_diffs=done.removed_diffs
        )
