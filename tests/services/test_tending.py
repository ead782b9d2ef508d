"""What the server does about rollouts by itself: once each, however many look, late or twice."""

import asyncio
from decimal import Decimal

from app.domain.audit import Action, Filter
from app.domain.canary import Wait
from app.domain.events import EventType
from app.domain.guards import Guard, Metric, Outcome, Side
from app.domain.jobs import JobKind
from app.domain.model import EnvStatus, Strategy
from app.domain.promotion import DocumentResolution, PromotionStatus
from app.domain.three_way import Side as Of
from app.domain.values import MISSING, Value
from app.services import canaries, freezes, promoting, settings, tending
from app.services.promoting import PromoteOptions
from app.storage import audit, db
from tests.services.invariants import check_invariants
from tests.services.rolling import AUTO, Rolling
from tests.services.shop import Shop

STEPS = EventType.ROLLOUT_ADVANCED


async def tend(rolling: Rolling, times: int = 1) -> None:
    """Look at the rollout so many times at once, as workers do."""
    await asyncio.gather(*(tending.tend(rolling.shop.project_id) for _ in range(times)))


async def jobs_of(shop: Shop) -> int:
    count: int = await db.fetchval(
        "SELECT count(*) FROM pgqueuer WHERE entrypoint = $1 AND convert_from(payload, 'UTF8')::jsonb"
        " ->> 'project_id' = $2",
        JobKind.TEND_ROLLOUT.value,
        str(shop.project_id),
    )
    return count


async def test_nothing_is_done_before_it_is_due(shop: Shop) -> None:
    rolling = await Rolling.started(shop, AUTO)
    await tend(rolling, 3)
    assert await rolling.told_types() == [EventType.ROLLOUT_STARTED]
    await tending.tend(10**6)


async def test_a_step_that_is_due_is_taken_once(shop: Shop) -> None:
    rolling = await Rolling.started(shop, AUTO)
    await rolling.passes(minutes=31)
    began = (await rolling.asked()).step_started_at
    await tend(rolling, 5)
    request = await rolling.asked()
    assert request.step == 1
    assert began is not None
    assert request.step_started_at is not None
    assert (request.step_started_at - began).total_seconds() == 30 * 60
    assert (await rolling.environment()).traffic_weight == 20
    assert await rolling.told_types() == [EventType.ROLLOUT_STARTED, STEPS]
    rows = await audit.list_page(shop.project_id, Filter(actions=(Action.ADVANCE_CANARY,)), 9, None)
    assert [(row.actor, row.account_uuid) for row in rows] == [(None, None)]


async def test_overdue_steps_are_one_event(shop: Shop) -> None:
    rolling = await Rolling.started(shop, AUTO)
    await rolling.passes(minutes=100)
    await tend(rolling, 3)
    told = await rolling.told()
    assert [event.type for event in told] == [EventType.ROLLOUT_STARTED, STEPS]
    assert (told[-1].data["traffic_weight"], told[-1].data["step"]) == (50, 3)


async def test_the_last_step_brings_it_to_production_once(shop: Shop) -> None:
    rolling = await Rolling.started(shop, AUTO)
    await rolling.passes(minutes=1_000)
    await tend(rolling, 4)
    assert await rolling.price() == 2
    assert (await rolling.environment()).status is EnvStatus.LIVE
    assert await rolling.told_types() == [EventType.ROLLOUT_STARTED, EventType.ROLLOUT_COMPLETED]
    assert (await rolling.asked()).status is PromotionStatus.COMPLETED
    assert await db.fetchval("SELECT count(*) FROM release WHERE project_id = $1", shop.project_id) == 1
    await check_invariants(shop.project_id)


async def test_a_conflict_holds_with_one_event_until_it_is_resolved(shop: Shop) -> None:
    rolling = await Rolling.started(shop, AUTO)
    await shop.merge(None, {"price": 9})
    await rolling.passes(minutes=1_000)
    for _ in range(3):
        await tend(rolling, 2)
    now = await rolling.now()
    assert (now.environment.traffic_weight, now.request.step, now.position.weight) == (50, 2, 50)
    assert now.progress.held is not None
    assert "conflict" in now.progress.held
    assert await rolling.told_types() == [EventType.ROLLOUT_STARTED, STEPS, EventType.ROLLOUT_HELD]
    assert await rolling.price() == 9
    resolution = DocumentResolution("page", "a", "/price", Of.THEIRS, MISSING)
    assert (await canaries.advance(shop.actor, rolling.env, [resolution])).completed
    assert await rolling.price() == 2


async def test_a_conflict_that_goes_away_lets_it_go_on(shop: Shop) -> None:
    rolling = await Rolling.started(shop, AUTO)
    await shop.merge(None, {"price": 9})
    await rolling.passes(minutes=1_000)
    await tend(rolling)
    await shop.merge(None, {"price": 1})
    await tend(rolling)
    assert await rolling.price() == 2


