"""Environments whose time is over are archived by a worker; production never is, and nothing happens twice."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.services import environments
from app.services.branching import ForkOptions
from app.services.environments import EnvironmentUpdate
from app.storage import changes, db, events
from app.storage import environments as anchors
from tests.services.shop import Shop


async def _expire(shop: Shop, env: UUID) -> None:
    await db.execute(
        "UPDATE environment SET expires_at = now() - interval '1 second' WHERE project_id = $1 AND uuid = $2",
        shop.project_id,
        env,
    )


async def _status(shop: Shop, env: UUID) -> str:
    found = await anchors.get([shop.project_id], env)
    assert found is not None
    return found.status.value


async def _promised(shop: Shop) -> list[datetime]:
    rows = await db.fetch(
        "SELECT execute_after FROM pgqueuer WHERE entrypoint = 'archive_expired' AND status = 'queued'"
        " AND (convert_from(payload, 'UTF8')::jsonb ->> 'project_id')::int = $1 ORDER BY id",
        shop.project_id,
    )
    return [row["execute_after"] for row in rows]


async def test_archiving_is_promised_for_the_expiry(shop: Shop) -> None:
    first, second = (datetime.now(UTC) + timedelta(days=days) for days in (1, 2))
    made = await environments.fork(shop.actor, shop.project_id, ForkOptions("env", expires_at=first))
    env = made.environment.uuid
    assert await _promised(shop) == [first]
    await environments.update(shop.actor, env, EnvironmentUpdate(expires_at=second))
    await environments.update(shop.actor, env, EnvironmentUpdate(name="other"))
    assert await _promised(shop) == [first, second]
    await environments.archive_expired(shop.project_id, env)
    assert await _status(shop, env) == "draft"


async def test_an_expired_environment_is_archived_once_by_nobody(shop: Shop) -> None:
    env = await shop.fork("env")
    await shop.put("env", {"n": 2})
    await _expire(shop, env)
    before = await changes.current_version(shop.project_id)
    for _ in range(2):
        await environments.archive_expired(shop.project_id, env)
    assert await _status(shop, env) == "archived"
    (event,) = await events.page(shop.project_id, before, 10)
    assert (event.type, event.env_uuid, event.actor) == ("environment.archived", env, None)
    rows = await db.fetch(
        "SELECT actor, account_uuid, object_name FROM audit"
        " WHERE project_id = $1 AND operation = 'archive_environment'",
        shop.project_id,
    )
    assert [tuple(row) for row in rows] == [(None, None, "env")]
    left = await db.fetchval(
        "SELECT count(*) FROM layer JOIN generation ON generation.uuid = generation_uuid WHERE env_uuid = $1", env
    )
    assert left == 0


async def test_what_expired_is_found(shop: Shop) -> None:
    env, living = await shop.fork("env"), await shop.fork("living")
    await _expire(shop, env)
    assert (shop.project_id, env) in await anchors.expired()
    assert (shop.project_id, living) not in await anchors.expired()
    count = len(await _promised(shop))
    await environments.find_expired()
    await environments.find_expired()
    assert len(await _promised(shop)) == count + 1
    await environments.archive_expired(shop.project_id, env)
    assert (shop.project_id, env) not in await anchors.expired()


async def test_production_is_never_archived(shop: Shop) -> None:
    found = await anchors.production(shop.project_id)
    await environments.archive_expired(shop.project_id, found.uuid)
    assert await _status(shop, found.uuid) == "live"
