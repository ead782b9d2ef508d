"""Explanations: why a user sees what it sees at a place of a document."""

from typing import Annotated
from uuid import UUID

import strawberry

from app.domain.explaining import Consideration, Explanation, Setting
from app.domain.model import PROJECT_KEY, PROJECT_KIND
from app.domain.routing import Reason
from app.domain.values import MISSING, State
from app.services import explaining
from schema.context import Info
from schema.describe import field
from schema.flags import UserId
from schema.history import ChangeNode
from schema.scalars import JSON, JSONPointer, shown
from schema.viewer import ProjectId


@strawberry.type(description="A rule of a segment, and whether the user passes it.")
class RuleCheck:
    rule: JSON = strawberry.field(description="The rule as it was written.")
    passed: bool = strawberry.field(description="Whether the user passes it.")


@strawberry.type(name="Consideration", description="One reason for which an environment could serve a user.")
class ConsiderationNode:
    reason: Reason = strawberry.field(description="The reason.")
    passed: bool = strawberry.field(description="Whether it holds; the first that does decides.")
    env_uuid: UUID | None = strawberry.field(description="UUID of the environment; null where the request named none.")
    env_name: str | None = strawberry.field(description="Its name.")
    bucket: int | None = strawberry.field(
        description="The user's bucket: 0 to 9,999 in a rollout, 0 to 99 in an A/B test."
    )
    weight: int | None = strawberry.field(
        description="The share in percent that the bucket is held against: of the rollout, or of side B of the test."
    )
    test_uuid: UUID | None = strawberry.field(description="UUID of the A/B test.")
    variant: str | None = strawberry.field(description="The user's side of the test, `A` or `B`.")
    segment_id: UUID | None = strawberry.field(description="UUID of the segment.")
    segment_name: str | None = strawberry.field(description="Name of the segment.")
    rules: list[RuleCheck] = strawberry.field(description="The segment's rules; all have to pass.")

    @classmethod
    def of(cls, found: Consideration) -> "ConsiderationNode":
        return cls(
            reason=found.reason,
            passed=found.passed,
            env_uuid=found.place.env_uuid if found.place else None,
            env_name=found.place.env_name if found.place else None,
            bucket=found.bucket,
            weight=found.weight,
            test_uuid=found.test_uuid,
            variant=found.variant,
            segment_id=found.segment_id,
            segment_name=found.segment_name,
            rules=[RuleCheck(rule=shown(check.rule), passed=check.passed) for check in found.rules],
        )


@strawberry.type(name="ValueSetting", description="What a generation says of a value.")
class SettingNode:
    generation_uuid: UUID = strawberry.field(description="UUID of the generation.")
    generation_number: int = strawberry.field(description="Its number; production's is 0.")
    env_uuid: UUID = strawberry.field(description="UUID of the environment that it belongs to.")
    env_name: str | None = strawberry.field(description="Name of that environment.")
    exists: bool = strawberry.field(description="Whether anything stands there, with this generation and all above it.")
    state: strawberry.Private[State]

    @classmethod
    def of(cls, setting: Setting) -> "SettingNode":
        return cls(
            generation_uuid=setting.generation.uuid,
            generation_number=setting.generation.number,
            env_uuid=setting.generation.env_uuid,
            env_name=setting.environment.name if setting.environment else None,
            exists=setting.value is not MISSING,
            state=setting.value,
        )

    @field
    async def value(self) -> JSON | None:
        """What stands there, with this generation and all above it; protected values are masked."""
        return _shown(self.state)


@strawberry.type(name="Explanation", description="Why a user sees what it sees at a place of a document.")
class ExplanationNode:
    env_uuid: UUID = strawberry.field(description="UUID of the environment that serves the user.")
    env_name: str = strawberry.field(description="Its name.")
    reason: Reason = strawberry.field(description="Why it serves the user.")
    considered: list[ConsiderationNode] = strawberry.field(
        description="All reasons in their order: the first that passed decides."
    )
    pointer: JSONPointer = strawberry.field(description="The place in the document.")
    exists: bool = strawberry.field(description="Whether anything stands there.")
    protected: bool = strawberry.field(description="Whether the place is protected.")
    set_by: SettingNode | None = strawberry.field(
        description="The generation that set the value; null where none says anything of the place."
    )
    overrides: list[SettingNode] = strawberry.field(
        description="The ancestors whose value it hides, the nearest first."
    )
    source: strawberry.Private[Explanation]

    @classmethod
    def of(cls, found: Explanation) -> "ExplanationNode":
        settings = [SettingNode.of(setting) for setting in found.settings]
        return cls(
            env_uuid=found.route.place.env_uuid,
            env_name=found.route.place.env_name,
            reason=found.route.reason,
            considered=[ConsiderationNode.of(item) for item in found.considered],
            pointer=JSONPointer(found.path),
            exists=found.value is not MISSING,
            protected=found.protected,
            set_by=settings[0] if settings else None,
            overrides=settings[1:],
            source=found,
        )

    @field
    async def value(self) -> JSON | None:
        """What stands there; protected values are masked."""
        return _shown(self.source.value)

    @field
    async def change(self) -> ChangeNode | None:
        """The write that set the value, where one is known."""
        return ChangeNode.of(self.source.change) if self.source.change else None


def _shown(state: State) -> JSON | None:
    return None if state is MISSING else shown(state)


@strawberry.type
class ExplainQuery:
    @field
    async def explain(
        self,
        info: Info,
        user_uuid: UserId,
        project_id: ProjectId = None,
        pointer: Annotated[
            JSONPointer | None, strawberry.argument(description="The place in the document; without it, all of it.")
        ] = None,
        kind: Annotated[str, strawberry.argument(description="Kind of the document.")] = PROJECT_KIND,
        key: Annotated[str, strawberry.argument(description="Key of the document within its kind.")] = PROJECT_KEY,
    ) -> ExplanationNode:
        """Why a user sees what it sees: which environment serves it, and which generation set the value.

        `X-AgentStack-Env` or `?env=` name an environment to look into.
        """
        project = await info.context.project_id(project_id, None)
        found = await explaining.explain(
            info.context.actor, project, user_uuid, pointer or (), kind=kind, key=key, env=info.context.environment
        )
        return ExplanationNode.of(found)
