"""Watching a test: where it stands, then whenever that has changed, until it has ended or the watcher may no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from app.domain.ab_metrics import Metrics
from app.domain.errors import DomainError, ProjectNotFound
from app.domain.experiment_errors import ExperimentNotFound
from app.domain.experiments import ExperimentStatus
from app.domain.model import Actor, Project, Role
from app.services import experiments, identity, live, members, passes, watching
from app.services.passes import Pass
from tests.conftest import Database, MakeActor
from tests.services.test_project_settings import add_member
from tests.services.trying import Trial


@pytest.fixture(autouse=True)
async def bus(database: Database, pool: None) -> AsyncIterator[None]:
    """This process's bus, open."""
    before = live.bus
    async with live.bus_open(database.app_dsn):
        yield
    live.bus = before


@pytest.fixture
async def trial(actor: Actor, project: Project) -> Trial:
    return await Trial.made(actor, project)


async def bearer_of(actor: Actor) -> Pass:
    return await passes.admit(f"Bearer {await identity.keyring.sign(actor.account_uuid, actor.name, 900)}")


class Watching:
    """Watches a test from a task of its own, to its end."""

    def __init__(self, actor: Actor, trial: Trial) -> None:
        self.got: list[Metrics] = []
        self.news = asyncio.Event()
        self.task = asyncio.create_task(self._watch(actor, trial))

    async def _watch(self, actor: Actor, trial: Trial) -> None:
        async with aclosing(await watching.metrics(await bearer_of(actor), trial.test.uuid)) as found:
            async for metrics in found:
                self.got.append(metrics)
                self.news.set()

    async def until(self, number: int) -> Metrics:
        async with asyncio.timeout(10):
            while len(self.got) < number:
                self.news.clear()
                await self.news.wait()
        return self.got[number - 1]


async def test_a_test_is_watched_to_its_end(trial: Trial) -> None:
    watcher, other = Watching(trial.actor, trial), Watching(trial.actor, trial)
    first = await watcher.until(1)
    assert (first.a.exposed + first.b.exposed, first.experiment.status) == (0, ExperimentStatus.ACTIVE)
    users = [f"user {number}" for number in range(40)]
    await trial.expose(users)
    second = await watcher.until(2)
    assert second.a.exposed + second.b.exposed == 40
    for user in users:
        await trial.convert([user])
    await experiments.stop(trial.actor, trial.test.uuid)
    await asyncio.wait_for(asyncio.gather(watcher.task, other.task), 10)
    last = watcher.got[-1]
    assert (last.experiment.status, last.a.converted + last.b.converted) == (ExperimentStatus.STOPPED, 40)
    # Forty results came; what is told of is the counts, not each of them.
    assert len(watcher.got) < 20
    assert other.got[-1].experiment.status is ExperimentStatus.STOPPED
    again = Watching(trial.actor, trial)
    await asyncio.wait_for(again.task, 10)
    assert [found.experiment.status for found in again.got] == [ExperimentStatus.STOPPED]


async def test_who_may_not_watch(trial: Trial, make_actor: MakeActor) -> None:
    with pytest.raises(ExperimentNotFound):
        await watching.metrics(await bearer_of(await make_actor()), trial.test.uuid)


async def test_a_member_who_is_removed_watches_no_more(trial: Trial, make_actor: MakeActor) -> None:
    viewer = await make_actor()
    await add_member(trial.project, viewer, Role.VIEWER)
    watcher = Watching(viewer, trial)
    await watcher.until(1)
    await members.remove(trial.actor, trial.project.id, viewer.account_uuid)
    with pytest.raises(ProjectNotFound):
        await asyncio.wait_for(watcher.task, 10)


async def test_a_server_that_stops_ends_the_watch(trial: Trial) -> None:
    watcher = Watching(trial.actor, trial)
    await watcher.until(1)
    await live.end_all()
    await asyncio.wait_for(watcher.task, 10)
    with pytest.raises(DomainError):
        await watching.metrics(await bearer_of(trial.actor), trial.test.uuid)
