"""Shadow writes: what production writes reaches the environments that mirror it, once, in order, and no further."""

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import pytest

from app.domain.errors import ProductionProtected
from app.domain.model import Change, EnvStatus, Origin, Strategy
from app.domain.patch import leaves
from app.domain.protected import MARKER
from app.domain.values import Value
from app.services import (
    backups,
    canaries,
    checkpoints,
    environments,
    history,
    jobs,
    promoting,
    rebasing,
    releasing,
    revert,
    shadow,
)
from app.services.branching import ForkOptions
from app.services.environments import EnvironmentUpdate
from app.services.promoting import PromoteOptions
from app.storage import db, layers, shadows
from tests.services.canaries import planted, tables_with
from tests.services.invariants import check_invariants
from tests.services.shop import Shop, page

DOCUMENT: dict[str, Value] = {"title": "Home", "price": 1, "tags": ["x"]}


async def mirror(shop: Shop, *env_uuids: UUID, times: int = 1) -> None:
    """Do the jobs that are promised, as a worker would."""
    await shadow.mirror_production(shop.project_id)
    for env_uuid in env_uuids:
        for _ in range(times):
            await shadow.mirror_into(shop.project_id, env_uuid)
    await check_invariants(shop.project_id)


async def staging(shop: Shop, *, frozen: bool = True, overwrite: bool = False, parent: UUID | None = None) -> UUID:
    """Return an environment ``staging`` that mirrors production; ``frozen`` below a checkpoint."""
    options = ForkOptions("staging", parent_env_uuid=parent, shadow_writes=True)
    env = (await environments.fork(shop.actor, shop.project_id, options)).environment.uuid
    if frozen:
        await shop.checkpoint(env)
    if overwrite:
        await environments.update(shop.actor, env, EnvironmentUpdate(shadow_overwrite=True))
    return env


async def jobs_of(shop: Shop, kind: str) -> int:
    count: int = await db.fetchval(
        "SELECT count(*) FROM pgqueuer WHERE entrypoint = $1"
        " AND (convert_from(payload, 'UTF8')::jsonb ->> 'project_id')::int = $2",
        kind,
        shop.project_id,
    )
    return count


async def lag(shop: Shop, env: UUID) -> int:
    found = await shadow.lags(shop.project_id, [await environments.get(shop.actor, env)])
    return found[env].versions


async def carried(shop: Shop, env: UUID) -> set[tuple[str, tuple[str, ...]]]:
    """Return key and path of what a promotion would carry."""
    dry = await promoting.dry_run(shop.actor, env, PromoteOptions())
    return {(merge.entity.key, path) for merge in dry.merges for path, _ in leaves(merge.carried.changes)}


async def changes(shop: Shop, env: UUID) -> Sequence[Change]:
    return (await history.list_changes(shop.actor, shop.project_id, env_uuid=env)).items


async def test_a_frozen_environment_follows_production(shop: Shop) -> None:
    env = await staging(shop)
    await shop.merge(None, {"price": 2})
    assert await shop.state("staging") == DOCUMENT
    assert await lag(shop, env) == 1
    await mirror(shop, env)
    assert await shop.state("staging") == {**DOCUMENT, "price": 2}
    assert await lag(shop, env) == 0
    (change, *_) = await changes(shop, env)
    assert (change.origin, change.actor, change.forward) == (
        Origin.SHADOW,
        "shadow",
        {"set": {"/price": 2}, "unset": []},
    )
    assert await shop.overrides("staging") == {"set": {"/price": 2}, "unset": []}


async def test_it_is_applied_once(shop: Shop) -> None:
    env = await staging(shop)
    await shop.merge(None, {"price": 2})
    await mirror(shop, env, times=3)
    version = await shop.version("staging")
    await mirror(shop, env)
    assert [change.origin for change in await changes(shop, env)] == [Origin.SHADOW, Origin.FORK]
    assert await shop.version("staging") == version


async def test_jobs_in_any_order_give_the_last_state(shop: Shop) -> None:
    env = await staging(shop)
    await shop.merge(None, {"price": 2})
    await shadow.mirror_into(shop.project_id, env)
    await shop.merge(None, {"price": 3})
    await shop.merge(None, {"price": 4, "title": None})
    await shadow.mirror_into(shop.project_id, env)
    await shadow.mirror_production(shop.project_id)
    await shadow.mirror_into(shop.project_id, env)
    assert await shop.state("staging") == {"price": 4, "tags": ["x"]}
    assert len(await changes(shop, env)) == 3


