"""Promoting, deciding, validating, rebasing."""

from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain.model import Strategy
from app.domain.promotion import PromotionStatus
from app.services import deciding, promoting, rebasing
from app.services.carried import changed_documents
from app.services.checking import Checked
from app.services.promoting import PromoteOptions
from schema.conflicts import CarriedChangeNode, ChecksNode, Conflict, ConflictValue
from schema.context import Info
from schema.describe import mutation
from schema.environment_mutations import RolloutStepInput
from schema.environments import EnvironmentNode
from schema.errors import Forbidden, InvalidTransition, NotFound, PromotionBlocked, ValidationFailed
from schema.generations import GenerationNode
from schema.inputs import MutationInput
from schema.promotion_inputs import PathsInput, ResolutionInput, bounded, resolutions
from schema.promotions import PromotionNode
from schema.rollouts import GuardInput

DRY_RUN_DOCUMENTS = 200


@strawberry.input
class PromotionInput(MutationInput):
    """How to promote."""

    strategy: Strategy = strawberry.field(default=Strategy.IMMEDIATE, description="How it is to reach production.")
    rollout_steps: list[RolloutStepInput] | None = strawberry.field(
        default=None, description="Steps of the canary; left out: the environment's."
    )
    guards: list[GuardInput] | None = strawberry.field(
        default=None, description="Guards of the canary, at most 10; left out: those of the project's settings."
    )
    paths: list[PathsInput] | None = strawberry.field(
        default=None, description="Only these changes; the rest stays in the environment. Left out: all."
    )
    resolutions: list[ResolutionInput] | None = strawberry.field(default=None, description="How to settle conflicts.")
    message: str | None = strawberry.field(default=None, description="What to say about it, at most 2,000 characters.")
    override_freeze: bool = strawberry.field(
        default=False, description="Whether to pass a freeze. For owners and admins."
    )

    def options(self) -> PromoteOptions:
        """Return what the service needs to know. Raises ValidationFailed."""
        return PromoteOptions(
            strategy=self.strategy,
            rollout_steps=None if self.rollout_steps is None else [step.value() for step in self.rollout_steps],
            paths=None if self.paths is None else [item.chosen() for item in bounded(self.paths, "paths")],
            resolutions=resolutions(self.resolutions),
            message=self.message,
            override_freeze=self.override_freeze,
            guards=None if self.guards is None else [guard.guard() for guard in self.guards],
        )


@strawberry.input(description="What to promote, and how.")
class PromoteInput(PromotionInput):
    env_uuid: UUID = strawberry.field(description="The environment.")
    dry_run: bool = strawberry.field(
        default=False, description="Whether only to look: the answer is a `PromotionDryRun`, and nothing is changed."
    )


@strawberry.input(description="The request to approve: itself, or the environment that has one pending.")
class ApprovePromotionInput(MutationInput):
    promotion_uuid: UUID | None = strawberry.field(default=None, description="The request.")
    env_uuid: UUID | None = strawberry.field(default=None, description="The environment.")
    override_freeze: bool = strawberry.field(
        default=False, description="Whether to pass a freeze. For owners and admins."
    )


@strawberry.input(description="The request to reject: itself, or the environment that has one pending.")
class RejectPromotionInput(MutationInput):
    promotion_uuid: UUID | None = strawberry.field(default=None, description="The request.")
    env_uuid: UUID | None = strawberry.field(default=None, description="The environment.")
    reason: str = strawberry.field(description="Why, 1 to 2,000 characters.")


@strawberry.input(description="The environment to check.")
class ValidateEnvironmentInput(MutationInput):
    env_uuid: UUID = strawberry.field(description="The environment.")


@strawberry.input(description="The environment to rebase.")
class RebaseEnvironmentInput(MutationInput):
    env_uuid: UUID = strawberry.field(description="The environment.")
    resolutions: list[ResolutionInput] | None = strawberry.field(default=None, description="How to settle conflicts.")


@strawberry.type(description="The promotion is done, under way, or waits for approval, as its status says.")
class PromotePayload:
    promotion: PromotionNode = strawberry.field(description="The request.")


@strawberry.type(description="A document that production would have.")
class PromotedDocument:
    kind: str = strawberry.field(description="Kind of the document.")
    key: str = strawberry.field(description="Key of the document.")
    result: ConflictValue = strawberry.field(description="What it would be; nothing: it would be deleted.")


@strawberry.type(description="What promoting now would do; nothing was changed.")
class PromotionDryRun:
    checks: ChecksNode = strawberry.field(description="The checks.")
    conflicts: list[Conflict] = strawberry.field(description="The conflicts that are open.")
    documents: list[PromotedDocument] = strawberry.field(
        description="The documents that would change, by kind and key; the first 200. REST has pages of them."
    )
    total: int = strawberry.field(description="How many documents would change.")

    @classmethod
    def of(cls, checked: Checked) -> "PromotionDryRun":
        changed = changed_documents(checked.merges)
        return cls(
            checks=ChecksNode.of(checked.checks),
            conflicts=[Conflict.of(item) for item in checked.conflicts],
            documents=[
                PromotedDocument(kind=item.entity.kind, key=item.entity.key, result=ConflictValue.of(item.merged.state))
                for item in changed[:DRY_RUN_DOCUMENTS]
            ],
            total=len(changed),
        )


