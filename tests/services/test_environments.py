"""Anchors: listed, found, changed and archived."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.errors import (
    EnvironmentArchived,
    EnvironmentNameTaken,
    EnvironmentNotFound,
    ProductionProtected,
    ValidationFailed,
    WriteWhileRollingOut,
)
from app.domain.model import Environment, EnvStatus, EnvType
from app.services import checkpoints, comparison, environments, tree
from app.services.branching import ForkOptions
from app.services.environments import EnvironmentUpdate
from app.storage import db
from tests.services.shop import Shop


async def _listed(shop: Shop, limit: int) -> list[Environment]:
    found: list[Environment] = []
    cursor: str | None = None
    while True:
        page = await environments.list_environments(shop.actor, shop.project_id, limit=limit, cursor=cursor)
        found += page.items
        if (cursor := page.next_cursor) is None:
            return found


async def test_production_comes_first_then_the_oldest(shop: Shop) -> None:
    made = [await shop.fork(name) for name in ("c", "a", "b")]
    for limit in (1, 2, 200):
        assert [item.uuid for item in await _listed(shop, limit)] == [shop.production, *made]
    await environments.archive(shop.actor, made[0])
    living = await environments.list_environments(
        shop.actor, shop.project_id, statuses=[EnvStatus.DRAFT], types=[EnvType.SANDBOX]
    )
    assert [item.uuid for item in living.items] == made[1:]


async def test_a_fork_is_what_was_asked_for(shop: Shop) -> None:
    expiry = datetime.now(UTC) + timedelta(days=2)
    options = ForkOptions("s", EnvType.STAGING, shadow_writes=True, expires_at=expiry)
    made = (await environments.fork(shop.actor, shop.project_id, options)).environment
    assert (made.name, made.env_type, made.status, made.parent_uuid) == (
        "s",
        EnvType.STAGING,
        EnvStatus.DRAFT,
        shop.production,
    )
    assert (made.shadow_writes, made.expires_at, made.traffic_weight, made.pinned_uuid) == (True, expiry, 0, None)
    assert await environments.get(shop.actor, made.uuid) == made
    other = (await environments.fork(shop.actor, shop.project_id, ForkOptions("t"))).environment
    assert other.ab_seed != made.ab_seed


async def test_a_refused_fork_leaves_nothing(shop: Shop) -> None:
    await shop.fork("env")
    before = await tree.tree(shop.actor, shop.project_id)
    archived = await shop.fork("archived")
    await environments.archive(shop.actor, archived)
    naive = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
    refused = {
        ForkOptions("env"): EnvironmentNameTaken,
        ForkOptions("x", EnvType.PRODUCTION): ValidationFailed,
        ForkOptions("x", parent_env_uuid=archived): EnvironmentArchived,
        ForkOptions("x", parent_env_uuid=shop.actor.account_uuid): EnvironmentNotFound,
        ForkOptions("x", expires_at=datetime.now(UTC)): ValidationFailed,
        ForkOptions("x", expires_at=naive): ValidationFailed,
    }
    for options, error in refused.items():
        with pytest.raises(error):
            await environments.fork(shop.actor, shop.project_id, options)
    nodes = await tree.tree(shop.actor, shop.project_id)
    assert [node for node in nodes if node.environment.uuid != archived] == before


async def test_what_an_update_leaves_out_stays(shop: Shop) -> None:
    env = await shop.fork("env")
    before = await environments.get(shop.actor, env)
    named = await environments.update(shop.actor, env, EnvironmentUpdate(name="cafe\u0301", shadow_writes=True))
    assert (named.name, named.shadow_writes, named.rollout_steps) == ("caf\u00e9", True, before.rollout_steps)
    assert named.updated_at > before.updated_at
    again = await environments.update(shop.actor, env, EnvironmentUpdate(shadow_overwrite=True))
    assert (again.name, again.shadow_writes, again.shadow_overwrite) == ("caf\u00e9", True, True)
    assert await environments.get(shop.actor, env) == again
    assert (await environments.find(shop.actor, shop.project_id, "caf\u00e9")).uuid == env
    with pytest.raises(EnvironmentNotFound):
        await environments.find(shop.actor, shop.project_id, "env")


async def test_updates_that_are_refused(shop: Shop) -> None:
    env, other = await shop.fork("env"), await shop.fork("other")
    before = await environments.get(shop.actor, env)
    for wanted, error in (
        (EnvironmentUpdate(name="other"), EnvironmentNameTaken),
        (EnvironmentUpdate(name="production"), EnvironmentNameTaken),
        (EnvironmentUpdate(name=""), ValidationFailed),
        (EnvironmentUpdate(segments=["x"]), ValidationFailed),
        (EnvironmentUpdate(expires_at=datetime(2000, 1, 1, tzinfo=UTC)), ValidationFailed),
    ):
        with pytest.raises(error):
            await environments.update(shop.actor, env, wanted)
    assert await environments.get(shop.actor, env) == before
    with pytest.raises(ProductionProtected):
        await environments.update(shop.actor, shop.production, EnvironmentUpdate(name="live"))
    await environments.archive(shop.actor, other)
    with pytest.raises(EnvironmentArchived):
        await environments.update(shop.actor, other, EnvironmentUpdate(name="again"))
    with pytest.raises(EnvironmentArchived):
        await environments.archive(shop.actor, other)


async def test_a_write_ends_what_was_checked_and_waits_for_a_rollout(shop: Shop) -> None:
    env = await shop.fork("env")

    async def become(status: EnvStatus) -> None:
        await db.execute(
            "UPDATE environment SET status = $3 WHERE project_id = $1 AND uuid = $2",
            shop.project_id,
            env,
            status.value,
        )

    for status in (EnvStatus.READY, EnvStatus.LIVE, EnvStatus.VALIDATING):
        await become(status)
        await shop.merge("env", {})
        assert (await environments.get(shop.actor, env)).status is status
        await shop.merge("env", {"price": status.value})
        assert (await environments.get(shop.actor, env)).status is EnvStatus.DRAFT
    await become(EnvStatus.READY)
    await shop.load("env", {"kind": "page", "key": "a", "data": await shop.state("env")})
    assert (await environments.get(shop.actor, env)).status is EnvStatus.READY
    await become(EnvStatus.ROLLING_OUT)
    for refused in (shop.merge("env", {"price": 0}), shop.load("env"), shop.checkpoint(env)):
        with pytest.raises(WriteWhileRollingOut):
            await refused
    with pytest.raises(WriteWhileRollingOut):
        await environments.update(shop.actor, env, EnvironmentUpdate(shadow_writes=True))


async def test_archiving_keeps_what_others_stand_on_and_counts_the_rest(shop: Shop) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    await shop.checkpoint(env)
    await shop.merge("env", {"price": 3})
    await shop.put("env", {}, "own")
    child = await shop.fork("child", env)
    pinned = await checkpoints.pin(shop.actor, env)
    assert (await environments.archive(shop.actor, env)).removed_diffs == 0
    assert await shop.state("child") == {"title": "Home", "price": 3, "tags": ["x"]}
    await shop.merge("child", {"price": 4})
    assert (await environments.archive(shop.actor, child)).removed_diffs == 2
    shown = await checkpoints.snapshot(shop.actor, pinned.uuid, kind="page")
    assert [item.entity.key for item in shown.page.items] == ["a", "own"]
    alone = await shop.fork("alone")
    await shop.put("alone", {}, "own")
    assert (await environments.archive(shop.actor, alone)).removed_diffs == 2


async def test_differences_are_counted_whole_and_paged(shop: Shop) -> None:
    env = await shop.fork("env")
    for number in range(7):
        await shop.put("env", {}, f"k{number}")
    await shop.delete("env")
    await shop.put("env", {"n": 1}, "project", "project")
    read: list[tuple[str, str]] = []
    cursor: str | None = None
    while True:
        found = await comparison.environment_diff(shop.actor, env, limit=4, cursor=cursor)
        assert (found.added, found.removed, found.modified) == (7, 1, 1)
        read += [(item.entity.kind, item.entity.key) for item in found.page.items]
        if (cursor := found.page.next_cursor) is None:
            break
    assert read == [("page", "a"), *(("page", f"k{number}") for number in range(7)), ("project", "project")]
