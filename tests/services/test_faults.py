"""Faults in the middle: an operation that fails at any statement has done nothing, one that lost a race goes on."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import pytest

from app.domain.errors import Busy
from app.domain.model import Actor, Plan
from app.services import projects
from app.storage import db
from tests.services.invariants import check_invariants, fingerprint
from tests.services.shop import Shop
from tests.services.test_pairs import OPERATIONS, Scene


class Fault(Exception):
    """What nobody expects."""


@contextmanager
def failing_at(statement: int, error: Exception) -> Iterator[None]:
    """Let one statement fail, counted from 0, before it is sent."""
    sent = -1
    translated = db._translated

    @contextmanager
    def failing(sql: str) -> Iterator[None]:
        nonlocal sent
        sent += 1
        if sent == statement:
            raise error
        with translated(sql):
            yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db, "_translated", failing)
        yield


async def _scene(actor: Actor, name: str) -> Scene:
    scene = Scene(Shop(actor, await projects.create(actor, name, Plan.PREMIUM)))
    await scene.set()
    return scene


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_is_done_wholly_or_not_at_all(name: str, actor: Actor) -> None:
    counted_on = await _scene(actor, name)
    with db.count_statements() as counted:
        await OPERATIONS[name](counted_on)
    scene = await _scene(actor, name)
    before = await fingerprint(scene.shop.project_id)
    for statement in range(counted.count):
        with failing_at(statement, Fault()), pytest.raises(Fault):
            await OPERATIONS[name](scene)
        assert await fingerprint(scene.shop.project_id) == before, statement
    with failing_at(counted.count - 1, asyncpg.DeadlockDetectedError()):
        if name.startswith("import"):
            with pytest.raises(Busy):
                await OPERATIONS[name](scene)
        else:
            await OPERATIONS[name](scene)
    assert (await fingerprint(scene.shop.project_id) == before) == name.startswith("import")
    await check_invariants(scene.shop.project_id)


@pytest.mark.parametrize("name", ["put in env", "put above checkpoint", "fork", "checkpoint", "restore", "revert"])
async def test_what_loses_a_race_each_time_gives_up_and_has_done_nothing(
    name: str, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = await _scene(actor, name)
    before = await fingerprint(scene.shop.project_id)
    attempts = 0

    @contextmanager
    def losing(sql: str) -> Iterator[None]:
        nonlocal attempts
        yield
        if db._current.get() is not None:
            attempts += 1
            raise asyncpg.SerializationError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db, "_translated", losing)
        with pytest.raises(Busy):
            await OPERATIONS[name](scene)
    assert attempts == db.ATTEMPTS
    assert await fingerprint(scene.shop.project_id) == before