async def test_a_live_overlay_needs_no_layer(shop: Shop) -> None:
    env = await staging(shop, frozen=False)
    await shop.merge("staging", {"title": "Mine"})
    await shop.merge(None, {"price": 2, "title": "Theirs"})
    await shop.put(None, {"n": 1}, key="b")
    await mirror(shop, env)
    assert await shop.state("staging") == {**DOCUMENT, "price": 2, "title": "Mine"}
    assert await shop.overrides("staging") == {"set": {"/title": "Mine"}, "unset": []}
    assert Origin.SHADOW not in {change.origin for change in await changes(shop, env)}
    assert await lag(shop, env) == 0


@pytest.mark.parametrize("frozen", [True, False])
async def test_what_the_environment_overrode_is_kept(shop: Shop, frozen: bool) -> None:
    env = await staging(shop, frozen=frozen)
    await shop.merge("staging", {"title": "Mine", "tags": None})
    await shop.merge(None, {"title": "Theirs", "price": 2, "tags": ["y"]})
    await mirror(shop, env)
    assert await shop.state("staging") == {"title": "Mine", "price": 2}


@pytest.mark.parametrize("frozen", [True, False])
async def test_overwriting(shop: Shop, frozen: bool) -> None:
    env = await staging(shop, frozen=frozen, overwrite=True)
    await shop.merge("staging", {"title": "Mine", "price": 9})
    await shop.merge(None, {"title": "Theirs"})
    await mirror(shop, env)
    assert await shop.state("staging") == {**DOCUMENT, "title": "Theirs", "price": 9}
    await environments.update(shop.actor, env, EnvironmentUpdate(shadow_overwrite=False))
    await shop.merge(None, {"title": "Newer", "price": 3})
    await mirror(shop, env)
    assert await shop.state("staging") == {**DOCUMENT, "title": "Newer", "price": 9}


async def test_documents_come_and_go(shop: Shop) -> None:
    env = await staging(shop)
    await shop.put(None, {"n": 1}, key="b")
    await shop.delete(None)
    await mirror(shop, env)
    assert await shop.keys("staging") == ["b"]
    await shop.put(None, {"again": True})
    await shop.delete(None, key="b")
    await mirror(shop, env)
    assert await shop.keys("staging") == ["a"]
    assert await shop.state("staging") == {"again": True}


async def test_a_document_with_overrides_stays_when_production_deletes_it(shop: Shop) -> None:
    env = await staging(shop)
    await shop.merge("staging", {"title": "Mine"})
    await shop.delete(None)
    await mirror(shop, env)
    assert await shop.state("staging") == {**DOCUMENT, "title": "Mine"}
    await shop.put(None, {"title": "New", "n": 1})
    await mirror(shop, env)
    assert await shop.state("staging") == {"title": "Mine", "n": 1}


async def test_what_the_environment_deleted_stays_deleted(shop: Shop) -> None:
    env = await staging(shop)
    await shop.delete("staging")
    await shop.merge(None, {"price": 2})
    await shop.delete(None)
    await shop.put(None, {"new": 1})
    await mirror(shop, env)
    assert await shop.keys("staging") == []
    await environments.update(shop.actor, env, EnvironmentUpdate(shadow_overwrite=True))
    await shop.put(None, {"new": 2})
    await mirror(shop, env)
    assert await shop.keys("staging") == []
    await shop.delete(None)
    await shop.put(None, {"new": 3})
    await mirror(shop, env)
    assert await shop.state("staging") == {"new": 3}


async def test_a_document_older_than_the_mirror_is_not_made_of_a_part(shop: Shop) -> None:
    env = await shop.fork("staging")
    await shop.checkpoint(env)
    await shop.put(None, {"n": 1, "m": 1}, key="b")
    await environments.update(shop.actor, env, EnvironmentUpdate(shadow_writes=True))
    await shop.merge(None, {"n": 2}, key="b")
    await mirror(shop, env)
    assert await shop.keys("staging") == ["a"]


