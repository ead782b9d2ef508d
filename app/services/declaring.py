"""Declaring the winner of an A/B test: its environment goes the way of every promotion (semantics §5, §11.23)."""

from dataclasses import dataclass, replace
from uuid import UUID

from app.domain.audit import Action
from app.domain.bucketing import Variant
from app.domain.events import EventType
from app.domain.experiment_errors import ExperimentNotActive
from app.domain.experiments import Experiment, ExperimentStatus
from app.domain.model import Actor, Environment
from app.domain.policy import Operation
from app.domain.promotion import Promotion
from app.services import access, experiments, promoting, recording
from app.services.carrying_out import unfrozen
from app.services.experiment_ends import hold_active, object_of, tell
from app.services.operation import operation
from app.services.promoting import PromoteOptions
from app.storage import db, environments
from app.storage import experiments as stored


@dataclass(frozen=True, slots=True)
class Declared:
    """A test and the promotion of its winner; None where that is production already."""

    experiment: Experiment
    promotion: Promotion | None


@operation(Action.DECLARE_WINNER)
async def declare(
    actor: Actor, test_uuid: UUID, winner: Variant, options: PromoteOptions, project_id: int | None = None
) -> Declared:
    """Promote the environment of the winning side as ``promote`` does; the test is completed when that is.

    A production that wins as the control is left alone, and the test is completed. Raises ExperimentNotFound,
    ExperimentNotActive, and as ``promote`` does.
    """
    seen = await experiments.find(actor, test_uuid, project_id, Operation.PROMOTE)
    if not seen.is_active:
        raise ExperimentNotActive(seen.status.value)
    side = await environments.get([seen.project_id], seen.side(winner))
    assert side is not None
    if side.is_production:
        return await _keep_production(seen, winner)
    await access.enter(actor, side, Operation.PROMOTE)
    return await _declare(actor, seen, side, winner, options)


@db.atomic()
async def _keep_production(seen: Experiment, winner: Variant) -> Declared:
    before = await hold_active(seen)
    after = await stored.save(replace(before, status=ExperimentStatus.COMPLETED, winner=winner, declared=winner))
    await tell(after, EventType.EXPERIMENT_DECLARED)
    change = (before.facts(), after.facts())
    await recording.record(after.project_id, object_of(after), env_uuid=after.env_b_uuid, change=change)
    return Declared(after, None)


@db.atomic(statement_timeout=promoting.TIMEOUT)
async def _declare(
    actor: Actor, seen: Experiment, side: Environment, winner: Variant, options: PromoteOptions
) -> Declared:
    async def asked(request: Promotion) -> None:
        held = await hold_active(seen)
        await stored.save(replace(held, declared=winner, promotion_uuid=request.uuid))

    async with unfrozen(actor, seen.project_id, override=options.override_freeze):
        promotion = await promoting.ask(actor, await promoting.again(side), options, asked)
    after = await stored.get([seen.project_id], seen.uuid)
    assert after is not None
    return Declared(after, promotion)
