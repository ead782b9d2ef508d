"""Checkpoints, pins and rollbacks: what stays for ever, what may be deleted, and how they are named."""

import pytest

from app.domain.errors import (
    CheckpointNotFound,
    Conflict,
    DocumentNotFound,
    EnvironmentArchived,
    EnvironmentNameTaken,
    SnapshotNotFound,
    ValidationFailed,
)
from app.domain.model import At, Generation
from app.services import backups, checkpoints, documents, environments, tree
from tests.services.shop import Shop


async def test_what_is_returned_is_what_is_stored(shop: Shop) -> None:
    made = await shop.forked("env")
    assert await tree.generation(shop.actor, made.generation.uuid) == made.generation
    taken = await shop.checkpoint(made.environment.uuid, "one")
    pinned = await checkpoints.pin(shop.actor, made.environment.uuid)
    saved = await backups.backup(shop.actor, shop.project_id, "two")
    back = await checkpoints.rollback(shop.actor, taken.uuid)
    for generation in (taken, pinned, saved, back.generation):
        assert await tree.generation(shop.actor, generation.uuid) == generation
    assert (await environments.get(shop.actor, back.environment.uuid)) == back.environment
    assert (await environments.get(shop.actor, made.environment.uuid)).pinned_uuid == pinned.uuid
    assert [taken.label, saved.label, pinned.label] == ["one", "two", None]


@pytest.mark.parametrize("label", [None, "before payment", "x" * 200, " a ", "a\u200bb", "a\nb", "x" * 99 + " y", "é"])
async def test_rollbacks_are_named_after_any_label(shop: Shop, label: str | None) -> None:
    env = await shop.fork("env")
    taken = [await shop.checkpoint(env, label) for _ in range(2)]
    names = [(await checkpoints.rollback(shop.actor, item.uuid)).environment.name for item in (*taken, *taken)]
    assert len(set(names)) == 4
    if label in ("before payment", "é"):
        assert all(name.startswith(f"rollback-{label}-") for name in names)


async def test_a_rollback_may_be_named(shop: Shop) -> None:
    env = await shop.fork("env")
    taken = await shop.checkpoint(env)
    assert (await checkpoints.rollback(shop.actor, taken.uuid, "mine")).environment.name == "mine"
    with pytest.raises(EnvironmentNameTaken):
        await checkpoints.rollback(shop.actor, taken.uuid, "mine")
    for name in ("", " ", "a\0b"):
        with pytest.raises(ValidationFailed):
            await checkpoints.rollback(shop.actor, taken.uuid, name)


async def test_only_checkpoints_can_be_rolled_back_to(shop: Shop) -> None:
    env = await shop.fork("env")
    pinned = await checkpoints.pin(shop.actor, env)
    saved = await backups.backup(shop.actor, shop.project_id)
    for uuid in (pinned.uuid, saved.uuid, env, (await shop.head(env)).uuid):
        with pytest.raises(CheckpointNotFound):
            await checkpoints.rollback(shop.actor, uuid)
        with pytest.raises(CheckpointNotFound):
            await checkpoints.delete_checkpoint(shop.actor, uuid)
    with pytest.raises(SnapshotNotFound):
        await checkpoints.snapshot(shop.actor, saved.uuid)


async def test_a_checkpoint_of_production_stands_beside_it(shop: Shop) -> None:
    head = await shop.head(shop.production)
    taken = await shop.checkpoint(shop.production)
    assert (taken.parent_uuid, taken.number, taken.entity_count) == (head.uuid, 1, 2)
    assert await shop.head(shop.production) == head
    await shop.merge(None, {"price": 2})
    assert (await shop.head(shop.production)).number == 0
    back = await checkpoints.rollback(shop.actor, taken.uuid, "back")
    assert back.environment.parent_uuid == shop.production
    assert await shop.state("back") == {"title": "Home", "price": 1, "tags": ["x"]}
    at = await documents.read(shop.actor, shop.project_id, None, "page", "a", at=At(checkpoint=taken.uuid))
    assert at.state == {"title": "Home", "price": 1, "tags": ["x"]}


async def test_snapshots_never_change(shop: Shop) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    pinned = await checkpoints.pin(shop.actor, env)
    taken = await shop.checkpoint(env)
    await shop.merge("env", {"price": 3})
    await shop.merge(None, {"title": "Late"})
    await shop.delete(None)
    await shop.put(None, {}, "new")
    await environments.archive(shop.actor, env)
    shown = await checkpoints.snapshot(shop.actor, pinned.uuid, kind="page")
    frozen = {"title": "Home", "price": 2, "tags": ["x"]}
    assert [(item.entity.key, item.state) for item in shown.page.items] == [("a", frozen)]
    await checkpoints.rollback(shop.actor, taken.uuid, "back")
    assert await shop.dump("back", "page") == {("page", "a"): frozen}
    with pytest.raises(DocumentNotFound):
        await shop.state("back", "new")


async def test_a_pin_moves_nothing_and_the_last_one_is_pointed_to(shop: Shop) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    head = await shop.head(env)
    pins = [await checkpoints.pin(shop.actor, env) for _ in range(2)]
    assert await shop.head(env) == head
    assert {pin.number for pin in pins} == {head.number}
    assert (await environments.get(shop.actor, env)).pinned_uuid == pins[1].uuid
    assert len(await tree.tree(shop.actor, shop.project_id)) == 2
    await checkpoints.snapshot(shop.actor, pins[0].uuid)


async def test_a_checkpoint_is_deleted_if_nothing_stands_on_it(shop: Shop) -> None:
    env = await shop.fork("env")
    taken = [await shop.checkpoint(env), await shop.checkpoint(shop.production)]
    with pytest.raises(Conflict):
        await checkpoints.delete_checkpoint(shop.actor, taken[0].uuid)
    back = await checkpoints.rollback(shop.actor, taken[0].uuid)
    await checkpoints.delete_checkpoint(shop.actor, taken[1].uuid)
    with pytest.raises(CheckpointNotFound):
        await checkpoints.delete_checkpoint(shop.actor, taken[1].uuid)
    with pytest.raises(Conflict):
        await checkpoints.delete_checkpoint(shop.actor, taken[0].uuid)
    assert await shop.state(back.environment.name) == {"title": "Home", "price": 1, "tags": ["x"]}
    found = await checkpoints.list_checkpoints(shop.actor, shop.project_id)
    assert [item.uuid for item in found.items] == [taken[0].uuid]


async def test_checkpoints_are_listed_newest_first_in_pages(shop: Shop) -> None:
    env = await shop.fork("env")
    taken = [await shop.checkpoint(env if number % 2 else shop.production) for number in range(5)]
    read: list[Generation] = []
    cursor = None
    while True:
        page = await checkpoints.list_checkpoints(shop.actor, shop.project_id, limit=2, cursor=cursor)
        read += page.items
        if (cursor := page.next_cursor) is None:
            break
    assert [item.uuid for item in read] == [item.uuid for item in reversed(taken)]
    of_env = await checkpoints.list_checkpoints(shop.actor, shop.project_id, env_uuid=env)
    assert [item.uuid for item in of_env.items] == [taken[3].uuid, taken[1].uuid]


async def test_an_archived_environment_takes_no_snapshots(shop: Shop) -> None:
    env = await shop.fork("env")
    await environments.archive(shop.actor, env)
    for take in (checkpoints.pin(shop.actor, env), shop.checkpoint(env)):
        with pytest.raises(EnvironmentArchived):
            await take