async def test_turned_on_it_starts_now(shop: Shop) -> None:
    env = await shop.fork("staging")
    await shop.checkpoint(env)
    await shop.merge(None, {"price": 2})
    assert await jobs_of(shop, "mirror_production") == 0
    on, off = EnvironmentUpdate(shadow_writes=True), EnvironmentUpdate(shadow_writes=False)
    await environments.update(shop.actor, env, on)
    await mirror(shop, env)
    assert await shop.state("staging") == DOCUMENT
    await shop.merge(None, {"title": "Seen"})
    await mirror(shop, env)
    await environments.update(shop.actor, env, off)
    await shop.merge(None, {"tags": []})
    await mirror(shop, env)
    await environments.update(shop.actor, env, on)
    await mirror(shop, env)
    assert await shop.state("staging") == {**DOCUMENT, "title": "Seen"}


async def test_nothing_is_promised_where_nobody_wants_it(shop: Shop) -> None:
    env = await staging(shop)
    await shop.merge(None, {"price": 2})
    await shop.merge(None, {"price": 3})
    await shop.merge("staging", {"price": 4})
    assert await jobs_of(shop, "mirror_production") == 1
    await environments.archive(shop.actor, env)
    await mirror(shop, env)
    assert not await db.fetchval("SELECT shadowed FROM project_counter WHERE project_id = $1", shop.project_id)
    await db.execute("DELETE FROM pgqueuer WHERE entrypoint LIKE 'mirror%'")
    await shop.merge(None, {"price": 5})
    assert await jobs_of(shop, "mirror_production") == 0


async def test_one_job_is_promised_until_it_begins(shop: Shop) -> None:
    env = await staging(shop)
    for price in (2, 3, 4):
        await shop.merge(None, {"price": price})
    assert await jobs_of(shop, "mirror_production") == 1
    await mirror(shop, env)
    await mirror(shop, env)
    assert await jobs_of(shop, "mirror_into") == 1
    await shop.merge(None, {"price": 5})
    assert await jobs_of(shop, "mirror_production") == 2


async def test_a_write_that_fails_promises_nothing(shop: Shop) -> None:
    await staging(shop)
    with suppress(RuntimeError):
        async with db.transaction(encloses=True):
            await shop.merge(None, {"price": 2})
            raise RuntimeError
    assert await jobs_of(shop, "mirror_production") == 0


@pytest.mark.parametrize("way", ["direct", "import", "restore", "promotion", "rollback of a release"])
async def test_every_way_to_production_is_mirrored(shop: Shop, way: str) -> None:
    backup = await backups.backup(shop.actor, shop.project_id)
    other = await shop.fork("other")
    await shop.merge("other", {"price": 7})
    if way == "rollback of a release":
        await promoting.promote(shop.actor, other, PromoteOptions())
    elif way == "restore":
        await shop.merge(None, {"price": 8})
    env = await staging(shop)
    if way == "direct":
        await shop.merge(None, {"price": 7})
    elif way == "import":
        await shop.load(None, page("a", {**DOCUMENT, "price": 7}), page("b", {}))
    elif way == "restore":
        await backups.restore(shop.actor, shop.project_id, backup.uuid)
    elif way == "promotion":
        await promoting.promote(shop.actor, other, PromoteOptions())
    else:
        (release,) = (await releasing.list_releases(shop.actor, shop.project_id)).items
        await releasing.rollback_release(shop.actor, release.uuid)
    assert await jobs_of(shop, "mirror_production") == 1
    await mirror(shop, env)
    assert await shop.dump("staging") == await shop.dump(None)


@pytest.mark.parametrize("overwrite", [True, False])
async def test_nothing_mirrored_is_promoted_and_the_status_stays(shop: Shop, overwrite: bool) -> None:
    env = await staging(shop, overwrite=overwrite)
    await shop.merge("staging", {"title": "Mine"})
    await promoting.validate(shop.actor, env)
    assert (await environments.get(shop.actor, env)).status is EnvStatus.READY
    await shop.merge(None, {"price": 2, "tags": ["y"]})
    await shop.put(None, {"n": 1}, key="b")
    await mirror(shop, env)
    assert (await environments.get(shop.actor, env)).status is EnvStatus.READY
    await shop.merge(None, {"price": 3})
    made = await promoting.promote(shop.actor, env, PromoteOptions())
    assert {(item.key, item.path) for item in made.carried} == {("a", "/title")}
    assert await shop.state(None) == {"title": "Mine", "price": 3, "tags": ["y"]}
    await check_invariants(shop.project_id)


