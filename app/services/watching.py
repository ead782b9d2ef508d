"""Watching an A/B test: its metrics whenever they have changed, at most once a second (``graphql.md``)."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Final
from uuid import UUID

from app.domain.ab_metrics import Metrics, Tally
from app.domain.bucketing import Variant
from app.domain.events import Event
from app.domain.experiments import Experiment
from app.domain.policy import Operation
from app.services import experiments, live
from app.services.passes import Pass
from app.storage import experiment_counts
from app.storage import experiments as stored

SECONDS: Final = 1.0

Counted = tuple[Experiment, Mapping[Variant, Tally]]


async def metrics(bearer: Pass, test_uuid: UUID) -> AsyncGenerator[Metrics]:
    """Return what a test says now, then whenever that has changed, until the test has ended.

    The caller awaits this once, for the refusals: ExperimentNotFound, Forbidden. The iterator raises as those of
    ``live`` do.
    """
    found = await experiments.find(bearer.actor, test_uuid, None, Operation.READ)
    live.opened()
    return _metrics(bearer, found)


async def _metrics(bearer: Pass, found: Experiment) -> AsyncGenerator[Metrics]:
    async with live.joined(bearer, found.project_id, None) as happening:
        attending = asyncio.create_task(_attend(bearer, happening))
        try:
            shown: Counted | None = None
            while not attending.done():
                now = await _look(found)
                if now != shown:
                    yield await experiments.evaluated(*now)
                if not now[0].is_active:
                    return
                shown = now
                await asyncio.wait({attending}, timeout=SECONDS)
            attending.result()
        finally:
            attending.cancel()


async def _attend(bearer: Pass, happening: AsyncIterator[Event]) -> None:
    """Return when the server stops following the project; raise when the bearer may not go on."""
    async for event in happening:
        bearer.check(event)


_looks: "dict[UUID, tuple[float, asyncio.Task[Counted]]]" = {}


async def _look(found: Experiment) -> Counted:
    """Return a test and its counts; what somebody else has read within the second is good enough."""
    now = time.monotonic()
    began, reading = _looks.get(found.uuid, (0.0, None))
    if reading is None or now - began > SECONDS / 2:
        reading = asyncio.get_running_loop().create_task(_read(found))
        _looks[found.uuid] = (now, reading)
        reading.add_done_callback(lambda _: _forget_old())
    return await asyncio.shield(reading)


def _forget_old() -> None:
    limit = time.monotonic() - SECONDS
    for uuid in [uuid for uuid, (began, _) in _looks.items() if began < limit]:
        del _looks[uuid]


async def _read(found: Experiment) -> Counted:
    test = await stored.get([found.project_id], found.uuid)
    assert test is not None
    counts = await experiment_counts.tallies(found.project_id, [found.uuid])
    return test, counts[found.uuid]
