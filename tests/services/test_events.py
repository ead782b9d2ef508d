"""The outbox: every change of a project's state is one event, in the order of commits, and read without a gap."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import asyncpg
import pytest

from app.domain.events import Event, EventType
from app.domain.model import EnvStatus, Plan
from app.services import backups, checkpoints, environments, operator, revert
from app.services.environments import EnvironmentUpdate
from app.services.publishing import publish
from app.storage import changes, db, events
from app.storage import environments as anchors
from tests.conftest import Database
from tests.services.shop import Shop, page


@pytest.fixture
async def connection(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection of the schema's owner."""
    opened = await asyncpg.connect(database.owner_dsn)
    yield opened
    await opened.close()


async def all_events(project_id: int, after: int = 0, limit: int = 7) -> list[Event]:
    """Return all events, read page by page."""
    found: list[Event] = []
    while part := await events.page(project_id, found[-1].version if found else after, limit):
        assert len(part) <= limit
        found += part
    return found


def types(found: Sequence[Event]) -> list[str]:
    return [event.type.value for event in found]


async def test_what_is_done_is_published(shop: Shop) -> None:
    start = await changes.current_version(shop.project_id)
    written = await shop.put(None, {"n": 1})
    env = await shop.fork("env")
    await shop.put("env", {"n": 2})
    taken = await shop.checkpoint(env, "one")
    await checkpoints.pin(shop.actor, env)
    await backups.backup(shop.actor, shop.project_id)
    back = await checkpoints.rollback(shop.actor, taken.uuid)
    await environments.update(shop.actor, env, EnvironmentUpdate(name="other"))
    await environments.archive(shop.actor, env)
    await operator.set_plan(shop.project_id, Plan.FREE)
    found = await all_events(shop.project_id, start)
    assert types(found) == [
        "document.changed",
        "generation.created",
        "document.changed",
        *["generation.created"] * 4,
        "environment.updated",
        "environment.archived",
        "plan.changed",
    ]
    assert [event.data.get("kind") for event in found[1:7]] == ["line", "page", "checkpoint", "pin", "backup", "line"]
    changed, forked, updated = found[0], found[1], found[7]
    assert written.change is not None
    assert (changed.version, changed.subject) == (written.change.version, written.document.entity.uuid)
    assert (changed.data["key"], changed.data["origin"], changed.actor) == ("a", "write", shop.actor.name)
    assert (forked.env_uuid, forked.data["env_name"], forked.actor) == (env, "env", shop.actor.name)
    assert (found[6].env_uuid, found[6].subject) == (back.environment.uuid, back.generation.uuid)
    assert (updated.data, found[8].env_uuid, found[9].actor) == ({"name": "other"}, env, None)
    assert [event.version for event in found] == sorted({event.version for event in found})


async def test_a_write_that_ends_a_status_says_so(shop: Shop) -> None:
    env = await shop.fork("env")
    await db.execute("UPDATE environment SET status = 'ready' WHERE uuid = $1", env)
    start = await changes.current_version(shop.project_id)
    await shop.put("env", {"n": 1})
    await shop.put("env", {"n": 2})
    found = await all_events(shop.project_id, start)
    assert types(found) == ["document.changed", "environment.status_changed", "document.changed"]
    assert found[1].data == {"status": "draft", "previous_status": "ready"}


async def test_nothing_changed_is_no_event(shop: Shop) -> None:
    await shop.put(None, {"n": 1})
    start = await changes.current_version(shop.project_id)
    await shop.put(None, {"n": 1})
    await shop.load(None, page("a", {"n": 1}))
    assert await all_events(shop.project_id, start) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_many_changes_at_once_are_one_event(shop: Shop, limit: int) -> None:
    await shop.put(None, {"n": 0}, key="before")
    start = await changes.current_version(shop.project_id)
    await shop.load(None, *(page(f"{number:03}", {"n": 1}) for number in range(60)))
    saved = await backups.backup(shop.actor, shop.project_id)
    env = await shop.fork("env")
    await shop.load("env", *(page(f"{number:03}", {"n": 2}) for number in range(30)))
    await shop.put("env", {"n": 3}, key="between")
    # Another event stands between these changes and the one that covers them.
    await db.execute("UPDATE environment SET status = 'ready' WHERE uuid = $1", env)
    await revert.revert(shop.actor, env)
    await shop.delete(None, key="007")
    await shop.put(None, {"n": 9}, key="009")
    await backups.restore(shop.actor, shop.project_id, saved.uuid)
    found = await all_events(shop.project_id, start, limit)
    assert types(found) == [
        "documents.changed",
        "generation.created",
        "generation.created",
        "documents.changed",
        "document.changed",
        "environment.status_changed",
        "documents.changed",
        "document.changed",
        "document.changed",
        "documents.changed",
    ]
    assert [event.data["count"] for event in found if event.type is EventType.DOCUMENTS_CHANGED] == [60, 30, 31, 2]
    assert (found[0].data["first_version"], found[0].data["last_version"]) == (start + 1, start + 60)
    for index, event in enumerate(found):
        assert await all_events(shop.project_id, event.version, limit) == found[index + 1 :]


async def test_what_fails_is_not_published(shop: Shop) -> None:
    start = await changes.current_version(shop.project_id)

    async def fail() -> None:
        async with db.transaction():
            await publish(shop.project_id, EventType.FREEZE_STARTED)
            raise db.Retry

    with pytest.raises(db.Retry):
        await fail()
    assert await all_events(shop.project_id, start) == []
    assert await changes.current_version(shop.project_id) == start


@pytest.mark.slow
async def test_order_is_that_of_commits_and_readers_miss_nothing(shop: Shop) -> None:
    """Writers of all sorts at once, and a reader who follows them by cursor alone."""
    start = await changes.current_version(shop.project_id)
    seen: list[Event] = []
    done = asyncio.Event()

    async def follow() -> None:
        while True:
            ended = done.is_set()
            part = await events.page(shop.project_id, seen[-1].version if seen else start, 20)
            seen.extend(part)
            if ended and not part:
                return

    @db.atomic()
    async def publish_slowly(number: int) -> None:
        await publish(shop.project_id, EventType.ROLLOUT_ADVANCED, data={"n": number})
        await asyncio.sleep(0.002)

    async def work(number: int) -> None:
        for turn in range(15):
            await publish_slowly(number)
            await shop.put(None, {"n": turn}, key=f"w{number}")
            if turn % 5 == 0:
                await shop.load(None, *(page(f"{number}-{key}", {"n": turn}) for key in range(5)))

    following = asyncio.create_task(follow())
    await asyncio.gather(*(work(number) for number in range(5)))
    done.set()
    await following
    assert seen == await all_events(shop.project_id, start, 100)
    assert len(seen) == 5 * (15 + 15 + 3)


async def test_events_stay(shop: Shop, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    for statement in ("UPDATE event SET actor = 'x'", "DELETE FROM event", "TRUNCATE event"):
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await connection.execute(statement)


async def test_an_event_of_an_environment_names_one_of_its_project(shop: Shop) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with db.transaction():
            await publish(shop.project_id, EventType.ENVIRONMENT_UPDATED, env_uuid=uuid4())
    found = await anchors.get([shop.project_id], shop.production)
    assert found is not None
    assert found.status is EnvStatus.LIVE