async def test_what_was_overwritten_is_carried_no_longer(shop: Shop) -> None:
    env = await staging(shop, overwrite=True)
    await shop.merge("staging", {"title": "Mine", "price": 9})
    await shop.merge(None, {"title": "Theirs"})
    await mirror(shop, env)
    made = await promoting.promote(shop.actor, env, PromoteOptions())
    assert {item.path for item in made.carried} == {"/price"}
    assert await shop.state(None) == {**DOCUMENT, "title": "Theirs", "price": 9}


async def test_a_rollback_carries_what_it_rolls_back_and_nothing_mirrored(shop: Shop) -> None:
    kept = await shop.checkpoint(await shop.fork("old"))
    await shop.merge(None, {"price": 2})
    env = await shop.rollback(kept)
    name = (await environments.get(shop.actor, env)).name
    await environments.update(shop.actor, env, EnvironmentUpdate(shadow_writes=True))
    await shop.merge(None, {"price": 3, "title": "New"})
    await mirror(shop, env)
    assert await shop.state(name) == {**DOCUMENT, "title": "New"}
    assert await carried(shop, env) == {("a", ("price",))}


async def test_a_rebase_drops_what_was_mirrored(shop: Shop) -> None:
    env = await staging(shop)
    await shop.merge("staging", {"title": "Mine"})
    await shop.merge(None, {"price": 2})
    await mirror(shop, env)
    await rebasing.rebase(shop.actor, env)
    assert await shop.overrides("staging") == {"set": {"/title": "Mine"}, "unset": []}
    await shop.merge(None, {"price": 3})
    await mirror(shop, env)
    assert await shop.state("staging") == {**DOCUMENT, "title": "Mine", "price": 3}


async def test_the_environment_writes_over_what_was_mirrored(shop: Shop) -> None:
    env = await staging(shop)
    await shop.merge(None, {"price": 2})
    await mirror(shop, env)
    await shop.merge("staging", {"price": 5})
    await shop.merge(None, {"price": 6, "title": "New"})
    await mirror(shop, env)
    assert await shop.state("staging") == {**DOCUMENT, "price": 5, "title": "New"}
    dry = await promoting.dry_run(shop.actor, env, PromoteOptions())
    assert [(item.path, item.base, item.theirs) for item in dry.conflicts] == [("/price", 2, 5)]


async def test_what_was_reverted_follows_production(shop: Shop) -> None:
    env = await staging(shop)
    await shop.merge("staging", {"price": 5})
    await revert.revert(shop.actor, env, kind="page", key="a", paths=[("price",)])
    await shop.merge(None, {"price": 6})
    await mirror(shop, env)
    assert await shop.state("staging") == {**DOCUMENT, "price": 6}


async def test_a_checkpoint_stays_as_it_is(shop: Shop) -> None:
    env = await staging(shop)
    sealed = await shop.head(env)
    await shop.merge(None, {"price": 2})
    await mirror(shop, env)
    head = await shop.head(env)
    assert (head.parent_uuid, head.sealed, head.env_uuid) == (sealed.uuid, False, env)
    assert sealed.is_checkpoint
    made = await checkpoints.rollback(shop.actor, sealed.uuid, "back")
    assert await shop.state(made.environment.name) == DOCUMENT
    await shop.merge(None, {"price": 3})
    await mirror(shop, env)
    assert await shop.head(env) == head


async def test_a_fork_of_an_overridden_line_keeps_it(shop: Shop) -> None:
    parent = await shop.fork("parent")
    await shop.merge("parent", {"title": "Mine"})
    env = await staging(shop, parent=parent)
    await shop.merge(None, {"title": "Theirs", "price": 2})
    await mirror(shop, env)
    assert await shop.state("staging") == {**DOCUMENT, "title": "Mine", "price": 2}


