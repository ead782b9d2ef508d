"""What was there before its place was protected (X5): taken out of all that is stored, and nothing else changed."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import asyncpg
import pytest

from app.domain.audit import Action, Filter
from app.domain.model import At
from app.domain.protected import MARKER
from app.domain.values import Value
from app.services import (
    backups,
    calls,
    checkpoints,
    documents,
    environments,
    history,
    promoting,
    protected,
    releasing,
    rotation,
    sweeping,
)
from app.services.branching import ForkOptions
from app.services.promoting import PromoteOptions
from app.storage import audit, db, protections, secrets, sweeps
from app.storage.sweeps import Sweep
from tests.conftest import Database
from tests.services.canaries import planted, tables_with
from tests.services.invariants import check_invariants
from tests.services.shop import Shop
from tests.services.test_protected import GLOBS, MASKED, keys, once_before, protect


async def swept(shop: Shop) -> int:
    """Sweep to the end and return in how many steps."""
    steps = 1
    while await sweeping.sweep(shop.project_id):
        steps += 1
    return steps


async def everything(shop: Shop) -> list[object]:
    """Return all that readers see of the project's documents and their history."""
    found: list[object] = []
    for env in (None, "env", "below"):
        found.append(await shop.dump(env))
        versions = range(3, 12)
        for version in versions:
            try:
                document = await documents.read(shop.actor, shop.project_id, env, "page", "a", at=At(version=version))
                found.append((env, version, document.state, document.overrides))
            except Exception as error:
                found.append((env, version, type(error).__name__))
    found.append(
        [
            (change.version, change.forward, change.reverse)
            for change in (await history.list_changes(shop.actor, shop.project_id, limit=200)).items
        ]
    )
    for env in ("env", "below"):
        differing = await shop.differing(await shop.named(env))
        found.append([(item.entity.key, item.status, item.difference) for item in differing.page.items])
    return found


async def lived_in(shop: Shop, *secrets_: str) -> None:
    """Put secrets wherever they can have come to."""
    first, second, third, inner, key = secrets_
    await shop.put(None, keys(first, note={"inner": inner, key: 1}))
    await shop.put(None, {"ssn": second, "country": "DE"}, "ann", "user")
    env = await shop.fork("env")
    await shop.merge("env", {"keys": {"api": {"secret": third}}, "note": {"inner": 2}})
    await shop.put("env", keys(first), "made here")
    await checkpoints.pin(shop.actor, env)
    await shop.checkpoint(env)
    await shop.merge("env", {"title": "above"})
    await shop.fork("below", env)
    await shop.put("below", {"deep": {"er": third}}, path=("keys", "api", "secret"))
    await backups.backup(shop.actor, shop.project_id)
    await shop.delete(None, "ann", "user")
    rules: list[Value] = [{"field": "ssn", "op": "eq", "value": second}]
    await environments.fork(shop.actor, shop.project_id, ForkOptions("few", user_rules=rules))
    other = await shop.fork("released")
    await shop.put("released", keys(second, price=5), "page of a release")
    await promoting.promote(shop.actor, other, PromoteOptions())
    with calls.keyed(calls.IdempotencyKey.of(uuid4().hex)):
        await shop.merge(None, {"keys": {"api": {"secret": third}}, "title": "kept"})


async def test_nothing_is_left_and_readers_see_no_difference(shop: Shop) -> None:
    planted_ = [planted() for _ in range(5)]
    await lived_in(shop, *planted_)
    held = await tables_with(*planted_)
    assert held == {"change", "idempotency", "layer", "manifest", "promotion", "release_entity"}
    await protect(shop, *GLOBS, "note")
    before = await everything(shop)
    assert not any(text in repr(before) for text in planted_)
    await swept(shop)
    assert await tables_with(*planted_) == set()
    assert await everything(shop) == before
    await check_invariants(shop.project_id)
    assert (await protected.read(shop.actor, shop.project_id, None, "page", "a")).state == keys(
        planted_[2], note={"inner": planted_[3], planted_[4]: 1}, title="kept"
    )
    assert await sweeping.sweep(shop.project_id) is False
    assert shop.project_id not in await sweeping.unswept()
    assert await audit.first_broken(shop.project_id) is None
    rows = await audit.list_page(shop.project_id, Filter(actions=(Action.SWEEP_PROTECTED,)), 50, None)
    assert rows
    assert {row.actor for row in rows} == {None}


