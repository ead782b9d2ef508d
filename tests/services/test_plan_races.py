"""Many at once for the last place that a plan has: one gets it, and nobody is told anything but the limit."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context

import pytest

from app.domain.model import Actor, Plan, Project
from app.domain.plans import Limit, SandboxLimitExceeded
from app.services import checkpoints, environments, operator, plan_limits, projects
from app.services.branching import ForkOptions
from app.storage import db

MANY = 50


async def _basic(actor: Actor, names: tuple[str, ...] = ("one", "two")) -> Project:
    """A project whose plan has three places, with environments of these names."""
    project = await projects.create(actor, "Races", Plan.BASIC)
    for name in names:
        await environments.fork(actor, project.id, ForkOptions(name))
    return project


async def _succeed(attempt: Callable[[int], Awaitable[object]], many: int = MANY) -> int:
    """Return how many of the attempts succeed; the others are refused by the plan."""
    results = await asyncio.gather(*(attempt(number) for number in range(many)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(refusal, SandboxLimitExceeded) for refusal in refused), refused
    return many - len(refused)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
async def test_50_forks_for_one_place(actor: Actor, number: int) -> None:
    project = await _basic(actor)
    assert await _succeed(lambda at: environments.fork(actor, project.id, ForkOptions(f"{number}.{at}"))) == 1
    assert (await plan_limits.usage(actor, project.id)).environments == 3


async def test_forks_of_different_environments_and_rollbacks_share_the_places(actor: Actor) -> None:
    project = await _basic(actor, ())
    made = await environments.fork(actor, project.id, ForkOptions("one"))
    uuid = made.environment.uuid
    taken = await checkpoints.checkpoint(actor, uuid, None)
    choices: list[Callable[[int], Awaitable[object]]] = [
        lambda at: environments.fork(actor, project.id, ForkOptions(f"production {at}")),
        lambda at: environments.fork(actor, project.id, ForkOptions(f"one {at}", parent_env_uuid=uuid)),
        lambda at: checkpoints.rollback(actor, taken.uuid),
    ]
    done = await _succeed(lambda at: choices[at % 3](at), 30)
    usage = await plan_limits.usage(actor, project.id)
    assert usage.environments == 1 + done
    assert done in (2, 3)
    assert usage.beyond_limit == done - 2


async def test_of_many_rollbacks_to_one_checkpoint_at_the_limit_one_succeeds(actor: Actor) -> None:
    project = await _basic(actor, ("one", "two", "three"))
    taken = await checkpoints.checkpoint(actor, project.production_uuid, None)
    assert await _succeed(lambda _: checkpoints.rollback(actor, taken.uuid)) == 1
    assert (await plan_limits.usage(actor, project.id)).environments == 4


async def test_many_checkpoints_for_one_place(actor: Actor) -> None:
    project = await _basic(actor, ())
    uuids = [project.production_uuid]
    for name in ("one", "two"):
        uuids.append((await environments.fork(actor, project.id, ForkOptions(name))).environment.uuid)
    for uuid in uuids[:2]:
        await checkpoints.checkpoint(actor, uuid, None)
    assert await _succeed(lambda at: checkpoints.checkpoint(actor, uuids[at % 3], None), 30) == 1
    assert (await plan_limits.usage(actor, project.id)).checkpoints == 3


async def test_forks_do_not_wait_for_a_checkpoint(actor: Actor) -> None:
    project = await _basic(actor)
    async with db.transaction():
        await plan_limits.hold(project.id, Limit.CHECKPOINT_COUNT)
        fork = asyncio.create_task(environments.fork(actor, project.id, ForkOptions("three")), context=Context())
        await asyncio.wait_for(fork, 2)


async def test_forks_while_the_plan_shrinks(actor: Actor) -> None:
    project = await _basic(actor)
    await operator.set_plan(project.id, Plan.PRO)
    forks = [environments.fork(actor, project.id, ForkOptions(f"e{number}")) for number in range(8)]
    results = await asyncio.gather(*forks, operator.set_plan(project.id, Plan.STARTER), return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(failure, SandboxLimitExceeded) for failure in failures), failures
    with pytest.raises(SandboxLimitExceeded):
        await environments.fork(actor, project.id, ForkOptions("after"))
    assert (await plan_limits.usage(actor, project.id)).environments == 10 - len(failures)