async def test_a_fork_can_be_overwritten_where_its_parent_is_not(shop: Shop) -> None:
    parent = await shop.fork("parent")
    await shop.merge("parent", {"title": "Mine"})
    env = await staging(shop, frozen=False, overwrite=True, parent=parent)
    await shop.merge(None, {"title": "Theirs"})
    await mirror(shop, env)
    assert (await shop.state("staging"), await shop.state("parent")) == (
        {**DOCUMENT, "title": "Theirs"},
        {**DOCUMENT, "title": "Mine"},
    )
    assert not await carried(shop, env)


async def test_users_outside_a_filter_stay_outside(shop: Shop) -> None:
    for key in ("u1", "u2"):
        await shop.put(None, {"n": 1}, key=key, kind="user")
    options = ForkOptions("staging", user_uuids=["u1"], shadow_writes=True)
    env = (await environments.fork(shop.actor, shop.project_id, options)).environment.uuid
    await shop.checkpoint(env)
    for key in ("u1", "u2", "u3"):
        await shop.put(None, {"n": 2}, key=key, kind="user")
    await mirror(shop, env)
    assert await shop.keys("staging", "user") == ["u1"]
    assert await shop.state("staging", "u1", "user") == {"n": 2}


async def test_a_rollout_makes_mirrored_writes_wait(shop: Shop) -> None:
    env = await staging(shop)
    await shop.merge("staging", {"title": "Mine"})
    await promoting.promote(shop.actor, env, PromoteOptions(strategy=Strategy.CANARY))
    await shop.merge(None, {"price": 2})
    await mirror(shop, env)
    assert (await shop.state("staging"), await lag(shop, env)) == ({**DOCUMENT, "title": "Mine"}, 1)
    await db.execute("DELETE FROM pgqueuer")
    await shadow.find_unmirrored()
    assert await jobs_of(shop, "mirror_into") == 0
    await canaries.abort(shop.actor, env)
    assert await jobs_of(shop, "mirror_into") == 1
    await mirror(shop, env)
    assert (await shop.state("staging"), await lag(shop, env)) == ({**DOCUMENT, "title": "Mine", "price": 2}, 0)
    assert (await environments.get(shop.actor, env)).status is EnvStatus.READY


async def test_what_is_behind_is_found(shop: Shop) -> None:
    env = await staging(shop)
    await shadow.find_unmirrored()
    assert await jobs_of(shop, "mirror_into") == 0
    await shop.merge(None, {"price": 2})
    for _ in range(2):
        await shadow.find_unmirrored()
    assert await jobs_of(shop, "mirror_into") == 1
    await mirror(shop, env)
    assert (shop.project_id, env) not in await shadows.behind()


async def test_protected_values_are_mirrored_sealed(shop: Shop) -> None:
    first, second, own = planted(), planted(), planted()
    listed: Value = {"config": {"protected_fields": ["page:secret"]}}
    await shop.merge(None, listed, "project", "project")
    await shop.merge(None, {"secret": first})
    env = await staging(shop)
    await shop.merge(None, {"secret": second, "price": 2})
    await shop.put(None, {"secret": second}, key="b")
    await mirror(shop, env)
    assert await shop.state("staging") == {**DOCUMENT, "price": 2, "secret": MARKER}
    assert await shop.state("staging", "b") == {"secret": MARKER}
    await shop.merge("staging", {"secret": own})
    version = await shop.version("staging")
    await shop.merge(None, {"secret": first})
    await mirror(shop, env)
    assert await shop.version("staging") == version
    assert not await tables_with(first, second, own)


async def test_a_write_from_before_its_place_was_protected(shop: Shop) -> None:
    await shop.put(None, {"keys": {"a": "one", "b": "two"}})
    env = await staging(shop)
    await shop.merge(None, {"keys": {"a": "three"}})
    listed: Value = {"config": {"protected_fields": ["page:keys"]}}
    await shop.merge(None, listed, "project", "project")
    await mirror(shop, env)
    assert await shop.state("staging") == {"keys": MARKER}
    heads = [(await shop.head(uuid)).uuid for uuid in (env, shop.production)]
    keys = [layers.DocumentKey(head, "page", "a") for head in heads]
    mine, theirs = [stack.state for stack in await layers.stacks(shop.project_id, keys) if stack]
    assert mine == theirs