async def test_what_was_made_before_the_sweep_works_after_it(shop: Shop) -> None:
    first, second = planted(), planted()
    await shop.put(None, keys(first, price=1))
    backup = await backups.backup(shop.actor, shop.project_id)
    taken = await shop.checkpoint(shop.production)
    env = await shop.fork("env")
    await shop.put("env", keys(first, price=2))
    await promoting.promote(shop.actor, env, PromoteOptions())
    await shop.put(None, keys(second, price=2))
    await protect(shop, *GLOBS)
    await swept(shop)
    (release,) = (await releasing.list_releases(shop.actor, shop.project_id)).items
    await releasing.rollback_release(shop.actor, release.uuid)
    assert (await protected.read(shop.actor, shop.project_id, None, "page", "a")).state == keys(second, price=1)
    fork = await checkpoints.rollback(shop.actor, taken.uuid, "back")
    asked = await protected.check(
        shop.actor, fork.environment.uuid, ("keys", "api", "secret"), first, kind="page", key="a"
    )
    assert asked.match
    restored = await backups.restore(shop.actor, shop.project_id, backup.uuid)
    assert restored.changed >= 1
    assert (await protected.read(shop.actor, shop.project_id, None, "page", "a")).state == keys(first, price=1)
    await check_invariants(shop.project_id)


async def test_equal_values_stay_equal(shop: Shop) -> None:
    secret = planted()
    await shop.put(None, keys(secret))
    env = await shop.fork("env")
    await shop.checkpoint(env)
    await protect(shop, *GLOBS)
    await swept(shop)
    assert [item.entity.kind for item in (await shop.differing(env)).page.items] == ["project"]
    assert await db.fetchval("SELECT count(*) FROM secret WHERE project_id = $1", shop.project_id) == 1


async def test_a_sweep_goes_on_where_it_was_interrupted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "_LAYER_ROWS", 3)
    monkeypatch.setattr(sweeping, "_CHANGE_ROWS", 4)
    planted_ = [planted() for _ in range(10)]
    for number, text in enumerate(planted_):
        await shop.put(None, keys(text), f"page {number}")
    env = await shop.fork("env")
    await shop.checkpoint(env)
    await protect(shop, *GLOBS)
    save, failing = sweeps.save, iter(range(1, 1_000))

    async def every_other_time(seen: Sweep) -> None:
        await save(seen)
        if next(failing) % 2:
            raise ConnectionResetError

    monkeypatch.setattr(sweeps, "save", every_other_time)
    for _ in range(200):
        try:
            if not await sweeping.sweep(shop.project_id):
                break
        except ConnectionResetError:
            continue
    monkeypatch.undo()
    assert await tables_with(*planted_) == set()
    await check_invariants(shop.project_id)


async def test_a_list_that_grows_during_a_sweep_begins_it_anew(shop: Shop) -> None:
    first, second = planted(), planted()
    await shop.put(None, {**keys(first), "later": second})
    await protect(shop, *GLOBS)
    await sweeping.sweep(shop.project_id)
    await protect(shop, *GLOBS, "later")
    assert shop.project_id in await sweeping.unswept()
    await swept(shop)
    assert await tables_with(first, second) == set()


