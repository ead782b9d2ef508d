"""Everybody asks for everything, at home and abroad: the doors say what the policy says, and nothing else.

What is let in is done in a transaction that is rolled back, so that each cell finds what the first one found.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.domain.policy import Operation
from app.storage import db
from tests.matrix.requests import REQUESTS, Change, Request
from tests.matrix.stage import Stage
from tests.matrix.verdict import DONE, agrees, expected, outcome
from tests.operations.world import World

IDENTITIES = 18


class _Undo(Exception):
    pass


@asynccontextmanager
async def undone() -> AsyncIterator[None]:
    """Roll back what the block does to the database."""
    try:
        async with db.transaction(encloses=True):
            yield
            raise _Undo
    except _Undo:
        pass


def test_the_matrix_is_large_enough(stage: Stage) -> None:
    assert len(stage.identities) == IDENTITIES
    assert len(REQUESTS) * IDENTITIES * 2 >= 1_000


async def _said(request: Request, world: World, *, done: bool) -> str:
    if request.changes and done:
        async with undone():
            if isinstance(request, Change) and request.call.prepare is not None:
                await request.call.prepare(world)
            answer = await request.send(world)
    else:
        answer = await request.send(world)
    return outcome(answer)


@pytest.mark.parametrize("asked", REQUESTS, ids=lambda request: request.name)
async def test_the_doors_say_what_the_policy_says(stage: Stage, asked: Request) -> None:
    wrong = []
    for who in stage.identities:
        for own in (True, False):
            # Whoever logs out needs another token for the next cell.
            caller = await stage.cast.again(who) if asked.operation is Operation.LOG_OUT else who
            world = stage.world(caller, own=own)
            wanted = expected(who, asked, world)
            said = await _said(asked, world, done=wanted == {DONE})
            if not agrees(said, wanted):
                wrong.append(f"{who.name}, {'own' if own else 'foreign'}: {said} instead of {sorted(wanted)}")
    assert wrong == [], f"tests/matrix/requests.py says that {asked.name} is the operation {asked.operation}"
