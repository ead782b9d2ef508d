"""Filtered forks: users outside are out of sight, never deleted; children and snapshots keep the filter."""

import pytest

from app.domain.errors import DocumentNotFound
from app.domain.model import EntityStatus
from app.services import checkpoints, document_bodies, environments, revert
from tests.services.shop import Shop


@pytest.fixture
async def users(shop: Shop) -> Shop:
    """Users u0 to u4, each with its number."""
    for number in range(5):
        await shop.put(None, {"n": number}, f"u{number}", "user")
    return shop


async def test_only_chosen_users_are_in_sight(users: Shop) -> None:
    made = await users.forked("env", users=["u1", "u3", "nobody", "u1"])
    assert made.forked_count == 4
    assert await users.keys("env", "user") == ["u1", "u3"]
    with pytest.raises(DocumentNotFound):
        await users.state("env", "u0", "user")
    with pytest.raises(DocumentNotFound):
        await users.merge("env", {}, "u0", "user")
    with pytest.raises(DocumentNotFound):
        await document_bodies.read(users.actor, users.project_id, "env", "user", "u0")
    assert ("user", "u0") not in await users.dump("env")
    assert (await users.differing(made.environment.uuid)).page.items == []
    await users.put(None, {}, "later", "user")
    assert await users.keys("env", "user") == ["u1", "u3"]
    await users.put(None, {}, "later page")
    assert "later page" in await users.keys("env")


async def test_nobody_may_be_chosen(users: Shop) -> None:
    assert (await users.forked("env", users=[])).forked_count == 2
    assert await users.keys("env", "user") == []


async def test_a_chosen_user_still_follows_production(users: Shop) -> None:
    await users.fork("env", users=["u1"])
    await users.merge(None, {"n": 10}, "u1", "user")
    assert await users.state("env", "u1", "user") == {"n": 10}
    await users.delete(None, "u1", "user")
    assert await users.keys("env", "user") == []
    await users.put(None, {"back": True}, "u1", "user")
    assert await users.state("env", "u1", "user") == {"back": True}


async def test_users_made_or_deleted_in_a_filtered_fork(users: Shop) -> None:
    env = await users.fork("env", users=["u1", "u2"])
    await users.put("env", {"own": 1}, "new", "user")
    await users.delete("env", "u2", "user")
    assert await users.keys("env", "user") == ["new", "u1"]
    child = await users.forked("child", env)
    assert await users.keys("child", "user") == ["new", "u1"]
    assert child.forked_count == 4
    found = await users.differing(env)
    assert [(item.entity.key, item.status) for item in found.page.items] == [
        ("new", EntityStatus.ADDED),
        ("u2", EntityStatus.REMOVED),
    ]


async def test_children_of_a_filtered_fork_choose_among_its_users(users: Shop) -> None:
    env = await users.fork("env", users=["u1", "u2", "u3"])
    await users.put("env", {}, "own", "user")
    await users.delete("env", "u3", "user")
    child = await users.forked("child", env, users=["u0", "u2", "u3", "own"])
    assert child.forked_count == 4
    assert await users.keys("child", "user") == ["own", "u2"]
    await users.put("env", {}, "later", "user")
    assert await users.keys("child", "user") == ["own", "u2"]
    plain = await users.forked("plain", env)
    assert await users.keys("plain", "user") == ["later", "own", "u1", "u2"]
    assert plain.forked_count == 6
    await users.put("env", {}, "latest", "user")
    assert "latest" in await users.keys("plain", "user")


async def test_a_snapshot_of_a_filtered_fork_holds_whom_it_shows(users: Shop) -> None:
    env = await users.fork("env", users=["u1", "u2"])
    await users.put("env", {}, "own", "user")
    pinned = await checkpoints.pin(users.actor, env)
    taken = await users.checkpoint(env)
    assert (pinned.entity_count, taken.entity_count) == (5, 5)
    await users.put("env", {}, "above", "user")
    await users.put(None, {}, "later", "user")
    shown = await checkpoints.snapshot(users.actor, pinned.uuid, kind="user")
    assert [item.entity.key for item in shown.page.items] == ["own", "u1", "u2"]
    back = await checkpoints.rollback(users.actor, taken.uuid, "back")
    assert back.forked_count == 5
    assert await users.keys("back", "user") == ["own", "u1", "u2"]
    assert await users.keys("env", "user") == ["above", "own", "u1", "u2"]
    with pytest.raises(DocumentNotFound):
        await users.state("back", "u0", "user")
    found = await users.differing(back.environment.uuid)
    assert [item.entity.key for item in found.page.items] == ["own"]
    chosen = await users.forked("chosen", back.environment.uuid, users=["u2", "above", "u0"])
    assert (chosen.forked_count, await users.keys("chosen", "user")) == (3, ["u2"])


@pytest.mark.parametrize("checkpoint_count", [1, 2, 3])
async def test_a_deleted_user_stays_deleted_through_checkpoints(users: Shop, checkpoint_count: int) -> None:
    env = await users.fork("env", users=["u1", "u2"])
    await users.delete("env", "u1", "user")
    for number in range(checkpoint_count):
        await users.checkpoint(env)
        if number == 1:
            await users.put("env", number)
    found = await users.differing(env)
    deleted = [item.entity.key for item in found.page.items if item.status is EntityStatus.REMOVED]
    assert deleted == ["u1"]
    taken = await users.checkpoint(env)
    assert taken.entity_count == len(await users.dump("env")) == 3
    back = await checkpoints.rollback(users.actor, taken.uuid)
    assert (await users.differing(back.environment.uuid)).removed == 1
    await users.put("env", {"again": 1}, "u1", "user")
    assert await users.keys("env", "user") == ["u1", "u2"]


async def test_reverting_leaves_users_out_of_sight_alone(users: Shop) -> None:
    env = await users.fork("env", users=["u1"])
    await users.merge("env", {"n": 5}, "u1", "user")
    await users.put("env", {}, "own", "user")
    await users.checkpoint(env)
    await users.merge(None, {"n": 7}, "u0", "user")
    await revert.revert(users.actor, env)
    assert await users.keys("env", "user") == ["u1"]
    assert await users.state("env", "u1", "user") == {"n": 1}


async def test_who_is_out_of_sight_can_be_made_anew(users: Shop) -> None:
    env = await users.fork("env", users=["u1"])
    written = await users.put("env", {"mine": True}, "u0", "user")
    assert written.created
    assert await users.state("env", "u0", "user") == {"mine": True}
    assert await users.state(None, "u0", "user") == {"n": 0}
    await users.delete("env", "u0", "user")
    assert await users.keys("env", "user") == ["u1"]
    await environments.archive(users.actor, env)
    assert await users.state(None, "u0", "user") == {"n": 0}


@pytest.mark.parametrize("kind", [None, "user"])
async def test_reverting_to_a_parent_that_has_a_user_out_of_sight(users: Shop, kind: str | None) -> None:
    base = await users.fork("base", users=["u1"])
    child = await users.fork("child", base, users=["u1"])
    await users.put("child", {"n": 0}, "u0", "user")
    await users.checkpoint(child)
    assert await users.keys("child", "user") == ["u0", "u1"]
    await revert.revert(users.actor, child, kind=kind, key="u0" if kind else None)
    assert await users.keys("child", "user") == ["u1"]
