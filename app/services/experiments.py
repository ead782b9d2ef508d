"""A/B tests as people and programs use them: made, looked at, stopped; users dealt to their variants (semantics §5)."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from uuid import UUID, uuid4

from app.domain import ab_metrics, ab_stats, plans
from app.domain.ab_metrics import Metrics, Tally
from app.domain.audit import Action
from app.domain.bucketing import Variant
from app.domain.errors import EnvironmentNotFound
from app.domain.events import EventType
from app.domain.experiment_errors import EnvironmentUnderWay, ExperimentNotFound
from app.domain.experiments import Experiment, ExperimentStatus, check_design, check_reason, check_sides
from app.domain.ingestion import Told, read_batch
from app.domain.model import Actor, Environment
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.plans import Limit
from app.domain.policy import Operation
from app.domain.routing import check_user
from app.domain.values import MISSING
from app.services import access, plan_limits, recording
from app.services.ending import is_overdue
from app.services.experiment_ends import hold_active, object_of, tell
from app.services.experiment_ends import stop as stop_held
from app.services.operation import operation
from app.storage import db, environments, experiment_counts, promotions
from app.storage import experiments as stored


@dataclass(frozen=True, slots=True)
class Design:
    """A test to be made: side B is shown to ``split_pct`` percent of all users. Without a seed it gets a random one."""

    env_a_uuid: UUID
    env_b_uuid: UUID
    split_pct: int = 50
    metric: str = ab_metrics.CONVERSION
    ab_seed: str | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """The side of a test that a user is on. ``exposed``: this answer was counted as the user's seeing it."""

    experiment: Experiment
    user: str
    variant: Variant
    exposed: bool

    @property
    def env_uuid(self) -> UUID:
        return self.experiment.side(self.variant)


async def find(actor: Actor, test_uuid: UUID, project_id: int | None, op: Operation) -> Experiment:
    """Return a test that the actor may do ``op`` with. Raises ExperimentNotFound, Forbidden."""
    found = await access.seek(actor, project_id, lambda ids: stored.get(ids, test_uuid))
    if found is None:
        raise ExperimentNotFound
    await access.authorize(actor, found.project_id, op, found.env_b_uuid)
    _prepare_statistics()
    return found


@cache
def _prepare_statistics() -> None:
    # Whoever has tests will ask for metrics: the first answer need not wait for the library.
    asyncio.get_running_loop().run_in_executor(None, ab_stats.load)


async def get(actor: Actor, test_uuid: UUID, project_id: int | None = None) -> Experiment:
    """Return a test. Raises ExperimentNotFound."""
    return await find(actor, test_uuid, project_id, Operation.READ)


async def list_experiments(
    actor: Actor,
    project_id: int,
    *,
    statuses: Sequence[ExperimentStatus] = (),
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Experiment]:
    """Return the project's tests, the newest first. Raises ProjectNotFound, Forbidden."""
    await access.authorize(actor, project_id, Operation.READ)
    check_limit(limit)
    position = decode_cursor(cursor, int, str) if cursor else None
    before = (int(position[0]), str(position[1])) if position else None
    found = await stored.list_page(project_id, statuses, limit + 1, before)
    more = len(found) > limit
    return Page(found[:limit], encode_cursor(*stored.sort_key(found[limit - 1])) if more else None)


@operation(Action.CREATE_EXPERIMENT)
async def create(actor: Actor, design: Design, project_id: int | None = None) -> Experiment:
    """Make a test that runs from now on.

    Its sides are two environments of one project that are not archived and have no promotion under way; production
    may be the control, A. Raises EnvironmentNotFound, EnvironmentArchived, EnvironmentUnderWay, ValidationFailed,
    SandboxLimitExceeded, SandboxNotAvailable, Forbidden.
    """
    control = await access.seek(actor, project_id, lambda ids: environments.get(ids, design.env_a_uuid))
    if control is None:
        raise EnvironmentNotFound(str(design.env_a_uuid))
    tried = await access.environment_by_uuid(actor, design.env_b_uuid, Operation.MANAGE_EXPERIMENTS, control.project_id)
    seed = secrets.token_hex(16) if design.ab_seed is None else design.ab_seed
    check_sides(control, tried)
    check_design(design.split_pct, design.metric, seed)
    made = Experiment(
        project_id=control.project_id,
        uuid=uuid4(),
        env_a_uuid=control.uuid,
        env_b_uuid=tried.uuid,
        split_pct=design.split_pct,
        ab_seed=seed,
        metric=design.metric,
        status=ExperimentStatus.ACTIVE,
        winner=None,
        declared=None,
        promotion_uuid=None,
        reason=None,
        created_by=actor.name,
        created_at=datetime.now(UTC),
        ended_at=None,
    )
    return await _create(made)