async def test_an_archived_environment_is_left_alone(shop: Shop) -> None:
    env, other = await staging(shop), await shop.fork("other")
    await environments.update(shop.actor, other, EnvironmentUpdate(shadow_writes=True))
    await shop.checkpoint(other)
    await shop.merge(None, {"price": 2})
    await environments.archive(shop.actor, env)
    await mirror(shop, env, other)
    await shop.merge(None, {"price": 3})
    await mirror(shop, env, other)
    assert await shop.state("other") == {**DOCUMENT, "price": 3}
    assert Origin.SHADOW not in {change.origin for change in await changes(shop, env)}
    assert not await shadow.lags(shop.project_id, [await environments.get(shop.actor, env)])


async def test_many_writes_come_in_batches(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "FEW_AT_ONCE", 7)
    env = await staging(shop)
    await shop.load(None, *(page(f"p{number:03}", {"n": number}) for number in range(50)))
    monkeypatch.setattr(shadow, "LONGEST_SECONDS", 0.0)
    await mirror(shop, env)
    assert 0 < await lag(shop, env) < 50
    monkeypatch.setattr(shadow, "LONGEST_SECONDS", 30.0)
    await mirror(shop, env)
    assert await shop.dump("staging") == await shop.dump(None)
    shown = [(change.entity.key, change.origin) for change in await changes(shop, env)]
    assert len(set(shown)) == len(shown)


async def test_large_writes_come_in_batches_too(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadows, "BYTES_AT_ONCE", 1000)
    env = await staging(shop)
    for number in range(5):
        await shop.put(None, {"text": "x" * 700}, key=f"p{number}")
    await mirror(shop, env)
    assert await shop.dump("staging") == await shop.dump(None)
    recorded = await db.fetchval(
        "SELECT count(*) FROM audit WHERE project_id = $1 AND operation = 'mirror_production'", shop.project_id
    )
    assert recorded == 5


async def test_a_mirror_that_fails_changes_nothing_and_goes_on_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = await staging(shop)
    await shop.merge(None, {"price": 2})

    async def fail(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(shadows, "move_cursor", fail)
        with pytest.raises(ConnectionError):
            await shadow.mirror_into(shop.project_id, env)
    assert (await shop.state("staging"), await lag(shop, env)) == (DOCUMENT, 1)
    assert (await shop.head(env)).is_checkpoint
    await mirror(shop, env)
    assert await shop.state("staging") == {**DOCUMENT, "price": 2}


async def test_what_was_laid_aside_is_promised_once(shop: Shop) -> None:
    env = await staging(shop)
    await shop.merge(None, {"price": 2})
    await shadow.mirror_production(shop.project_id)
    await db.execute("UPDATE pgqueuer SET status = 'failed' WHERE entrypoint = 'mirror_into'")
    await shop.merge(None, {"price": 3})
    await shadow.mirror_production(shop.project_id)
    await shadow.find_unmirrored()
    assert await jobs_of(shop, "mirror_into") == 1
    assert "mirror_into" in {job.kind for job in await jobs.dead_jobs()}
    assert await lag(shop, env) == 2


async def test_it_is_recorded_and_published_once_per_batch(shop: Shop) -> None:
    env = await staging(shop)
    for number in range(3):
        await shop.put(None, {"n": number}, key=f"p{number}")
    await mirror(shop, env, times=2)
    rows = await db.fetch(
        "SELECT actor, object_id, last_version - first_version AS more FROM audit"
        " WHERE project_id = $1 AND operation = 'mirror_production'",
        shop.project_id,
    )
    assert [tuple(row) for row in rows] == [(None, str(env), 2)]
    (event,) = await db.fetch(
        "SELECT env_uuid, actor, data FROM event WHERE project_id = $1 AND type = 'documents.changed'", shop.project_id
    )
    assert (event["env_uuid"], event["actor"]) == (env, None)


async def test_production_is_not_mirrored_into_itself(shop: Shop) -> None:
    with pytest.raises(ProductionProtected):
        await environments.update(shop.actor, shop.production, EnvironmentUpdate(shadow_writes=True))
    await environments.update(shop.actor, shop.production, EnvironmentUpdate(shadow_writes=False))
    await shop.merge(None, {"price": 2})
    await shadow.mirror_into(shop.project_id, shop.production)
    assert await jobs_of(shop, "mirror_production") == 0
