"""Exposures and results: counted exactly, once per user, by however many writers at once."""

import asyncio
import random
from contextvars import Context
from decimal import Decimal

import pytest

from app.domain.bucketing import Variant
from app.domain.errors import Forbidden, ValidationFailed
from app.domain.experiment_errors import ExperimentNotActive, ExperimentNotFound, UserNotExposed
from app.domain.ingestion import Ingested, Told
from app.domain.model import Actor, Project, Role
from app.services import experiments, ingesting
from app.storage import db
from tests.conftest import MakeActor
from tests.services.test_project_settings import add_member
from tests.services.trying import Trial

A, B = Variant


@pytest.fixture
async def trial(actor: Actor, project: Project) -> Trial:
    return await Trial.made(actor, project)


async def test_a_user_counts_once_however_often_it_comes(trial: Trial) -> None:
    users = trial.dealt(A, 3)
    assert await trial.expose([*users, users[0]]) == Ingested(accepted=3, repeated=1)
    assert await trial.expose(users) == Ingested(repeated=3)
    assert (await experiments.variant(trial.actor, trial.test.uuid, users[0])).exposed
    assert await trial.convert([users[1], users[1], users[2]], 5) == Ingested(accepted=2, repeated=1)
    assert await trial.convert([users[1]], 7) == Ingested(repeated=1)
    kept = await trial.tallies()
    assert (kept[A].exposed, kept[A].converted) == (3, 2)
    assert (kept[A].exposures_repeated, kept[A].results_repeated) == (5, 2)
    assert (kept[A].valued, kept[A].value_sum, kept[A].value_squares) == (2, Decimal(10), Decimal(50))
    assert kept[B].exposed == 0


async def test_variant_counts_unless_told_not_to(trial: Trial) -> None:
    user = trial.dealt(B, 1)[0]
    looked = await experiments.variant(trial.actor, trial.test.uuid, user, expose=False)
    assert (looked.variant, looked.env_uuid, looked.exposed) == (B, trial.tried, False)
    assert (await trial.tallies())[B].exposed == 0
    assert (await experiments.variant(trial.actor, trial.test.uuid, user)).exposed
    assert (await trial.tallies())[B].exposed == 1


async def test_a_result_comes_after_an_exposure(trial: Trial) -> None:
    users = trial.dealt(A, 2)
    await trial.expose(users[:1])
    done = await trial.convert([*users, users[1]])
    assert done.accepted == 1
    assert [(item.index, item.user_uuid, item.code) for item in done.refused] == [
        (1, users[1], "user_not_exposed"),
        (2, users[1], "user_not_exposed"),
    ]
    with pytest.raises(UserNotExposed):
        await ingesting.record_results(trial.actor, trial.test.uuid, [Told(users[1])], single=True)
    assert (await trial.tallies())[A].converted == 1


async def test_what_cannot_be_counted_is_said_item_by_item(trial: Trial) -> None:
    users = trial.dealt(A, 2)
    items = [Told(users[0]), Told(""), Told("x" * 257), Told(users[1], variant=A)]
    done = await ingesting.record_exposures(trial.actor, trial.test.uuid, items)
    assert (done.accepted, [item.index for item in done.refused]) == (2, [1, 2])
    values: list[int | Decimal] = [10**15 + 1, Decimal("1e-16"), -(10**15), Decimal("0.1")]
    results = [Told(user, value) for user, value in zip([*users, *users], values, strict=True)]
    done = await ingesting.record_results(trial.actor, trial.test.uuid, results)
    assert (done.accepted, [(item.index, item.code) for item in done.refused]) == (
        2,
        [(0, "validation_failed"), (1, "validation_failed")],
    )
    for batch in ([], [Told(users[0])] * 1_001):
        with pytest.raises(ValidationFailed):
            await ingesting.record_results(trial.actor, trial.test.uuid, batch)
    assert (await trial.tallies())[A].value_sum == Decimal("-999999999999999.9")


