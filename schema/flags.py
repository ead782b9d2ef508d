"""Flags and routes: what a user gets, and from which environment."""

from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain.evaluation import ErrorCode, Evaluation, Failed, context_of
from app.domain.evaluation import Reason as FlagReason
from app.domain.routing import Reason, Route, check_user
from app.domain.values import MISSING, State
from app.services import evaluation, routing
from schema.context import Info
from schema.describe import field
from schema.scalars import JSON, given, shown
from schema.viewer import ProjectId

UserId: TypeAlias = Annotated[str, strawberry.argument(description="The user, 1 to 256 characters, taken as they are.")]
EvaluationContext: TypeAlias = Annotated[
    JSON | None,
    strawberry.argument(
        description="What is known of the user: an object of attributes, in which `targetingKey` names the user."
    ),
]


@strawberry.type(
    name="Route",
    description="Which environment serves a user, and why. `X-AgentStack-Env` or `?env=` go before everything else.",
)
class RouteNode:
    env_uuid: UUID = strawberry.field(description="UUID of the environment.")
    env_name: str = strawberry.field(description="Its name.")
    reason: Reason = strawberry.field(description="The first reason that holds.")
    traffic_weight: int = strawberry.field(description="Weight of the rollout under way, in percent; 0 without one.")
    bucket: int | None = strawberry.field(
        description="The user's bucket in that rollout, 0 to 9,999: it serves those below its weight times 100."
    )
    test_uuid: UUID | None = strawberry.field(description="UUID of the A/B test that decided, if one did.")
    variant: str | None = strawberry.field(description="The user's side of that test, `A` or `B`.")
    segment_id: UUID | None = strawberry.field(description="UUID of the segment that decided, if one did.")

    @classmethod
    def of(cls, way: Route, weight: int) -> "RouteNode":
        return cls(
            env_uuid=way.place.env_uuid,
            env_name=way.place.env_name,
            reason=way.reason,
            traffic_weight=weight,
            bucket=way.bucket,
            test_uuid=way.experiment.test_uuid if way.experiment else None,
            variant=way.experiment.variant if way.experiment else None,
            segment_id=way.segment.segment_id if way.segment else None,
        )


@strawberry.type(description="What a user gets for a flag, or why there is nothing to get.")
class FlagEvaluation:
    key: str = strawberry.field(description="Key of the flag, or the pointer of the leaf.")
    reason: FlagReason = strawberry.field(description="Why the value is what it is.")
    variant: str | None = strawberry.field(description="Name of the variant; null with an `errorCode`.")
    error_code: ErrorCode | None = strawberry.field(description="Why there is no value; null if all went well.")
    error_details: str | None = strawberry.field(description="The same for people.")
    rule: int | None = strawberry.field(description="Index of the flag's rule that decided; null if none did.")
    result: strawberry.Private[Evaluation]

    @classmethod
    def of(cls, found: Evaluation) -> "FlagEvaluation":
        if isinstance(found, Failed):
            return cls(
                key=found.key,
                reason=FlagReason.ERROR,
                variant=None,
                error_code=found.code,
                error_details=found.details,
                rule=None,
                result=found,
            )
        return cls(
            key=found.key,
            reason=found.reason,
            variant=found.variant,
            error_code=None,
            error_details=None,
            rule=found.rule,
            result=found,
        )

    @field
    async def value(self) -> JSON | None:
        """The value; null where the client is to take the default of its own code."""
        found = self.result
        return None if isinstance(found, Failed) or found.value is MISSING else shown(found.value)

    @field
    async def metadata(self) -> JSON:
        """The flag's own metadata."""
        found = self.result
        return shown({} if isinstance(found, Failed) else dict(found.metadata))


@strawberry.type(description="What a user gets for all flags, and where from.")
class FlagEvaluations:
    env_uuid: UUID = strawberry.field(description="UUID of the environment that serves the user.")
    env_name: str = strawberry.field(description="Its name.")
    route_reason: Reason = strawberry.field(description="Why it serves the user.")
    version: str = strawberry.field(description="Version of its project document.")
    age_ms: int = strawberry.field(description="How old what was evaluated is, in milliseconds; at most a second.")
    flags: list[FlagEvaluation] = strawberry.field(description="The flags, by their keys.")

    @classmethod
    def of(cls, found: evaluation.Answer) -> "FlagEvaluations":
        return cls(
            env_uuid=found.route.place.env_uuid,
            env_name=found.route.place.env_name,
            route_reason=found.route.reason,
            version=found.known.version,
            age_ms=int(found.age * 1_000),
            flags=[FlagEvaluation.of(item) for item in found.evaluations],
        )


def _given(context: JSON | None) -> State:
    return MISSING if context is None else given(context)


@strawberry.type
class FlagQuery:
    @field
    async def route(self, info: Info, user_uuid: UserId, project_id: ProjectId = None) -> RouteNode:
        """Which environment serves a user; never more than a second behind."""
        actor, user = info.context.actor, check_user(user_uuid)
        project = await info.context.project_id(project_id, None)
        found = await routing.known(actor, project)
        place = await routing.explicit(actor, project, info.context.environment)
        way = await routing.way(found, project, user, place)
        return RouteNode.of(way, found.canary.weight if found.canary else 0)

    @field
    async def evaluate_flag(
        self,
        info: Info,
        key: Annotated[
            str,
            strawberry.argument(
                description="Key of the flag; or a leaf of the project document, as a JSON pointer or in dotted form."
            ),
        ],
        context: EvaluationContext = None,
        project_id: ProjectId = None,
    ) -> FlagEvaluations:
        """What a user gets for one flag, in the environment that serves it."""
        project = await info.context.project_id(project_id, None)
        asked = context_of(_given(context))
        return FlagEvaluations.of(
            await evaluation.one(info.context.actor, project, key, asked, info.context.environment)
        )

    @field
    async def evaluate_flags(
        self, info: Info, context: EvaluationContext = None, project_id: ProjectId = None
    ) -> FlagEvaluations:
        """What a user gets for every flag, in the environment that serves it."""
        project = await info.context.project_id(project_id, None)
        asked = context_of(_given(context))
        return FlagEvaluations.of(await evaluation.every(info.context.actor, project, asked, info.context.environment))
