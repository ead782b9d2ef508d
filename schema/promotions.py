"""Promotion requests: what they carry, what stands against them, who decided."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from app.domain.canary import Step
from app.domain.model import Strategy
from app.domain.paging import Page, encode_cursor
from app.domain.promotion import (
    Approver,
    Promotion,
    PromotionStatus,
)
from app.services import deciding
from app.storage.promotions import sort_key
from schema import environments, releases
from schema.conflicts import CarriedChangeNode, ChecksNode, Conflict
from schema.connections import Connection, connect
from schema.context import Info
from schema.describe import field
from schema.edges import AnEnvironment, ARelease
from schema.nodes import GlobalId, Node
from schema.rollouts import RolloutStep


@strawberry.type(description="Somebody who approved.")
class Approval:
    account_uuid: UUID = strawberry.field(description="UUID of the account.")
    name: str = strawberry.field(description="Name of who approved.")
    approved_at: datetime = strawberry.field(description="When.")

    @classmethod
    def of(cls, approver: Approver) -> "Approval":
        return cls(account_uuid=approver.account_uuid, name=approver.name, approved_at=approver.approved_at)


@strawberry.type(name="PromotionRequest", description="Somebody asked for an environment to become production.")
class PromotionNode(Node):
    uuid: UUID = strawberry.field(description="UUID of the request, `promotion_id` in REST.")
    strategy: Strategy = strawberry.field(description="How it is to reach production.")
    status: PromotionStatus = strawberry.field(description="What became of it so far.")
    checks: ChecksNode = strawberry.field(description="The checks as they were run last.")
    conflicts: list[Conflict] = strawberry.field(description="The conflicts that were open then.")
    changes: list[CarriedChangeNode] = strawberry.field(description="What it carries.")
    rollout_steps: list[RolloutStep] = strawberry.field(
        description="The steps of its canary; empty for other strategies."
    )
    required_approvals: int = strawberry.field(description="How many have to approve it.")
    approvals: list[Approval] = strawberry.field(description="Who approved what it carries now.")
    approval_hint: str | None = strawberry.field(
        description="Why it cannot be approved, and what helps; null if it can."
    )
    requested_by: str = strawberry.field(description="Name of who asked for it.")
    message: str | None = strawberry.field(description="What they said about it.")
    reason: str | None = strawberry.field(description="Why it was rejected or aborted; null if it was not.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    approved_at: datetime | None = strawberry.field(description="When it was approved; null if it was not.")
    ended_at: datetime | None = strawberry.field(description="When it ended; null while it is open.")
    expires_at: datetime | None = strawberry.field(description="When it expires unless decided; null: never.")
    source: strawberry.Private[Promotion]

    @classmethod
    def of(cls, promotion: Promotion) -> "PromotionNode":
        return cls(
            id=GlobalId("PromotionRequest", promotion.project_id, promotion.uuid).encode(),
            uuid=promotion.uuid,
            strategy=promotion.plan.strategy,
            status=promotion.status,
            checks=ChecksNode.of(promotion.checks),
            conflicts=[Conflict.of(item) for item in promotion.conflicts],
            changes=[CarriedChangeNode.of(item) for item in promotion.carried],
            rollout_steps=[RolloutStep.of(Step.of(step)) for step in promotion.plan.rollout_steps],
            required_approvals=promotion.required_approvals,
            approvals=[Approval.of(item) for item in promotion.approvers],
            approval_hint=promotion.checks.reasons.get("approval"),
            requested_by=promotion.actor,
            message=promotion.message,
            reason=promotion.reason,
            created_at=promotion.created_at,
            approved_at=promotion.approved_at,
            ended_at=promotion.ended_at,
            expires_at=promotion.expires_at,
            source=promotion,
        )

    @field
    async def environment(self, info: Info) -> AnEnvironment:
        """The environment that is promoted."""
        found = await info.context.loaders.environment(self.source.project_id, self.source.env_uuid)
        return environments.EnvironmentNode.of(found)

    @field
    async def release(self, info: Info) -> ARelease | None:
        """The release that it became; null if it did not."""
        uuid = self.source.release_uuid
        found = await info.context.loaders.releases.load((self.source.project_id, uuid)) if uuid else None
        return releases.ReleaseNode.of(found) if found else None


def promotion_connection(
    page: Page[Promotion], after: str | None, count: Callable[[], Awaitable[int | None]]
) -> Connection[PromotionNode]:
    """Return a page of requests."""
    return connect(
        page.items,
        after,
        more=page.next_cursor is not None,
        node=PromotionNode.of,
        cursor=lambda item: encode_cursor(*sort_key(item)),
        count=count,
    )


@strawberry.type
class PromotionQuery:
    @field
    async def promotion(
        self, info: Info, uuid: Annotated[UUID, strawberry.argument(description="UUID of the request.")]
    ) -> PromotionNode | None:
        """A promotion request."""
        return PromotionNode.of(await deciding.get(info.context.actor, uuid))
