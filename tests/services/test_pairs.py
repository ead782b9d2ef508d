"""Every two state-changing operations at once: no deadlock, no wait that times out, and rows that stay true.

Both are let run into a lock that a third one holds, so that each has what it locks first when they go on.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from itertools import combinations_with_replacement
from uuid import uuid4

import asyncpg
import pytest

from app.domain.errors import (
    Conflict,
    DocumentNotFound,
    DomainError,
    EnvironmentArchived,
    EnvironmentNotFound,
    InvalidTransition,
)
from app.domain.model import Actor, Plan, Strategy
from app.domain.promotion import DocumentPaths
from app.domain.promotion_errors import ConflictsOpen, PathNotCarried, PromotionNotPending
from app.domain.values import Value
from app.services import (
    backups,
    checkpoints,
    deciding,
    environments,
    projects,
    promoting,
    rebasing,
    releasing,
    revert,
)
from app.services.environments import EnvironmentUpdate
from app.services.promoting import PromoteOptions
from app.storage import db
from tests.conftest import Database
from tests.services.invariants import check_invariants
from tests.services.shop import Shop, page
from tests.services.waiting import Connection

Operation = Callable[["Scene"], Awaitable[object]]


class Scene:
    """A project with something for each operation to change."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def set(self) -> None:
        shop = self.shop
        await shop.load(None, *(page(key, {"n": 0}) for key in "abc"), {"kind": "user", "key": "u", "data": {}})
        self.saved = (await backups.backup(shop.actor, shop.project_id)).uuid
        self.beside = (await shop.checkpoint(shop.production)).uuid
        self.env = await shop.fork("env")
        self.taken = (await shop.checkpoint(self.env)).uuid
        await shop.load("env", page("a", {"n": 1}), page("c", {"n": 1}), page("own", {}))
        self.frozen = await shop.fork("frozen")
        await shop.merge("frozen", {"n": 2})
        await shop.checkpoint(self.frozen)
        await self._set_promotions()
        await shop.merge(None, {"n": 3}, "b")
        await shop.delete(None, "c")

    async def _set_promotions(self) -> None:
        shop = self.shop
        first = await shop.fork("first")
        await shop.merge("first", {"first": 1}, "b")
        made = await promoting.promote(shop.actor, first, PromoteOptions())
        assert made.release_uuid is not None
        self.release = made.release_uuid
        self.green = await shop.fork("green")
        await shop.merge("green", {"green": 1}, "b")
        self.request = (await promoting.promote(shop.actor, self.green, PromoteOptions(Strategy.BLUE_GREEN))).uuid
        self.going = await shop.fork("going")
        await shop.merge("going", {"going": 1}, "b")
        await shop.fork("standing", self.going)
        await shop.merge("standing", {"standing": 1}, "b")

    def project(self, value: Value) -> Awaitable[object]:
        return self.shop.put(None, value, "project", "project")

    def fork(self, parent: bool, users: list[str] | None = None) -> Awaitable[object]:
        return self.shop.fork(f"fork-{uuid4()}", self.env if parent else None, users)


async def _promote_part(scene: "Scene") -> object:
    paths = [DocumentPaths("page", "b", ["/going"])]
    return await promoting.promote(scene.shop.actor, scene.going, PromoteOptions(paths=paths))


async def _restore(scene: Scene) -> object:
    return await backups.restore(scene.shop.actor, scene.shop.project_id, scene.saved)


