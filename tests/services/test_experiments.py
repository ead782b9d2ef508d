"""A/B tests from their making to their end: what may be a side, the plan's places, stopping, declaring."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from app.domain.audit import Action
from app.domain.bucketing import Variant
from app.domain.errors import (
    DomainError,
    EnvironmentArchived,
    EnvironmentNotFound,
    Forbidden,
    ValidationFailed,
)
from app.domain.events import EventType
from app.domain.experiment_errors import (
    EnvironmentUnderWay,
    ExperimentNotActive,
    ExperimentNotFound,
    ExperimentRunning,
)
from app.domain.experiments import ExperimentStatus
from app.domain.freezes import ProductionFrozen
from app.domain.model import Actor, Plan, Project, Role, Strategy
from app.domain.plans import SandboxLimitExceeded, SandboxNotAvailable
from app.domain.promotion import PromotionStatus
from app.domain.values import Value
from app.services import (
    canaries,
    deciding,
    declaring,
    documents,
    environments,
    experiments,
    freezes,
    operator,
    plan_limits,
    projects,
    promoting,
    settings,
)
from app.services.experiments import Design
from app.services.promoting import PromoteOptions
from app.storage import db, events
from app.storage import experiments as stored
from tests.conftest import MakeActor
from tests.services.test_freezes import recorded
from tests.services.test_project_settings import add_member
from tests.services.trying import Trial, fork

A, B = Variant
ONE_STEP: list[Value] = [{"weight": 10, "pause_minutes": 1}, {"weight": 100, "pause_minutes": 0}]


@pytest.fixture
async def trial(actor: Actor, project: Project) -> Trial:
    return await Trial.made(actor, project)


async def told_of(trial: Trial) -> list[EventType]:
    return [event.type for event in await events.page(trial.project.id, 0, 200) if event.subject == trial.test.uuid]


async def title(trial: Trial) -> object:
    """Return what production shows."""
    found = await documents.list_documents(trial.actor, trial.project.id, None, "page")
    return [document.state for document in found.items]


async def test_a_test_is_made(trial: Trial) -> None:
    test = trial.test
    assert (test.env_a_uuid, test.env_b_uuid) == (trial.project.production_uuid, trial.tried)
    assert (test.status, test.winner, test.split_pct, test.ab_seed) == (ExperimentStatus.ACTIVE, None, 50, "seed")
    assert await experiments.get(trial.actor, test.uuid, trial.project.id) == test
    assert await stored.active(trial.project.id) == [test]
    assert await told_of(trial) == [EventType.EXPERIMENT_STARTED]
    assert await recorded(trial.project.id, Action.CREATE_EXPERIMENT) == [(Action.CREATE_EXPERIMENT, None)]
    other = await experiments.create(trial.actor, Design(trial.project.production_uuid, trial.tried, 1))
    assert len(other.ab_seed) == 32
    assert await stored.active(trial.project.id) == [test, other]
    first = await experiments.list_experiments(trial.actor, trial.project.id, limit=1)
    rest = await experiments.list_experiments(trial.actor, trial.project.id, limit=1, cursor=first.next_cursor)
    assert [*first.items, *rest.items] == [other, test]
    assert rest.next_cursor is None


async def test_what_cannot_be_a_test(trial: Trial, make_actor: MakeActor) -> None:
    actor, project = trial.actor, trial.project
    archived = await fork(actor, project, "archived")
    await environments.archive(actor, archived)
    elsewhere = await projects.create(actor, "Elsewhere")
    stranger = await make_actor()
    theirs = await projects.create(stranger, "Theirs")
    good = Design(project.production_uuid, trial.tried)
    bad: list[tuple[Design, type[DomainError]]] = [
        (replace(good, env_b_uuid=good.env_a_uuid), ValidationFailed),
        (replace(good, env_a_uuid=trial.tried, env_b_uuid=good.env_a_uuid), ValidationFailed),
        (replace(good, env_a_uuid=trial.tried), ValidationFailed),
        (replace(good, env_b_uuid=archived), EnvironmentArchived),
        (replace(good, env_a_uuid=archived), EnvironmentArchived),
        (replace(good, env_b_uuid=elsewhere.production_uuid), EnvironmentNotFound),
        (replace(good, env_a_uuid=elsewhere.production_uuid), EnvironmentNotFound),
        (replace(good, env_a_uuid=theirs.production_uuid), EnvironmentNotFound),
        (replace(good, env_b_uuid=uuid4()), EnvironmentNotFound),
        (replace(good, split_pct=-1), ValidationFailed),
        (replace(good, split_pct=101), ValidationFailed),
        (replace(good, metric=""), ValidationFailed),
        (replace(good, metric="x" * 201), ValidationFailed),
        (replace(good, ab_seed=""), ValidationFailed),
        (replace(good, ab_seed="x" * 201), ValidationFailed),
    ]
    for design, refusal in bad:
        with pytest.raises(refusal):
            await experiments.create(actor, design)
    assert await stored.active(project.id) == [trial.test]
    assert (await plan_limits.usage(actor, project.id)).ab_tests == 1


async def test_what_is_on_its_way_to_production_is_no_side(actor: Actor, project: Project) -> None:
    pending, rolling = await fork(actor, project, "pending"), await fork(actor, project, "rolling")
    await documents.put(actor, project.id, "rolling", "page", "a", {})
    await promoting.promote(actor, pending, PromoteOptions(Strategy.BLUE_GREEN))
    await promoting.promote(actor, rolling, PromoteOptions(Strategy.CANARY))
    for side in (pending, rolling):
        with pytest.raises(EnvironmentUnderWay):
            await experiments.create(actor, Design(project.production_uuid, side))
    assert await stored.active(project.id) == []


async def test_the_plan_counts_tests_that_run(trial: Trial) -> None:
    actor, project = trial.actor, trial.project
    design = Design(project.production_uuid, trial.tried)
    await operator.set_plan(project.id, Plan.BASIC)
    with pytest.raises(SandboxLimitExceeded) as refusal:
        await experiments.create(actor, design)
    assert refusal.value.fields["limit_type"] == "sandbox_ab_test_count"
    await experiments.stop(actor, trial.test.uuid)
    assert (await plan_limits.usage(actor, project.id)).ab_tests == 0
    await experiments.create(actor, design)
    await operator.set_plan(project.id, Plan.STARTER)
    with pytest.raises(SandboxNotAvailable):
        await experiments.create(actor, design)


async def test_50_tests_for_one_place(actor: Actor) -> None:
    project = await projects.create(actor, "Races", Plan.BASIC)
    tried = await fork(actor, project, "tried")
    design = Design(project.production_uuid, tried)
    results = await asyncio.gather(*(experiments.create(actor, design) for _ in range(50)), return_exceptions=True)
    assert [result for result in results if not isinstance(result, SandboxLimitExceeded)] == await stored.active(
        project.id
    )
    assert len(await stored.active(project.id)) == 1


async def test_a_test_is_stopped_once(trial: Trial, make_actor: MakeActor) -> None:
    viewer, stranger = await make_actor(), await make_actor()
    await add_member(trial.project, viewer, Role.VIEWER)
    for who, refusal in ((viewer, Forbidden), (stranger, ExperimentNotFound)):
        with pytest.raises(refusal):
            await experiments.stop(who, trial.test.uuid)
    with pytest.raises(ValidationFailed):
        await experiments.stop(trial.actor, trial.test.uuid, " ")
    stopped = await experiments.stop(trial.actor, trial.test.uuid, "Enough")
    assert (stopped.status, stopped.reason, stopped.winner) == (ExperimentStatus.STOPPED, "Enough", None)
    assert stopped.ended_at is not None
    with pytest.raises(ExperimentNotActive):
        await experiments.stop(trial.actor, trial.test.uuid)
    with pytest.raises(ExperimentNotActive):
        await declaring.declare(trial.actor, trial.test.uuid, A, PromoteOptions())
    assert await told_of(trial) == [EventType.EXPERIMENT_STARTED, EventType.EXPERIMENT_STOPPED]


async def test_an_archived_side_stops_the_test(trial: Trial) -> None:
    await environments.archive(trial.actor, trial.tried)
    stopped = await trial.now()
    assert stopped.status is ExperimentStatus.STOPPED
    assert stopped.reason == "The environment 'tried' was archived."
    assert await told_of(trial) == [EventType.EXPERIMENT_STARTED, EventType.EXPERIMENT_STOPPED]


async def test_a_side_that_expires_stops_the_test(trial: Trial) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    await db.execute("UPDATE environment SET expires_at = $1 WHERE uuid = $2", past, trial.tried)
    await environments.archive_expired(trial.project.id, trial.tried)
    stopped = await trial.now()
    assert (stopped.status, stopped.reason) == (ExperimentStatus.STOPPED, "The environment 'tried' has expired.")


async def test_a_side_reaches_production_by_winning(trial: Trial) -> None:
    with pytest.raises(ExperimentRunning) as refusal:
        await promoting.promote(trial.actor, trial.tried, PromoteOptions())
    assert refusal.value.fields["test_id"] == str(trial.test.uuid)
    assert await title(trial) == []
    done = await declaring.declare(trial.actor, trial.test.uuid, B, PromoteOptions())
    assert done.promotion is not None
    assert done.promotion.status is PromotionStatus.COMPLETED
    assert (done.experiment.status, done.experiment.winner) == (ExperimentStatus.COMPLETED, B)
    assert done.experiment.promotion_uuid == done.promotion.uuid
    assert await title(trial) == [{"title": "New"}]
    assert await told_of(trial) == [EventType.EXPERIMENT_STARTED, EventType.EXPERIMENT_DECLARED]
    assert await recorded(trial.project.id, Action.DECLARE_WINNER) == [(Action.DECLARE_WINNER, None)]
    assert (await environments.get(trial.actor, trial.tried)).status.value == "live"
    # The test is over: whatever comes next is a promotion as any other.
    await promoting.promote(trial.actor, trial.tried, PromoteOptions())


async def test_production_wins_without_a_promotion(trial: Trial) -> None:
    done = await declaring.declare(trial.actor, trial.test.uuid, A, PromoteOptions())
    assert done.promotion is None
    assert (done.experiment.status, done.experiment.winner) == (ExperimentStatus.COMPLETED, A)
    assert await title(trial) == []
    assert await told_of(trial) == [EventType.EXPERIMENT_STARTED, EventType.EXPERIMENT_DECLARED]
    await promoting.promote(trial.actor, trial.tried, PromoteOptions())


async def test_the_winner_is_set_when_the_promotion_completes(trial: Trial) -> None:
    actor, test = trial.actor, trial.test.uuid
    done = await declaring.declare(actor, test, B, PromoteOptions(Strategy.BLUE_GREEN))
    assert done.promotion is not None
    assert done.promotion.status is PromotionStatus.PENDING_APPROVAL
    assert (done.experiment.status, done.experiment.winner) == (ExperimentStatus.ACTIVE, None)
    await deciding.reject(actor, done.promotion.uuid, "Not yet")
    assert (await trial.now()).is_active
    again = await declaring.declare(actor, test, B, PromoteOptions(Strategy.BLUE_GREEN))
    assert again.promotion is not None
    await deciding.approve(actor, again.promotion.uuid)
    after = await trial.now()
    assert (after.status, after.winner, after.promotion_uuid) == (ExperimentStatus.COMPLETED, B, again.promotion.uuid)


async def test_a_canary_declares_with_its_last_step(trial: Trial) -> None:
    options = PromoteOptions(Strategy.CANARY, rollout_steps=ONE_STEP)
    done = await declaring.declare(trial.actor, trial.test.uuid, B, options)
    assert done.promotion is not None
    assert done.promotion.status is PromotionStatus.ROLLING_OUT
    assert done.experiment.winner is None
    standing = await canaries.advance(trial.actor, trial.tried)
    assert standing.completed
    assert (await trial.now()).winner is B


async def test_an_aborted_canary_leaves_the_test_as_it_was(trial: Trial) -> None:
    options = PromoteOptions(Strategy.CANARY, rollout_steps=ONE_STEP)
    await declaring.declare(trial.actor, trial.test.uuid, B, options)
    await canaries.abort(trial.actor, trial.tried)
    assert (await trial.now()).is_active
    assert (await trial.expose(trial.dealt(A, 1))).accepted == 1


async def test_a_test_stopped_meanwhile_gets_no_winner(trial: Trial) -> None:
    done = await declaring.declare(trial.actor, trial.test.uuid, B, PromoteOptions(Strategy.BLUE_GREEN))
    assert done.promotion is not None
    await experiments.stop(trial.actor, trial.test.uuid)
    await deciding.approve(trial.actor, done.promotion.uuid)
    after = await trial.now()
    assert (after.status, after.winner) == (ExperimentStatus.STOPPED, None)
    assert await title(trial) == [{"title": "New"}]


async def test_a_blocked_declaration_changes_nothing(trial: Trial) -> None:
    await documents.put(trial.actor, trial.project.id, None, "page", "a", {"title": "Meanwhile"})
    done = await declaring.declare(trial.actor, trial.test.uuid, B, PromoteOptions())
    assert done.promotion is not None
    assert done.promotion.status is PromotionStatus.BLOCKED
    assert await trial.now() == trial.test


async def test_declaring_goes_through_the_gate(trial: Trial, make_actor: MakeActor) -> None:
    viewer = await make_actor()
    await add_member(trial.project, viewer, Role.VIEWER)
    with pytest.raises(Forbidden):
        await declaring.declare(viewer, trial.test.uuid, B, PromoteOptions())
    await freezes.freeze(trial.actor, trial.project.id, "Holidays")
    with pytest.raises(ProductionFrozen):
        await declaring.declare(trial.actor, trial.test.uuid, B, PromoteOptions())
    assert await trial.now() == trial.test
    done = await declaring.declare(trial.actor, trial.test.uuid, B, PromoteOptions(override_freeze=True))
    assert done.experiment.winner is B


async def test_on_enterprise_a_declaration_waits_for_approval(trial: Trial, make_actor: MakeActor) -> None:
    await operator.set_plan(trial.project.id, Plan.ENTERPRISE)
    admin = await make_actor()
    await add_member(trial.project, admin, Role.ADMIN)
    done = await declaring.declare(trial.actor, trial.test.uuid, B, PromoteOptions())
    assert done.promotion is not None
    assert done.promotion.status is PromotionStatus.PENDING_APPROVAL
    assert (await trial.now()).is_active
    await deciding.approve(admin, done.promotion.uuid)
    assert (await trial.now()).winner is B


async def test_a_control_that_the_promotion_retires_does_not_stop_its_own_test(actor: Actor, project: Project) -> None:
    former, tried = await fork(actor, project, "former"), await fork(actor, project, "tried")
    await promoting.promote(actor, former, PromoteOptions())
    await documents.put(actor, project.id, "tried", "page", "a", {})
    test = await experiments.create(actor, Design(former, tried))
    third = await fork(actor, project, "third")
    beside = await experiments.create(actor, Design(former, third))
    done = await declaring.declare(actor, test.uuid, B, PromoteOptions())
    assert (done.experiment.status, done.experiment.winner) == (ExperimentStatus.COMPLETED, B)
    stopped = await experiments.get(actor, beside.uuid)
    assert (stopped.status, stopped.reason) == (ExperimentStatus.STOPPED, "The environment 'former' was archived.")


async def test_a_side_is_not_promoted_by_passing_its_checks(trial: Trial) -> None:
    await settings.update(trial.actor, trial.project.id, {"auto_promote_on_all_pass": True})
    done = await promoting.validate(trial.actor, trial.tried)
    assert done.checks.all_passed
    assert await title(trial) == []
    assert (await trial.now()).is_active


async def test_a_test_and_a_promotion_at_once(actor: Actor, project: Project) -> None:
    """Whichever comes first, no promotion of a side is under way while its test runs."""
    for number in range(8):
        side = await fork(actor, project, f"side {number}")
        await documents.put(actor, project.id, f"side {number}", "page", "a", {"n": number})
        made, asked = await asyncio.gather(
            experiments.create(actor, Design(project.production_uuid, side)),
            promoting.promote(actor, side, PromoteOptions(Strategy.BLUE_GREEN)),
            return_exceptions=True,
        )
        assert isinstance(made, EnvironmentUnderWay) != isinstance(asked, ExperimentRunning)
        for test in await stored.active(project.id):
            await experiments.stop(actor, test.uuid)
        await _archive(actor, side)


async def _archive(actor: Actor, uuid: UUID) -> None:
    await environments.archive(actor, uuid)
