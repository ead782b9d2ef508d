"""Taking in what is told of users of A/B tests, by the thousand: exposures and results (semantics §5, §11.23).

Neither is on the trail nor an event: there are as many as users. Their counts are exact, and the tests are told of.
"""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from app.domain.audit import Action
from app.domain.errors import DomainError
from app.domain.experiment_errors import ExperimentNotActive
from app.domain.experiments import Experiment
from app.domain.ingestion import Ingested, RefusedItem, Told, UserTold, check_batch, read_batch, refuse_unknown
from app.domain.model import Actor
from app.domain.policy import Operation
from app.services import experiments
from app.services.operation import operation
from app.storage import db, experiment_counts
from app.storage import experiments as stored


@operation(Action.RECORD_EXPOSURES)
async def record_exposures(
    actor: Actor, test_uuid: UUID, items: Sequence[Told], project_id: int | None = None, *, single: bool = False
) -> Ingested:
    """Record that users have seen their variants; the first time counts, others are counted apart.

    Who says to have seen another variant than the one dealt goes to quarantine. What of a batch cannot be done is
    said item by item; of a ``single`` item it is raised. Raises ExperimentNotFound, ExperimentNotActive,
    ValidationFailed, Forbidden.
    """
    check_batch(items)
    seen = await experiments.find(actor, test_uuid, project_id, Operation.EVALUATE)
    return await _take_in(seen, items, _expose, single)


@operation(Action.RECORD_RESULTS)
async def record_results(
    actor: Actor, test_uuid: UUID, items: Sequence[Told], project_id: int | None = None, *, single: bool = False
) -> Ingested:
    """Record that users who were exposed have converted; the first result of each counts, others are counted apart.

    Quarantine and refusals are as with exposures. Raises UserNotExposed of a ``single`` one beside.
    """
    check_batch(items)
    seen = await experiments.find(actor, test_uuid, project_id, Operation.RECORD_RESULTS)
    return await _take_in(seen, items, _convert, single)


Refusals = dict[int, DomainError]
Take = Callable[[Experiment, Sequence[Told], Sequence[UserTold], Refusals], Awaitable[Ingested]]


@db.atomic()
async def _take_in(seen: Experiment, items: Sequence[Told], take: Take, single: bool) -> Ingested:
    held = await stored.hold_counting(seen.project_id, seen.uuid)
    if held is None or not held.is_active:
        raise ExperimentNotActive(held.status.value if held else "gone")
    users, refused = read_batch(held, items)
    taken = await take(held, items, users, refused)
    if single and refused:
        raise refused[0]
    return taken


async def _expose(held: Experiment, items: Sequence[Told], users: Sequence[UserTold], refused: Refusals) -> Ingested:
    first = await experiment_counts.expose(held, users)
    contradicted = [user.user for user in users if user.contradicted]
    isolated = await experiment_counts.quarantine(held, [user for user in contradicted if user not in first])
    new = len(first.intersection(contradicted))
    return _ingested(items, refused, len(first) - new, new + isolated, len(first))


async def _convert(held: Experiment, items: Sequence[Told], users: Sequence[UserTold], refused: Refusals) -> Ingested:
    isolated = await experiment_counts.quarantine(held, [user.user for user in users if user.contradicted])
    done = await experiment_counts.convert(held, users)
    refuse_unknown(items, done.known, refused)
    return _ingested(items, refused, len(done.counted), isolated, len(done.first))


def _ingested(items: Sequence[Told], refused: Refusals, accepted: int, quarantined: int, first: int) -> Ingested:
    return Ingested(
        accepted=accepted,
        repeated=len(items) - len(refused) - first,
        quarantined=quarantined,
        refused=[RefusedItem.of(index, items[index], refused[index]) for index in sorted(refused)],
    )