OPERATIONS: dict[str, Operation] = {
    "put": lambda scene: scene.shop.put(None, {"put": 1}),
    "put project": lambda scene: scene.project({"put": 1}),
    "delete": lambda scene: scene.shop.delete(None),
    "create": lambda scene: scene.shop.put(None, {}, "new"),
    "put in env": lambda scene: scene.shop.put("env", {"put": 2}),
    "delete in env": lambda scene: scene.shop.delete("env"),
    "put above checkpoint": lambda scene: scene.shop.put("frozen", {"put": 3}),
    "import": lambda scene: scene.shop.load(None, page("new", 1), page("b", 1), page("a", 1)),
    "import in env": lambda scene: scene.shop.load("env", page("a", 2), page("b", 2), page("new", 2)),
    "fork": lambda scene: scene.fork(False),
    "fork of env": lambda scene: scene.fork(True),
    "filtered fork": lambda scene: scene.fork(True, ["u"]),
    "checkpoint": lambda scene: scene.shop.checkpoint(scene.env),
    "checkpoint of production": lambda scene: scene.shop.checkpoint(scene.shop.production),
    "drop checkpoint": lambda scene: checkpoints.delete_checkpoint(scene.shop.actor, scene.beside),
    "rollback": lambda scene: checkpoints.rollback(scene.shop.actor, scene.taken),
    "pin": lambda scene: checkpoints.pin(scene.shop.actor, scene.env),
    "pin of production": lambda scene: checkpoints.pin(scene.shop.actor, scene.shop.production),
    "backup": lambda scene: backups.backup(scene.shop.actor, scene.shop.project_id),
    "restore": _restore,
    "revert": lambda scene: revert.revert(scene.shop.actor, scene.env),
    "archive": lambda scene: environments.archive(scene.shop.actor, scene.env),
    "promote": lambda scene: promoting.promote(scene.shop.actor, scene.going, PromoteOptions()),
    "promote a part": lambda scene: _promote_part(scene),
    "promote with conflicts": lambda scene: promoting.promote(scene.shop.actor, scene.env, PromoteOptions()),
    "validate": lambda scene: promoting.validate(scene.shop.actor, scene.going),
    "switch": lambda scene: deciding.approve(scene.shop.actor, scene.request),
    "reject": lambda scene: deciding.reject(scene.shop.actor, scene.request, "No."),
    "rebase": lambda scene: rebasing.rebase(scene.shop.actor, scene.going),
    "undo release": lambda scene: releasing.rollback_release(scene.shop.actor, scene.release),
    "put in going": lambda scene: scene.shop.merge("going", {"later": 1}, "b"),
    "put in standing": lambda scene: scene.shop.merge("standing", {"later": 1}, "b"),
    "archive going": lambda scene: environments.archive(scene.shop.actor, scene.going),
    "update": lambda scene: environments.update(scene.shop.actor, scene.env, EnvironmentUpdate(name="renamed")),
}
REFUSALS = (
    *(Conflict, DocumentNotFound, EnvironmentArchived, EnvironmentNotFound),
    *(ConflictsOpen, InvalidTransition, PathNotCarried, PromotionNotPending),
)
LOCKS = {
    "counter": "SELECT FROM project_counter WHERE project_id = $1 FOR UPDATE",
    "documents": "SELECT FROM entity WHERE project_id = $1 ORDER BY uuid FOR UPDATE",
    "production": "SELECT FROM environment WHERE project_id = $1 AND env_type = 'production' FOR UPDATE",
}


@pytest.fixture
async def holder(database: Database) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database.app_dsn)
    yield connection
    await connection.close()


async def _until_stopped(holder: Connection, running: list[asyncio.Task[object]]) -> None:
    # On a busy machine one may not get there in time; then they meet elsewhere, before a lock times out.
    with suppress(TimeoutError):
        await _all_stopped(holder, running)


async def _all_stopped(holder: Connection, running: list[asyncio.Task[object]]) -> None:
    async with asyncio.timeout(1.5):
        while sum(not task.done() for task in running) > await holder.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
        ):
            pass


async def _at_once(scene: Scene, holder: Connection, lock: str, *operations: Operation) -> list[object]:
    held = holder.transaction()
    await held.start()
    await holder.execute(LOCKS[lock], scene.shop.project_id)
    running = [asyncio.ensure_future(_run(operation, scene)) for operation in operations]
    await _until_stopped(holder, running)
    await held.rollback()
    return await asyncio.gather(*running, return_exceptions=True)


async def _run(operation: Operation, scene: Scene) -> object:
    return await operation(scene)


@pytest.mark.slow
@pytest.mark.parametrize("first", OPERATIONS)
async def test_two_operations_at_once(
    first: str, actor: Actor, holder: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "RETRIABLE", (db.Retry,))
    for number, (one, other) in enumerate(combinations_with_replacement(OPERATIONS, 2)):
        if one != first:
            continue
        scene = Scene(Shop(actor, await projects.create(actor, f"{one}, {other}", Plan.PREMIUM)))
        await scene.set()
        lock = list(LOCKS)[number % len(LOCKS)]
        results = await _at_once(scene, holder, lock, OPERATIONS[one], OPERATIONS[other])
        failures = [result for result in results if isinstance(result, BaseException)]
        assert all(isinstance(failure, REFUSALS) for failure in failures), (one, other, lock, failures)
        assert len(failures) < 2 or one == other, (one, other, lock, failures)
        await check_invariants(scene.shop.project_id)


@pytest.mark.slow
async def test_all_operations_at_once(actor: Actor) -> None:
    scene = Scene(Shop(actor, await projects.create(actor, "All", Plan.PREMIUM)))
    await scene.set()
    for _ in range(5):
        results = await asyncio.gather(
            *(_run(operation, scene) for name, operation in OPERATIONS.items() if name != "archive"),
            return_exceptions=True,
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        assert all(isinstance(failure, DomainError) for failure in failures), failures
        await check_invariants(scene.shop.project_id)
