"""A rollout under way, and ways to let time pass for it."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from app.domain.events import Event, EventType
from app.domain.model import Environment, Strategy
from app.domain.promotion import Promotion, PromotionStatus
from app.domain.rollout import DEFAULT_STEPS
from app.domain.values import Value
from app.services import environments, promoting
from app.services.promoting import PromoteOptions
from app.services.rollouts import Rollout, of_environment
from app.storage import db, events, promotions
from tests.services.shop import Shop

AUTO: list[Value] = [
    {"weight": 5, "pause_minutes": 30, "auto_advance": True},
    {"weight": 20, "pause_minutes": 60, "auto_advance": True},
    {"weight": 50, "pause_minutes": 120, "auto_advance": True},
    {"weight": 100, "pause_minutes": 0},
]


class Rolling:
    """An environment ``env`` of the shop, that changes the page's price from 1 to 2."""

    def __init__(self, shop: Shop, env: UUID, request: Promotion) -> None:
        self.shop, self.env, self.request = shop, env, request

    @classmethod
    async def started(cls, shop: Shop, steps: Sequence[Value] = DEFAULT_STEPS) -> "Rolling":
        env = await shop.fork("env")
        await shop.merge("env", {"price": 2})
        options = PromoteOptions(Strategy.CANARY, rollout_steps=list(steps))
        request = await promoting.promote(shop.actor, env, options)
        assert request.status is PromotionStatus.ROLLING_OUT
        return cls(shop, env, request)

    async def passes(self, **time: float) -> None:
        """Let so much time have passed since the present step was committed."""
        await db.execute(
            "UPDATE promotion SET step_started_at = step_started_at - $3::interval WHERE project_id = $1 AND uuid = $2",
            self.shop.project_id,
            self.request.uuid,
            timedelta(**time),
        )

    async def environment(self) -> Environment:
        return await environments.get(self.shop.actor, self.env)

    async def now(self) -> Rollout:
        found = await of_environment(await self.environment())
        assert found is not None
        return found

    async def asked(self) -> Promotion:
        found = await promotions.get([self.shop.project_id], self.request.uuid)
        assert found is not None
        return found

    async def price(self) -> object:
        state = await self.shop.state(None)
        assert isinstance(state, dict)
        return state["price"]

    async def told(self) -> list[Event]:
        """Return the events of the rollout."""
        found = await events.page(self.shop.project_id, 0, 1_000)
        return [event for event in found if event.type.startswith("rollout.")]

    async def told_types(self) -> list[EventType]:
        return [event.type for event in await self.told()]
