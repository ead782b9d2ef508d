"""Canary rollouts in the database, as people steer them."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest

from app.domain.audit import Action, Filter
from app.domain.canary import Wait
from app.domain.errors import DomainError, EnvironmentArchived, Forbidden, ValidationFailed, WriteWhileRollingOut
from app.domain.events import EventType
from app.domain.freezes import ProductionFrozen
from app.domain.guards import Side
from app.domain.model import Actor, EnvStatus, Role, Scope, Strategy
from app.domain.promotion import DocumentResolution, PromotionStatus
from app.domain.promotion_errors import (
    NothingToApprove,
    NotRollingOut,
    RolloutBlocked,
    RolloutHeld,
    SelfApprovalForbidden,
)
from app.domain.three_way import Side as Of
from app.domain.values import MISSING
from app.services import canaries, deciding, environments, freezes, promoting, settings
from app.services.promoting import PromoteOptions
from app.storage import audit, db, projects
from app.storage.codec import dumps
from tests.conftest import MakeActor
from tests.services.invariants import check_invariants
from tests.services.rolling import AUTO, Rolling
from tests.services.shop import Shop
from tests.services.test_project_settings import add_member

STEPS = EventType.ROLLOUT_ADVANCED


async def _member(shop: Shop, make_actor: MakeActor, role: Role) -> Actor:
    project = await projects.get(shop.project_id)
    assert project is not None
    member = await make_actor()
    await add_member(project, member, role)
    return member


async def test_step_by_step_into_production(shop: Shop) -> None:
    rolling = await Rolling.started(shop)
    weights = []
    for weight, previous in ((20, 5), (50, 20)):
        moved = await canaries.advance(shop.actor, rolling.env)
        assert (moved.status, moved.traffic_weight, moved.previous_traffic_weight) == (
            EnvStatus.ROLLING_OUT,
            weight,
            previous,
        )
        assert not moved.completed
        weights.append((await rolling.environment()).traffic_weight)
        assert await rolling.price() == 1
    assert weights == [20, 50]
    moved = await canaries.advance(shop.actor, rolling.env)
    assert (moved.status, moved.traffic_weight, moved.completed, moved.step) == (EnvStatus.LIVE, 100, True, 4)
    assert await rolling.price() == 2
    request = await rolling.asked()
    assert (request.status, request.release_uuid) == (PromotionStatus.COMPLETED, moved.release_uuid)
    assert await rolling.told_types() == [EventType.ROLLOUT_STARTED, STEPS, STEPS, EventType.ROLLOUT_COMPLETED]
    await check_invariants(shop.project_id)
    with pytest.raises(NotRollingOut):
        await canaries.advance(shop.actor, rolling.env)


async def test_events_say_where_it_stands(shop: Shop) -> None:
    rolling = await Rolling.started(shop)
    await canaries.advance(shop.actor, rolling.env)
    started, advanced = await rolling.told()
    wanted = {"status": "rolling_out", "traffic_weight": 5, "previous_traffic_weight": 0, "step": 1, "steps": 4}
    assert {name: started.data[name] for name in wanted} == wanted
    wanted = {"traffic_weight": 20, "previous_traffic_weight": 5, "step": 2, "steps": 4, "reason": None}
    assert {name: advanced.data[name] for name in wanted} == wanted
    assert advanced.data["next_step_at"] is not None
    assert (started.env_uuid, started.subject) == (rolling.env, rolling.request.uuid)


async def test_an_early_step_is_marked_and_a_punctual_one_is_not(shop: Shop) -> None:
    rolling = await Rolling.started(shop)
    assert (await canaries.advance(shop.actor, rolling.env)).early
    await rolling.passes(minutes=61)
    assert not (await canaries.advance(shop.actor, rolling.env)).early
    assert (await canaries.advance(shop.actor, rolling.env)).early
    rows = await audit.list_page(shop.project_id, Filter(actions=(Action.ADVANCE_CANARY,)), 9, None)
    assert ['"early":true' in dumps(dict(row.after or {})).replace(" ", "") for row in rows] == [True, False, True]


async def test_the_environment_cannot_be_written_meanwhile(shop: Shop) -> None:
    rolling = await Rolling.started(shop)
    with pytest.raises(WriteWhileRollingOut):
        await shop.merge("env", {"price": 3})
    await canaries.abort(shop.actor, rolling.env)
    await shop.merge("env", {"price": 3})


async def test_abort_puts_everything_back(shop: Shop) -> None:
    rolling = await Rolling.started(shop)
    await canaries.advance(shop.actor, rolling.env)
    ended = await canaries.abort(shop.actor, rolling.env, reason="Too slow")
    assert (ended.status, ended.traffic_weight, ended.previous_traffic_weight, ended.reason) == (
        EnvStatus.READY,
        0,
        20,
        "Too slow",
    )
    environment = await rolling.environment()
    assert (environment.status, environment.traffic_weight) == (EnvStatus.READY, 0)
    request = await rolling.asked()
    assert (request.status, request.reason, request.ended_at is None) == (PromotionStatus.ABORTED, "Too slow", False)
    assert await rolling.price() == 1
    assert (await rolling.told())[-1].data["reason"] == "Too slow"
    with pytest.raises(NotRollingOut):
        await canaries.abort(shop.actor, rolling.env)
    with pytest.raises(ValidationFailed):
        await canaries.abort(shop.actor, rolling.env, reason="x" * 2_001)


async def test_archiving_ends_the_rollout(shop: Shop) -> None:
    rolling = await Rolling.started(shop)
    await environments.archive(shop.actor, rolling.env)
    request = await rolling.asked()
    assert (request.status, request.ended_at is None) == (PromotionStatus.ABORTED, False)
    with pytest.raises(EnvironmentArchived):
        await canaries.advance(shop.actor, rolling.env)


async def test_an_abort_as_failed_asks_for_new_checks(shop: Shop) -> None:
    rolling = await Rolling.started(shop)
    assert (await canaries.abort(shop.actor, rolling.env, mark_failed=True)).status is EnvStatus.DRAFT


async def test_a_re_promotion_that_is_aborted_has_the_weight_from_before(shop: Shop) -> None:
    rolling = await Rolling.started(shop)
    for _ in range(3):
        await canaries.advance(shop.actor, rolling.env)
    await shop.merge("env", {"price": 3})
    await db.execute(
        "UPDATE environment SET traffic_weight = 100 WHERE project_id = $1 AND uuid = $2", shop.project_id, rolling.env
    )
    await promoting.promote(shop.actor, rolling.env, PromoteOptions(Strategy.CANARY))
    ended = await canaries.abort(shop.actor, rolling.env)
    assert (ended.status, ended.traffic_weight) == (EnvStatus.READY, 100)


async def test_a_conflict_at_the_last_step_changes_nothing_and_takes_resolutions(shop: Shop) -> None:
    rolling = await Rolling.started(shop, [{"weight": 50}, {"weight": 100}])
    await shop.merge(None, {"price": 9, "title": "New"})
    before = await rolling.environment()
    with pytest.raises(RolloutBlocked) as refusal:
        await canaries.advance(shop.actor, rolling.env)
    sides = {"base": 1, "ours": 9, "theirs": 2, "absent": []}
    assert refusal.value.fields["conflicts"] == [{"kind": "page", "key": "a", "path": "/price", **sides}]
    checks = refusal.value.fields["checks"]
    assert isinstance(checks, dict)
    assert [name for name, passed in checks.items() if not passed] == ["conflicts_resolved"]
    assert await rolling.environment() == before
    assert await rolling.price() == 9
    moved = await canaries.advance(
        shop.actor, rolling.env, [DocumentResolution("page", "a", "/price", Of.THEIRS, MISSING)]
    )
    assert moved.completed
    state = await shop.state(None)
    assert isinstance(state, dict)
    assert (state["price"], state["title"]) == (2, "New")
    await check_invariants(shop.project_id)


async def test_a_plan_that_ends_before_all_is_completed_by_hand(shop: Shop) -> None:
    rolling = await Rolling.started(shop, [{"weight": 10}, {"weight": 60}])
    assert (await canaries.advance(shop.actor, rolling.env)).traffic_weight == 60
    moved = await canaries.advance(shop.actor, rolling.env)
    assert (moved.completed, moved.traffic_weight, moved.step) == (True, 100, 2)


async def test_the_weight_follows_the_clock_before_anybody_commits_it(shop: Shop) -> None:
    rolling = await Rolling.started(shop, AUTO)
    await rolling.passes(minutes=31)
    now = await rolling.now()
    assert (now.position.step, now.position.weight, now.environment.traffic_weight) == (1, 20, 5)
    moved = await canaries.advance(shop.actor, rolling.env)
    assert (moved.traffic_weight, moved.previous_traffic_weight, moved.early) == (50, 20, True)


async def test_a_freeze_stops_advancing_but_not_aborting(shop: Shop) -> None:
    rolling = await Rolling.started(shop)
    await freezes.freeze(shop.actor, shop.project_id, "Holidays")
    with pytest.raises(ProductionFrozen):
        await canaries.advance(shop.actor, rolling.env)
    assert (await rolling.now()).position.step == 0
    moved = await canaries.advance(shop.actor, rolling.env, override_freeze=True)
    assert moved.traffic_weight == 20
    rows = await audit.list_page(shop.project_id, Filter(actions=(Action.PASS_FREEZE,)), 9, None)
    assert len(rows) == 1
    assert (await canaries.abort(shop.actor, rolling.env)).status is EnvStatus.READY


async def test_two_who_advance_at_once_take_one_step(shop: Shop) -> None:
    rolling = await Rolling.started(shop, [{"weight": weight} for weight in (1, 2, 3, 4, 5, 100)])
    outcomes = await asyncio.gather(
        *(canaries.advance(shop.actor, rolling.env) for _ in range(6)), return_exceptions=True
    )
    moved = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert {type(outcome).__name__ for outcome in outcomes} <= {"Standing", "RolloutMoved", "Busy"}
    assert sorted(each.step for each in moved) == list(range(2, 2 + len(moved)))
    assert (await rolling.environment()).traffic_weight == 1 + len(moved)
    assert (await rolling.told_types()).count(STEPS) == len(moved)


async def test_abort_and_the_last_step_at_once_one_wins(shop: Shop) -> None:
    rolling = await Rolling.started(shop, [{"weight": 50}, {"weight": 100}])
    outcomes = await asyncio.gather(
        canaries.advance(shop.actor, rolling.env), canaries.abort(shop.actor, rolling.env), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(refused) == 1
    assert isinstance(refused[0], NotRollingOut)
    ended = (await rolling.told_types())[-1]
    assert (await rolling.price() == 2) is (ended is EventType.ROLLOUT_COMPLETED)
    await check_invariants(shop.project_id)


async def test_what_changed_since_it_was_approved_has_to_be_approved_again(shop: Shop, make_actor: MakeActor) -> None:
    approver = await _member(shop, make_actor, Role.ADMIN)
    await settings.update(shop.actor, shop.project_id, {"auto_generation_approval_mode": "at_least_one"})
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    request = await promoting.promote(shop.actor, env, PromoteOptions(Strategy.CANARY))
    assert request.status is PromotionStatus.PENDING_APPROVAL
    request = (await deciding.approve(approver, request.uuid)).promotion
    rolling = Rolling(shop, env, request)
    assert (await canaries.advance(shop.actor, env)).traffic_weight == 20
    await shop.merge(None, {"price": 9})
    for _ in range(2):
        with pytest.raises(RolloutHeld):
            await canaries.advance(shop.actor, env)
    assert (await rolling.asked()).approvers == []
    assert (await rolling.told_types()).count(EventType.ROLLOUT_HELD) == 1
    with pytest.raises(SelfApprovalForbidden):
        await deciding.approve(shop.actor, None, env_uuid=env)
    await shop.merge(None, {"price": 8})
    decision = await deciding.approve(approver, None, env_uuid=env)
    assert [(change.path, change.ours) for change in decision.changed] == [("/price", 8)]
    assert decision.promotion.approvers == []
    decision = await deciding.approve(approver, None, env_uuid=env)
    assert (decision.changed, len(decision.promotion.approvers)) == ([], 1)
    assert (await canaries.advance(shop.actor, env)).traffic_weight == 50
    with pytest.raises(RolloutBlocked):
        await canaries.advance(shop.actor, env)


async def test_a_step_is_approved_by_somebody_else(shop: Shop, make_actor: MakeActor) -> None:
    approver, editor = [await _member(shop, make_actor, role) for role in (Role.ADMIN, Role.EDITOR)]
    rolling = await Rolling.started(
        shop, [{"weight": 10, "auto_advance": True, "approval": True}, {"weight": 50}, {"weight": 100}]
    )
    assert (await rolling.now()).position.waits_for == (Wait.APPROVAL,)
    with pytest.raises(Forbidden):
        await deciding.approve(editor, rolling.request.uuid)
    with pytest.raises(SelfApprovalForbidden):
        await deciding.approve(shop.actor, rolling.request.uuid)
    await deciding.approve(approver, rolling.request.uuid)
    now = (await rolling.now()).position
    assert (now.waits_for, now.due) == ((), 1)
    with pytest.raises(NothingToApprove):
        await deciding.approve(approver, rolling.request.uuid)
    await canaries.advance(shop.actor, rolling.env)
    with pytest.raises(NothingToApprove):
        await deciding.approve(approver, rolling.request.uuid)


async def test_reports_add_up_for_the_present_step(shop: Shop) -> None:
    rolling = await Rolling.started(shop)
    await settings.update(shop.actor, shop.project_id, {"canary_error_rate_threshold": Decimal("0.05")})
    await canaries.report(shop.actor, rolling.env, Side.ENVIRONMENT, 40, 1, 100)
    await canaries.report(shop.actor, rolling.env, Side.PRODUCTION, 1_000, 10)
    seen = await canaries.report(shop.actor, rolling.env, Side.ENVIRONMENT, 120, 2, 300)
    assert seen.environment == {"requests": 160, "errors": 3, "latency_p99_ms": 250}
    assert seen.production == {"requests": 1_000, "errors": 10, "latency_p99_ms": None}
    assert [(judged.metric, judged.outcome) for judged in seen.guards] == [("error_rate", "passed")]
    await canaries.advance(shop.actor, rolling.env)
    now = await rolling.now()
    assert (now.environment_health.requests, now.verdicts[0].outcome) == (0, "not_measured")
    for requests, errors, latency in ((0, 0, None), (5, 6, None), (5, 0, -1)):
        with pytest.raises(ValidationFailed):
            await canaries.report(shop.actor, rolling.env, Side.ENVIRONMENT, requests, errors, latency)
    await canaries.abort(shop.actor, rolling.env)
    with pytest.raises(NotRollingOut):
        await canaries.report(shop.actor, rolling.env, Side.ENVIRONMENT, 1, 0)


async def test_reports_at_once_are_all_counted(shop: Shop) -> None:
    rolling = await Rolling.started(shop)
    await asyncio.gather(*(canaries.report(shop.actor, rolling.env, Side.ENVIRONMENT, 10, 1) for _ in range(12)))
    now = await rolling.now()
    assert (now.environment_health.requests, now.environment_health.errors) == (120, 12)


async def test_who_may_steer(shop: Shop, make_actor: MakeActor) -> None:
    rolling = await Rolling.started(shop)
    viewer, stranger = await _member(shop, make_actor, Role.VIEWER), await make_actor()
    key = replace(shop.actor, key_uuid=uuid4(), project_id=shop.project_id, name="key", scopes=frozenset({Scope.WRITE}))
    for other in (viewer, stranger, key):
        for attempt in (canaries.advance(other, rolling.env), canaries.abort(other, rolling.env)):
            with pytest.raises(DomainError):
                await attempt
    assert (await rolling.now()).position.step == 0
    promoting = replace(key, scopes=frozenset({Scope.PROMOTE}))
    assert (await canaries.advance(promoting, rolling.env)).traffic_weight == 20
