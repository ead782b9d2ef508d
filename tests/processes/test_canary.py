"""A rollout that the servers carry on by themselves: each step once, whoever dies, and known after a restart."""

import time
from contextlib import ExitStack
from decimal import Decimal

import pytest

from app.domain.events import EventType
from app.domain.model import Actor, EnvStatus, Project
from app.domain.values import Value
from app.storage import db
from tests.conftest import Database
from tests.doors import headers_of
from tests.processes.served import served
from tests.services.rolling import Rolling
from tests.services.shop import Shop

pytestmark = pytest.mark.slow

PAUSE: dict[str, Value] = {"pause_minutes": Decimal("0.02"), "auto_advance": True}
STEPS: list[Value] = [
    *({"weight": weight, **PAUSE} for weight in (10, 20, 30, 40, 50)),
    {"weight": 100},
]
SECONDS = 60


async def test_three_servers_and_one_killed_take_each_step_once(
    database: Database, actor: Actor, project: Project
) -> None:
    shop = Shop(actor, project)
    await shop.put(None, {"title": "Home", "price": 1})
    with ExitStack() as stack:
        servers = [stack.enter_context(served({"STRATA_DATABASE_URL": database.app_dsn})) for _ in range(3)]
        rolling = await Rolling.started(shop, STEPS)
        deadline = time.monotonic() + SECONDS
        while len(await rolling.told()) < 2:
            assert time.monotonic() < deadline
        servers[0].kill()
        while (await rolling.environment()).status is not EnvStatus.LIVE:
            assert time.monotonic() < deadline
    told = await rolling.told()
    types = [event.type for event in told]
    assert types[0] is EventType.ROLLOUT_STARTED
    assert types[-1] is EventType.ROLLOUT_COMPLETED
    assert set(types[1:-1]) == {EventType.ROLLOUT_ADVANCED}
    weights = [int(str(event.data["traffic_weight"])) for event in told]
    assert weights == sorted(set(weights))
    assert await rolling.price() == 2
    assert await db.fetchval("SELECT count(*) FROM release WHERE project_id = $1", project.id) == 1


async def test_a_rollout_survives_a_restart(database: Database, actor: Actor, project: Project) -> None:
    shop = Shop(actor, project)
    await shop.put(None, {"title": "Home", "price": 1})
    rolling = await Rolling.started(shop, [{"weight": 40, "pause_minutes": 60, "auto_advance": True}, {"weight": 100}])
    token = (await headers_of(actor))["Authorization"].removeprefix("Bearer ")
    asked: dict[str, str | int] = {"project_id": project.id, "user_uuid": "ada"}
    answers = []
    for _ in range(2):
        with served({"STRATA_DATABASE_URL": database.app_dsn}) as server:
            answers.append(server.client(token).get("/api/sandbox/route", params=asked))
            server.kill()
    assert answers[0].json()["traffic_weight"] == 40
    assert answers[0].json() == answers[1].json()
    assert answers[0].headers["ETag"] == answers[1].headers["ETag"]
    assert (await rolling.now()).position.step == 0