@strawberry.type(description="The request after the approval; carried out if it was the last one needed.")
class ApprovePromotionPayload:
    promotion: PromotionNode = strawberry.field(description="The request.")
    changed: list[CarriedChangeNode] = strawberry.field(
        description="What is carried otherwise than approvals were given for. If there is any, all of them are void."
    )


@strawberry.type(description="The request is rejected.")
class RejectPromotionPayload:
    promotion: PromotionNode = strawberry.field(description="The request.")


@strawberry.type(description="The checks were run.")
class ValidateEnvironmentPayload:
    environment: EnvironmentNode = strawberry.field(description="The environment: ready or a draft.")
    checks: ChecksNode = strawberry.field(description="The checks.")
    conflicts: list[Conflict] = strawberry.field(description="The conflicts that are open.")


@strawberry.type(description="The environment stands on what its parent shows now.")
class RebaseEnvironmentPayload:
    environment: EnvironmentNode = strawberry.field(description="The environment.")
    generation: GenerationNode = strawberry.field(description="Its new generation.")
    resolved: list[Conflict] = strawberry.field(description="The conflicts that resolutions settled.")


PromoteResult: TypeAlias = Annotated[
    PromotePayload | PromotionDryRun | PromotionBlocked | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("PromoteResult", description="What became of it, or why nothing did."),
]
ApprovePromotionResult: TypeAlias = Annotated[
    ApprovePromotionPayload | PromotionBlocked | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("ApprovePromotionResult", description="The request, or why it was not approved."),
]
RejectPromotionResult: TypeAlias = Annotated[
    RejectPromotionPayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("RejectPromotionResult", description="The request, or why it was not rejected."),
]
ValidateEnvironmentResult: TypeAlias = Annotated[
    ValidateEnvironmentPayload | InvalidTransition | NotFound | Forbidden,
    strawberry.union("ValidateEnvironmentResult", description="The checks, or why they were not run."),
]
RebaseEnvironmentResult: TypeAlias = Annotated[
    RebaseEnvironmentPayload | PromotionBlocked | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("RebaseEnvironmentResult", description="The environment, or why it was not rebased."),
]


@strawberry.type
class PromotionMutation:
    @mutation
    async def promote(self, info: Info, input: PromoteInput) -> PromoteResult:  # noqa: A002
        """Bring an environment's changes to production; what stands against it is a `PromotionBlocked`."""
        actor = info.context.actor
        if input.dry_run:
            return PromotionDryRun.of(await promoting.dry_run(actor, input.env_uuid, input.options()))
        made = await promoting.promote(actor, input.env_uuid, input.options())
        if made.status is PromotionStatus.BLOCKED:
            return PromotionBlocked.by_promotion(made)
        return PromotePayload(promotion=PromotionNode.of(made))

    @mutation
    async def approve_promotion(self, info: Info, input: ApprovePromotionInput) -> ApprovePromotionResult:  # noqa: A002
        """Approve a pending promotion, or make a blue-green switch; the last approval carries it out."""
        done = await deciding.approve(
            info.context.actor, input.promotion_uuid, env_uuid=input.env_uuid, override_freeze=input.override_freeze
        )
        promotion = done.promotion
        if (
            not done.changed
            and promotion.status is PromotionStatus.PENDING_APPROVAL
            and not promotion.checks.all_passed
        ):
            return PromotionBlocked.by_promotion(promotion)
        return ApprovePromotionPayload(
            promotion=PromotionNode.of(promotion), changed=[CarriedChangeNode.of(item) for item in done.changed]
        )

    @mutation
    async def reject_promotion(self, info: Info, input: RejectPromotionInput) -> RejectPromotionResult:  # noqa: A002
        """Reject a pending promotion; nothing else changes."""
        done = await deciding.reject(info.context.actor, input.promotion_uuid, input.reason, env_uuid=input.env_uuid)
        return RejectPromotionPayload(promotion=PromotionNode.of(done))

    @mutation
    async def validate_environment(
        self,
        info: Info,
        input: ValidateEnvironmentInput,  # noqa: A002
    ) -> ValidateEnvironmentResult:
        """Run the checks; the environment is ready afterwards if all passed, else a draft."""
        done = await promoting.validate(info.context.actor, input.env_uuid)
        return ValidateEnvironmentPayload(
            environment=EnvironmentNode.of(done.environment),
            checks=ChecksNode.of(done.checks),
            conflicts=[Conflict.of(item) for item in done.conflicts],
        )

    @mutation
    async def rebase_environment(self, info: Info, input: RebaseEnvironmentInput) -> RebaseEnvironmentResult:  # noqa: A002
        """Put what an environment overrides onto what its parent shows now."""
        done = await rebasing.rebase(info.context.actor, input.env_uuid, resolutions(input.resolutions))
        return RebaseEnvironmentPayload(
            environment=EnvironmentNode.of(done.environment),
            generation=GenerationNode.of(done.generation),
            resolved=[Conflict.of(item) for item in done.conflicts],
        )
