"""What can be followed: a project's events, and one environment's rollout."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, TypeVar
from uuid import UUID

import strawberry

from app.domain.events import Event, EventType, cursor_at
from app.domain.model import EnvStatus
from app.domain.rollout_state import RolloutState
from app.services import live, watching
from schema.context import Info
from schema.describe import describe_enum, field, present, subscription
from schema.environments import EnvironmentNode
from schema.experiment_metrics import ExperimentMetrics
from schema.rollouts import RolloutHealth
from schema.scalars import JSON, BigInt, shown

T = TypeVar("T")

describe_enum(
    EventType,
    "EventType",
    "What can happen to a project.",
    {type_: f"`{type_.value}`, as webhooks and server-sent events call it." for type_ in EventType},
)

After = Annotated[
    str | None,
    strawberry.argument(description="The cursor of the last event that was received; left out: from now on."),
]


@strawberry.type(description="Something that happened to a project. Each has happened once, in the order of cursors.")
class EnvironmentEvent:
    cursor: str = strawberry.field(description="Where to go on after this event.")
    version: BigInt = strawberry.field(description="The project's version with it; rises from event to event.")
    type: EventType = strawberry.field(description="What happened.")
    project_id: int = strawberry.field(description="The project's id.")
    env_uuid: UUID | None = strawberry.field(description="Anchor UUID of the environment in question, if there is one.")
    subject: UUID | None = strawberry.field(
        description="UUID of what it happened to: a document, a generation, a key; null for the environment itself."
    )
    data: JSON = strawberry.field(description="More about it, by type. Never what stands in documents.")
    actor: str | None = strawberry.field(description="Who did it; null for the server itself.")
    created_at: datetime = strawberry.field(description="When.")

    @classmethod
    def of(cls, event: Event) -> "EnvironmentEvent":
        return cls(
            cursor=cursor_at(event.project_id, event.version),
            version=BigInt(event.version),
            type=event.type,
            project_id=event.project_id,
            env_uuid=event.env_uuid,
            subject=event.subject,
            data=shown(dict(event.data)),
            actor=event.actor,
            created_at=event.created_at,
        )

    @field
    async def environment(self, info: Info) -> EnvironmentNode | None:
        """The environment in question as it is now, if there is one."""
        if self.env_uuid is None:
            return None
        return EnvironmentNode.of(await info.context.loaders.environment(self.project_id, self.env_uuid))


@strawberry.type(description="Where a rollout stands: at first as it is, then at each event until it has ended.")
class RolloutEvent:
    cursor: str = strawberry.field(description="Where to go on after this event.")
    type: EventType | None = strawberry.field(description="What happened; null for the state at the beginning.")
    env_uuid: UUID = strawberry.field(description="Anchor UUID of the environment.")
    status: EnvStatus = strawberry.field(description="The environment's status.")
    weight: int = strawberry.field(description="Share of traffic, percent, 0 to 100.")
    previous_weight: int = strawberry.field(description="The share before, percent.")
    step: int = strawberry.field(description="The step that it has reached, from 1; 0 before the first.")
    steps: int = strawberry.field(description="How many steps there are.")
    next_step_at: datetime | None = strawberry.field(description="When it goes on by itself; null if it does not.")
    reason: str | None = strawberry.field(description="Why it was aborted, or is held.")
    health: RolloutHealth | None = strawberry.field(description="What was reported of both sides; null if nothing was.")
    project_id: strawberry.Private[int]

    @classmethod
    def of(cls, state: RolloutState) -> "RolloutEvent":
        return cls(
            cursor=cursor_at(state.project_id, state.version),
            type=state.type,
            env_uuid=state.env_uuid,
            status=state.status,
            weight=state.weight,
            previous_weight=state.previous_weight,
            step=state.step,
            steps=state.steps,
            next_step_at=state.next_step_at,
            reason=state.reason,
            health=None if state.health is None else RolloutHealth.of(state.health),
            project_id=state.project_id,
        )

    @field
    async def environment(self, info: Info) -> EnvironmentNode:
        """The environment as it is now."""
        return EnvironmentNode.of(await info.context.loaders.environment(self.project_id, self.env_uuid))


@strawberry.type(description="What can be followed, from now on or from a cursor, without gap or repeat.")
class Subscription:
    @subscription
    async def environment_events(
        self,
        info: Info,
        project_id: Annotated[int, strawberry.argument(description="The project's id.")],
        after: After = None,
        types: Annotated[
            list[EventType] | None, strawberry.argument(description="Only these; left out: all.")
        ] = strawberry.UNSET,
        env_uuid: Annotated[
            UUID | None, strawberry.argument(description="Only those of this environment.")
        ] = strawberry.UNSET,
    ) -> AsyncGenerator[EnvironmentEvent, None]:
        """A project's events, as they are committed, for who may read the project."""
        found = await live.events(
            info.context.held, project_id, after, types=present(types) or (), env_uuid=present(env_uuid)
        )
        async for event in _fresh(info, found):
            yield EnvironmentEvent.of(event)

    @subscription
    async def rollout_progress(
        self,
        info: Info,
        env_uuid: Annotated[UUID, strawberry.argument(description="The environment's anchor UUID.")],
        after: After = None,
    ) -> AsyncGenerator[RolloutEvent, None]:
        """An environment's rollout: its present state, then each change until it ends; with `after`, the changes from
        there on. Where none is under way but one may come, it is waited for.
        """
        async for state in _fresh(info, await live.rollout(info.context.held, env_uuid, after)):
            yield RolloutEvent.of(state)

    @subscription
    async def experiment_metrics(
        self,
        info: Info,
        test_uuid: Annotated[UUID, strawberry.argument(description="UUID of the A/B test.")],
    ) -> AsyncGenerator[ExperimentMetrics, None]:
        """What an A/B test says: as it is now, then whenever its counts have changed, at most once a second, until it
        has ended.
        """
        async for found in _fresh(info, await watching.metrics(info.context.held, test_uuid)):
            yield ExperimentMetrics.of(found)


async def _fresh(info: Info, source: AsyncGenerator[T, None]) -> AsyncIterator[T]:
    """Yield what comes, each to be shown with what the database holds then."""
    async with aclosing(source):
        async for item in source:
            info.context.loaders.reset()
            yield item
