"""Every operation of both doors is told to whoever listens to the project, or says here why not."""

import pytest

from app.domain.audit import Action
from app.storage import db
from tests.operations.world import CALLS, COUNTED, Call, World, is_done

# What concerns nobody but its caller.
PRIVATE = frozenset(
    {Action.SET_ACTIVE_ENVIRONMENT, Action.TEST_WEBHOOK, Action.REDELIVER_WEBHOOK, Action.CHECK_PROTECTED_FIELD}
)


async def _published() -> int:
    count: int = await db.fetchval("SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM change)")
    return count


@pytest.mark.parametrize(
    "call", [call for call in CALLS if call.action not in PRIVATE | COUNTED], ids=lambda call: call.name
)
async def test_an_operation_is_an_event(world: World, call: Call) -> None:
    before = await _published()
    assert is_done(await call.send(world))
    assert await _published() > before
