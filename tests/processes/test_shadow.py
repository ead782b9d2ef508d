"""Shadow writes by workers of which one after the other is killed: nothing lost, nothing twice, all in order."""

import asyncio
import random
import subprocess
import time
from contextlib import ExitStack

import pytest

from app.domain.model import Actor, Origin, Plan, Project
from app.services import environments, operator, shadow
from app.services.branching import ForkOptions
from app.services.environments import EnvironmentUpdate
from app.storage import db, shadows
from tests.conftest import Database
from tests.processes.test_worker import working
from tests.services.invariants import check_invariants
from tests.services.shop import Shop

pytestmark = pytest.mark.slow

WRITES = 200
KEYS = ("a", "b", "c", "d", "e")
ENVIRONMENTS = 3


async def _mirroring(shop: Shop, name: str) -> None:
    made = await environments.fork(shop.actor, shop.project_id, ForkOptions(name, shadow_writes=True))
    await shop.checkpoint(made.environment.uuid)
    await shop.merge(name, {"own": name})


async def _write(shop: Shop) -> None:
    chance = random.Random(1)
    for number in range(1, WRITES + 1):
        key = chance.choice(KEYS)
        await shop.merge(None, {"n": number, chance.choice("xyz"): number})
        if chance.random() < 0.1:
            await shop.load(None, *({"kind": "page", "key": f"{key}{number}-{n}", "data": {"n": n}} for n in range(20)))
        await asyncio.sleep(0.01)


async def _kill_in_turn(stack: ExitStack, database: Database, workers: list[subprocess.Popen[str]]) -> None:
    while True:
        await asyncio.sleep(1.0)
        workers.pop(0).kill()
        workers.append(await asyncio.to_thread(stack.enter_context, working(database)))


async def _is_done(project: Project) -> bool:
    behind = [env for project_id, env in await shadows.behind() if project_id == project.id]
    return not behind


async def test_what_killed_workers_leave_others_finish(database: Database, actor: Actor, project: Project) -> None:
    await operator.set_plan(project.id, Plan.ENTERPRISE)
    await db.execute("DELETE FROM pgqueuer")
    shop = Shop(actor, project)
    await shop.put(None, {"n": 0})
    names = [f"env-{number}" for number in range(ENVIRONMENTS)]
    for name in names:
        await _mirroring(shop, name)
    with ExitStack() as stack:
        workers = [stack.enter_context(working(database)) for _ in range(3)]
        killing = asyncio.create_task(_kill_in_turn(stack, database, workers))
        await _write(shop)
        killing.cancel()
        deadline = time.monotonic() + 120
        while not await _is_done(project):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
    production = await shop.dump(None, "page")
    for name in names:
        mirrored = await shop.dump(name, "page")
        first = mirrored.pop(("page", "a"))
        expected = production[("page", "a")]
        assert isinstance(expected, dict)
        assert first == {**expected, "own": name}
        assert mirrored == {key: value for key, value in production.items() if key != ("page", "a")}
        await _is_in_order(project, await shop.named(name))
    await check_invariants(project.id)
    env = await shop.named(names[0])
    await environments.update(actor, env, EnvironmentUpdate(shadow_writes=False))
    await shadow.mirror_into(project.id, env)
    assert await db.fetchval("SELECT count(*) FROM pgqueuer WHERE status = 'failed'") == 0


async def _is_in_order(project: Project, env: object) -> None:
    rows = await db.fetch(
        "SELECT entity_uuid, (forward -> 'set' ->> '/n')::int AS n FROM change WHERE project_id = $1 AND env_uuid = $2"
        " AND origin = $3 AND forward -> 'set' ? '/n' ORDER BY version",
        project.id,
        env,
        Origin.SHADOW.value,
    )
    by_entity: dict[object, list[int]] = {}
    for row in rows:
        by_entity.setdefault(row["entity_uuid"], []).append(row["n"])
    assert by_entity
    for seen in by_entity.values():
        assert seen == sorted(set(seen))