async def test_who_was_seen_in_both_variants_goes_to_quarantine(trial: Trial) -> None:
    test, actor = trial.test.uuid, trial.actor
    users = trial.dealt(A, 5)
    # At its first exposure, at a later one, with a result, and in a result that comes first of all.
    done = await ingesting.record_exposures(actor, test, [Told(users[0], variant=B), *map(Told, users[1:])])
    assert done == Ingested(accepted=4, quarantined=1)
    assert await trial.convert(users[:4], 3) == Ingested(accepted=3)
    assert await ingesting.record_exposures(actor, test, [Told(users[1], variant=B)]) == Ingested(
        repeated=1, quarantined=1
    )
    assert await ingesting.record_results(actor, test, [Told(users[2], variant=B), Told(users[3], variant=A)]) == (
        Ingested(repeated=2, quarantined=1)
    )
    assert await ingesting.record_results(actor, test, [Told(users[4], 1, B)]) == Ingested(quarantined=1)
    assert await ingesting.record_exposures(actor, test, [Told(users[1], variant=B)]) == Ingested(repeated=1)
    kept = (await trial.tallies())[A]
    assert (kept.exposed, kept.converted, kept.quarantined, kept.valued, kept.value_sum) == (1, 1, 4, 1, Decimal(3))


async def test_nothing_is_counted_for_a_test_that_has_ended(trial: Trial) -> None:
    users = trial.dealt(B, 2)
    await trial.expose(users[:1])
    await experiments.stop(trial.actor, trial.test.uuid)
    for attempt in (trial.expose, trial.convert):
        with pytest.raises(ExperimentNotActive):
            await attempt(users)
    told = await experiments.variant(trial.actor, trial.test.uuid, users[1])
    assert (told.variant, told.exposed) == (B, False)
    kept = (await trial.tallies())[B]
    assert (kept.exposed, kept.converted, kept.exposures_repeated) == (1, 0, 0)


async def test_who_may_record(trial: Trial, make_actor: MakeActor) -> None:
    stranger, viewer = await make_actor(), await make_actor()
    await add_member(trial.project, viewer, Role.VIEWER)
    user = trial.dealt(A, 1)
    for who, refusal in ((stranger, ExperimentNotFound), (viewer, Forbidden)):
        with pytest.raises(refusal):
            await ingesting.record_results(who, trial.test.uuid, [Told(user[0])])
    assert (await experiments.variant(viewer, trial.test.uuid, user[0])).exposed


async def test_16_writers_at_once_count_exactly(trial: Trial) -> None:
    """Each tells of overlapping users in an order of its own, again and again, some of them contradicted."""
    users = [f"user {number}" for number in range(600)]
    other = {A: B, B: A}

    async def write(number: int) -> None:
        dice = random.Random(number)
        for _ in range(6):
            batch = [Told(user) for user in dice.sample(users, 200)]
            odd = [Told(user, variant=other[trial.test.variant_of(user)]) for user in dice.sample(users, 3)]
            await ingesting.record_exposures(trial.actor, trial.test.uuid, [*batch, *odd])
            results = [Told(user, dice.randint(1, 9)) for user in dice.sample(users, 150)]
            await ingesting.record_results(trial.actor, trial.test.uuid, [*results, *odd])

    tasks = [asyncio.get_running_loop().create_task(write(at), context=Context()) for at in range(16)]
    await asyncio.gather(*tasks)
    kept = await trial.tallies()
    told = 16 * 6 * (200 + 3)
    counted = sum(tally.exposed + tally.quarantined for tally in kept.values())
    assert counted == 600
    assert sum(tally.exposures_repeated for tally in kept.values()) == told - counted
    assert sum(tally.quarantined for tally in kept.values()) > 100
    shards = await db.fetchval(
        "SELECT count(DISTINCT shard) FROM experiment_tally WHERE test_uuid = $1", trial.test.uuid
    )
    assert shards > 1


async def test_a_stop_has_its_turn_among_many_writers(trial: Trial) -> None:
    stopped = asyncio.Event()

    async def write(number: int) -> int:
        accepted = 0
        for at in range(1_000):
            try:
                accepted += (await trial.expose([f"{number} {at}"])).accepted
            except ExperimentNotActive:
                assert stopped.is_set() or stopping
                return accepted
        raise AssertionError("never stopped")

    stopping = False
    tasks = [asyncio.get_running_loop().create_task(write(at), context=Context()) for at in range(8)]
    await trial.expose(["first"])
    stopping = True
    await experiments.stop(trial.actor, trial.test.uuid)
    stopped.set()
    accepted = sum(await asyncio.gather(*tasks))
    assert sum(tally.exposed for tally in (await trial.tallies()).values()) == accepted + 1