async def test_a_snapshot_that_is_taken_meanwhile_is_swept_too(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = planted()
    await shop.put(None, keys(secret))
    await protect(shop, *GLOBS)
    monkeypatch.setattr(sweeping, "_LAYER_ROWS", 1)
    assert await sweeping.sweep(shop.project_id)
    once_before(monkeypatch, sweeps, "changes_after", lambda: backups.backup(shop.actor, shop.project_id))
    await swept(shop)
    assert await tables_with(secret) == set()


async def test_values_in_environments_that_protect_more(shop: Shop) -> None:
    secret = planted()
    await shop.put(None, keys(secret))
    env = await shop.fork("env")
    await protect(shop, *GLOBS, env="env")
    await shop.checkpoint(env)
    await swept(shop)
    assert await shop.state(None) == keys(secret)
    assert await shop.state("env") == MASKED
    assert await tables_with(secret) == {"layer", "change"}


async def test_history_can_be_changed_in_that_one_way_only(shop: Shop, database: Database) -> None:
    await shop.put(None, keys("secret"))
    await shop.fork("env")
    await shop.put("env", keys("other"))
    await protect(shop, *GLOBS)
    row = await db.fetchrow(
        "SELECT version, forward::text, reverse::text, entity_uuid FROM change WHERE project_id = $1"
        " AND forward::text LIKE '%secret%' ORDER BY version LIMIT 1",
        shop.project_id,
    )
    assert row is not None

    async def refused(statement: str, *arguments: object) -> None:
        with pytest.raises((asyncpg.RestrictViolationError, asyncpg.InsufficientPrivilegeError)):
            await db.execute(statement, *arguments)

    call = "SELECT seal_change($1, $2, $3::jsonb, $4::jsonb, NULL, '{}')"
    for forward in (
        '{"set": {}, "unset": []}',
        '{"set": {"": {"keys": {"api": {"secret": "forged", "id": 1}}}}, "unset": []}',
        '{"set": {"": {"keys": {"api": {"secret": {"$protected": true}, "id": 1}}}}, "unset": []}',
        '{"set": {"": {"keys": {"api": {"secret": {"$protected": 1%s}, "id": 1}}}}, "unset": []}' % ("0" * 309),
    ):
        await refused(call, shop.project_id, row["version"], forward, row["reverse"])
    await refused("UPDATE change SET actor = 'x' WHERE project_id = $1", shop.project_id)
    await db.execute(call, shop.project_id, row["version"], row["forward"], row["reverse"])
    if database.owner_dsn != database.app_dsn:
        async with db.transaction():
            await db.execute("SELECT set_config('strata.sealing', 'on', true)")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await db.execute("UPDATE change SET actor = 'x' WHERE project_id = $1", shop.project_id)


async def values(shop: Shop) -> list[Value]:
    rows = await db.fetch("SELECT uuid FROM secret WHERE project_id = $1 ORDER BY uuid", shop.project_id)
    found = await secrets.get_many(shop.project_id, [row["uuid"] for row in rows])
    return [secrets.opened(found[row["uuid"]]) for row in rows]


async def keys_in_use(shop: Shop) -> set[int]:
    rows = await db.fetch("SELECT DISTINCT key_number FROM secret WHERE project_id = $1", shop.project_id)
    return {row["key_number"] for row in rows}


async def rotated(shop: Shop) -> int:
    (newest,) = [key for key in await secrets.newest_keys() if key.project_id == shop.project_id]
    return await rotation.rotate(newest)


async def test_new_data_keys(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "_ROWS", 2)
    await protect(shop, *GLOBS)
    planted_ = [planted() for _ in range(7)]
    for text in planted_:
        await shop.put(None, keys(text))
    before = await values(shop)
    assert await keys_in_use(shop) == {1}
    reseal, calls_ = secrets.reseal, iter(range(10))

    async def interrupted(*arguments: object) -> None:
        if next(calls_) == 2:
            raise ConnectionResetError
        await reseal(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(secrets, "reseal", interrupted)
    with pytest.raises(ConnectionResetError):
        await rotated(shop)
    assert await keys_in_use(shop) == {1, 2}
    assert await rotated(shop) == 3
    assert await keys_in_use(shop) == {2}
    assert await values(shop) == before
    await db.execute(
        "UPDATE data_key SET created_at = created_at - interval '2 hours' WHERE project_id = $1", shop.project_id
    )
    await secrets.drop_unused_keys()
    rows = await db.fetch("SELECT number FROM data_key WHERE project_id = $1", shop.project_id)
    assert [row["number"] for row in rows] == [2]
    assert (await protected.read(shop.actor, shop.project_id, None, "page", "a")).state == keys(planted_[-1])


async def test_a_database_without_the_master_key_tells_nothing(shop: Shop) -> None:
    secret = planted()
    await protect(shop, *GLOBS)
    await shop.put(None, keys(secret))
    await shop.put(None, keys(secret), "b")
    rows = await db.fetch("SELECT sealed, digest FROM secret WHERE project_id = $1", shop.project_id)
    assert len({row["sealed"] for row in rows}) == len({row["digest"] for row in rows}) == 2


Work = Callable[[], Awaitable[object]]


async def test_protection_that_comes_and_goes_at_random_points(shop: Shop) -> None:
    """X5: wherever in a history a list begins to hold, nothing is left of what stood there."""
    planted_ = [planted() for _ in range(6)]
    work: list[Work] = [
        lambda: shop.put(None, keys(planted_[0])),
        lambda: shop.fork("env"),
        lambda: shop.put("env", keys(planted_[1])),
        lambda: backups.backup(shop.actor, shop.project_id),
        lambda: shop.merge(None, keys(planted_[2])),
        lambda: shop.put("env", keys({planted_[3]: planted_[4]})),
        lambda: protect(shop, *GLOBS),
        lambda: shop.put(None, keys(planted_[5])),
        lambda: documents.put(shop.actor, shop.project_id, None, "project", "project", {}),
        lambda: shop.put("env", MASKED),
        lambda: protect(shop, *GLOBS),
    ]
    for step in work:
        await step()
        await swept(shop)
    assert await tables_with(*planted_) == set()
    assert await shop.state(None) == keys(MARKER)
    assert (await protections.of(shop.project_id, (await shop.head(shop.production)).uuid)).globs