async def test_a_freeze_holds_the_server(shop: Shop) -> None:
    rolling = await Rolling.started(shop, AUTO)
    await rolling.passes(minutes=29)
    made = await freezes.freeze(shop.actor, shop.project_id, "Holidays")
    await rolling.passes(minutes=2)
    await db.execute(
        "UPDATE production_freeze SET starts_at = starts_at - interval '2 minutes',"
        " created_at = created_at - interval '2 minutes' WHERE project_id = $1",
        shop.project_id,
    )
    await tend(rolling)
    now = await rolling.now()
    assert (now.position.step, now.position.waits_for) == (0, (Wait.FREEZE,))
    await freezes.lift(shop.actor, made.uuid)
    await tend(rolling)
    assert (await rolling.now()).request.step == 1


async def test_a_guard_that_fails_aborts_and_says_why(shop: Shop) -> None:
    rolling = await Rolling.started(shop, AUTO)
    await settings.update(shop.actor, shop.project_id, {"canary_error_rate_threshold": Decimal("0.05")})
    await canaries.report(shop.actor, rolling.env, Side.ENVIRONMENT, 100, 6)
    await tend(rolling, 3)
    assert (await rolling.environment()).status is EnvStatus.READY
    request = await rolling.asked()
    assert (request.status, request.reason) == (PromotionStatus.ABORTED, "error rate 6 %, allowed are 5 %")
    assert (await rolling.told_types()).count(EventType.ROLLOUT_ABORTED) == 1
    assert await rolling.price() == 1


async def test_the_four_outcomes(shop: Shop) -> None:
    rolling = await Rolling.started(shop, AUTO)
    await settings.update(shop.actor, shop.project_id, {"canary_p99_latency_ms_threshold": 200})
    await rolling.passes(minutes=31)
    await tend(rolling)
    assert (await rolling.now()).progress.guard is Outcome.NOT_MEASURED
    assert (await rolling.now()).request.step == 0
    await canaries.report(shop.actor, rolling.env, Side.ENVIRONMENT, 10, 0, 500)
    await tend(rolling)
    assert (await rolling.now()).progress.guard is Outcome.INCONCLUSIVE
    await canaries.report(shop.actor, rolling.env, Side.ENVIRONMENT, 1_000, 0, 100)
    assert (await rolling.now()).progress.guard is Outcome.PASSED
    await tend(rolling)
    assert (await rolling.now()).request.step == 1
    await canaries.report(shop.actor, rolling.env, Side.ENVIRONMENT, 1_000, 0, 300)
    await tend(rolling)
    assert (await rolling.asked()).status is PromotionStatus.ABORTED


async def test_guards_of_one_rollout_go_before_those_of_the_project(shop: Shop) -> None:
    await settings.update(shop.actor, shop.project_id, {"canary_error_rate_threshold": 0})
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    guards = [Guard(Metric.ERROR_RATE, 2, relative=True)]
    request = await promoting.promote(shop.actor, env, PromoteOptions(Strategy.CANARY, guards=guards))
    rolling = Rolling(shop, env, request)
    await canaries.report(shop.actor, env, Side.ENVIRONMENT, 1_000, 15)
    await canaries.report(shop.actor, env, Side.PRODUCTION, 1_000, 10)
    await tend(rolling)
    assert (await rolling.now()).progress.guard is Outcome.PASSED
    await canaries.report(shop.actor, env, Side.ENVIRONMENT, 1_000, 40)
    await tend(rolling)
    assert (await rolling.asked()).status is PromotionStatus.ABORTED


CONDITIONS: list[Value] = [
    {"weight": 10, "auto_advance": True, "min_sample": 100},
    {"weight": 50, "auto_advance": True},
    {"weight": 80, "auto_advance": True, "min_sample": 1},
    {"weight": 100},
]


async def test_a_sample_is_waited_for_and_never_skipped(shop: Shop) -> None:
    rolling = await Rolling.started(shop, CONDITIONS)
    await tend(rolling)
    await canaries.report(shop.actor, rolling.env, Side.ENVIRONMENT, 99, 50)
    await tend(rolling)
    assert (await rolling.now()).request.step == 0
    await canaries.report(shop.actor, rolling.env, Side.ENVIRONMENT, 1, 0)
    await tend(rolling)
    now = await rolling.now()
    assert (now.request.step, now.position.waits_for) == (2, (Wait.SAMPLE,))
    assert (await rolling.told_types()).count(STEPS) == 1


async def test_looks_are_promised(shop: Shop) -> None:
    await Rolling.started(shop, AUTO)
    assert await jobs_of(shop) == 1
    await settings.update(shop.actor, shop.project_id, {"canary_watchdog_interval_seconds": 20})
    await tending.find_rollouts()
    assert await jobs_of(shop) == 4
