"""How tests end beside being stopped by hand: a side is archived, or made production (semantics §11.23)."""

from dataclasses import replace
from datetime import UTC, datetime

from app.domain.audit import Object, ObjectType
from app.domain.events import EventType
from app.domain.experiment_errors import ExperimentNotActive, ExperimentRunning
from app.domain.experiments import Experiment, ExperimentStatus
from app.domain.model import Environment
from app.domain.promotion import Promotion
from app.services.publishing import publish
from app.storage import experiments


def object_of(experiment: Experiment) -> Object:
    """Return the object of the trail that a test is."""
    return Object(ObjectType.EXPERIMENT, str(experiment.uuid), experiment.metric)


async def hold_active(seen: Experiment) -> Experiment:
    """Return a test as it is now, which nobody counts for or ends meanwhile. Raises ExperimentNotActive."""
    held = await experiments.hold(seen.project_id, seen.uuid)
    if held is None or not held.is_active:
        raise ExperimentNotActive(held.status.value if held else "gone")
    return held


async def stop(held: Experiment, reason: str) -> Experiment:
    """Stop a test that is held, and say so."""
    stopped = await experiments.save(replace(held, status=ExperimentStatus.STOPPED, reason=reason))
    await tell(stopped, EventType.EXPERIMENT_STOPPED)
    return stopped


async def tell(experiment: Experiment, type_: EventType) -> None:
    """Publish what became of a test."""
    await publish(
        experiment.project_id,
        type_,
        env_uuid=experiment.env_b_uuid,
        subject=experiment.uuid,
        data=experiment.facts(),
    )


async def stop_tests_of(environment: Environment) -> None:
    """Stop the tests of an environment that is archived, as it was before; its anchor is locked."""
    over = environment.expires_at is not None and environment.expires_at <= datetime.now(UTC)
    reason = f"The environment {environment.name!r} {'has expired' if over else 'was archived'}."
    for test in await experiments.active_with(environment.project_id, environment.uuid):
        held = await experiments.hold(test.project_id, test.uuid)
        if held is not None and held.is_active:
            await stop(held, reason)


async def check_not_running(environment: Environment) -> None:
    """Let an environment be promoted that is no side of a test; its anchor is locked. Raises ExperimentRunning."""
    running = await experiments.active_with(environment.project_id, environment.uuid)
    if running:
        raise ExperimentRunning(running[0].uuid)


async def conclude(request: Promotion) -> Experiment | None:
    """Give the test its winner that a promotion was asked for, and is now carried out; return it, if there is one.

    To be called before the swap, which may archive the other side, and told of after it: whatever is told locks the
    project's counter.
    """
    uuid = await experiments.declared_by(request.project_id, request.uuid)
    held = await experiments.hold(request.project_id, uuid) if uuid else None
    if held is None or not held.is_active:
        return None
    return await experiments.save(replace(held, status=ExperimentStatus.COMPLETED, winner=held.declared))