@db.atomic()
async def _create(wanted: Experiment) -> Experiment:
    plans.check_experiment(await plan_limits.hold(wanted.project_id, Limit.AB_TEST_COUNT))
    sides = {uuid: await _hold_side(wanted.project_id, uuid) for uuid in sorted((wanted.env_a_uuid, wanted.env_b_uuid))}
    check_sides(sides[wanted.env_a_uuid], sides[wanted.env_b_uuid])
    made = await stored.add(wanted)
    await tell(made, EventType.EXPERIMENT_STARTED)
    await recording.record(made.project_id, object_of(made), env_uuid=made.env_b_uuid, change=(MISSING, made.facts()))
    return made


async def _hold_side(project_id: int, uuid: UUID) -> Environment:
    """Return an environment that nobody promotes or archives until this transaction has ended."""
    held = await environments.lock(project_id, uuid, "SHARE")
    if held is None:
        raise EnvironmentNotFound(str(uuid))
    under_way = await promotions.open_of(project_id, uuid)
    if under_way is not None and not is_overdue(under_way):
        raise EnvironmentUnderWay(uuid)
    return held


@operation(Action.STOP_EXPERIMENT)
async def stop(actor: Actor, test_uuid: UUID, reason: str | None = None, project_id: int | None = None) -> Experiment:
    """Stop a test without a winner. Nothing is counted any more; users keep their variants.

    Raises ExperimentNotFound, ExperimentNotActive, ValidationFailed, Forbidden.
    """
    seen = await find(actor, test_uuid, project_id, Operation.MANAGE_EXPERIMENTS)
    return await _stop(seen, f"stopped by {actor.name}" if reason is None else check_reason(reason))


@db.atomic()
async def _stop(seen: Experiment, reason: str) -> Experiment:
    before = await hold_active(seen)
    after = await stop_held(before, reason)
    change = (before.facts(), after.facts())
    await recording.record(after.project_id, object_of(after), env_uuid=after.env_b_uuid, change=change)
    return after


async def variant(
    actor: Actor, test_uuid: UUID, user: str, *, expose: bool = True, project_id: int | None = None
) -> Assignment:
    """Return the variant of a user, and count that it is seen, unless told not to or the test has ended.

    Raises ExperimentNotFound, ValidationFailed, Forbidden.
    """
    check_user(user)
    seen = await find(actor, test_uuid, project_id, Operation.EVALUATE)
    exposed = expose and seen.is_active and await _expose_one(seen, user)
    return Assignment(seen, user, seen.variant_of(user), exposed)


@db.atomic()
async def _expose_one(seen: Experiment, user: str) -> bool:
    held = await stored.hold_counting(seen.project_id, seen.uuid)
    if held is None or not held.is_active:
        return False
    users, _ = read_batch(held, [Told(user)])
    await experiment_counts.expose(held, users)
    return True


async def metrics(
    actor: Actor,
    test_uuid: UUID,
    *,
    effect_pct: float | None = None,
    baseline_pct: float | None = None,
    project_id: int | None = None,
) -> Metrics:
    """Return the counts of a test and what they say; ``effect_pct`` asks for a sample size too.

    Raises ExperimentNotFound, ValidationFailed, Forbidden.
    """
    found = await find(actor, test_uuid, project_id, Operation.READ)
    counts = (await experiment_counts.tallies(found.project_id, [found.uuid]))[found.uuid]
    return await evaluated(found, counts, effect_pct, baseline_pct)


async def evaluated(
    experiment: Experiment,
    counts: Mapping[Variant, Tally],
    effect_pct: float | None = None,
    baseline_pct: float | None = None,
) -> Metrics:
    """Return what the counts of a test say. Raises ValidationFailed for an effect that no number of users shows."""
    # In a thread, for the first time loads the library.
    return await asyncio.to_thread(
        ab_metrics.metrics, experiment, counts[Variant.A], counts[Variant.B], effect_pct, baseline_pct
    )
