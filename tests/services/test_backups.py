"""Backups of production, and restoring all of it or parts."""

import pytest

from app.domain.errors import BackupNotFound, DocumentNotFound, ValidationFailed
from app.domain.model import At, Generation
from app.services import backups, checkpoints, documents, history
from tests.services.shop import Shop


async def _saved(shop: Shop) -> Generation:
    """Return a backup of three pages, after which one was changed, one deleted and one made."""
    await shop.put(None, {"n": 2}, "b")
    await shop.put(None, {"n": 3}, "c")
    saved = await backups.backup(shop.actor, shop.project_id, "before")
    await shop.merge(None, {"price": 9})
    await shop.delete(None, "b")
    await shop.put(None, {"n": 4}, "d")
    await shop.put(None, {"new": True}, "project", "project")
    return saved


async def test_production_becomes_the_backup(shop: Shop) -> None:
    saved = await _saved(shop)
    restored = await backups.restore(shop.actor, shop.project_id, saved.uuid)
    assert (restored.created, restored.changed, restored.deleted) == (1, 2, 1)
    assert restored.generation == saved
    assert await shop.dump(None) == {
        ("page", "a"): {"title": "Home", "price": 1, "tags": ["x"]},
        ("page", "b"): {"n": 2},
        ("page", "c"): {"n": 3},
        ("project", "project"): {},
    }
    again = await backups.restore(shop.actor, shop.project_id, saved.uuid)
    assert (again.created, again.changed, again.deleted) == (0, 0, 0)


async def test_a_restore_can_be_undone(shop: Shop) -> None:
    saved = await _saved(shop)
    before, version = await shop.dump(None), (await history.list_changes(shop.actor, shop.project_id)).items[0].version
    safety = await backups.backup(shop.actor, shop.project_id)
    await backups.restore(shop.actor, shop.project_id, saved.uuid)
    at = await documents.read(shop.actor, shop.project_id, None, "page", "d", at=At(version=version))
    assert at.state == {"n": 4}
    await backups.restore(shop.actor, shop.project_id, safety.uuid)
    assert await shop.dump(None) == before


async def test_only_what_is_wanted_is_restored(shop: Shop) -> None:
    saved = await _saved(shop)
    before = await shop.dump(None)
    restored = await backups.restore(shop.actor, shop.project_id, saved.uuid, [("page", "b"), ("page", "c")])
    assert (restored.created, restored.changed, restored.deleted) == (1, 0, 0)
    assert await shop.dump(None) == before | {("page", "b"): {"n": 2}}
    restored = await backups.restore(shop.actor, shop.project_id, saved.uuid, [])
    assert (restored.created, restored.changed, restored.deleted) == (0, 0, 0)


async def test_what_the_backup_does_not_have_cannot_be_restored_alone(shop: Shop) -> None:
    saved = await _saved(shop)
    before = await shop.dump(None)
    for wanted in ([("page", "b"), ("page", "d")], [("page", "never")], [("order", "a")]):
        with pytest.raises(DocumentNotFound):
            await backups.restore(shop.actor, shop.project_id, saved.uuid, wanted)
    with pytest.raises(ValidationFailed):
        await backups.restore(shop.actor, shop.project_id, saved.uuid, [("?", "a")])
    assert await shop.dump(None) == before


async def test_only_backups_can_be_restored(shop: Shop) -> None:
    taken = await shop.checkpoint(shop.production)
    pinned = await checkpoints.pin(shop.actor, shop.production)
    for uuid in (taken.uuid, pinned.uuid, (await shop.head(shop.production)).uuid):
        with pytest.raises(BackupNotFound):
            await backups.restore(shop.actor, shop.project_id, uuid)


async def test_environments_see_a_restore_where_they_do_not_override(shop: Shop) -> None:
    saved = await _saved(shop)
    env = await shop.fork("env")
    await shop.merge("env", {"title": "Mine"})
    await shop.put("env", {"n": 40}, "d")
    await backups.restore(shop.actor, shop.project_id, saved.uuid)
    assert await shop.state("env") == {"title": "Mine", "price": 1, "tags": ["x"]}
    assert await shop.keys("env") == ["a", "b", "c"]
    assert (await shop.forked("child", env)).forked_count == 4


async def test_backups_are_listed_newest_first(shop: Shop) -> None:
    saved = [await backups.backup(shop.actor, shop.project_id, f"b{number}") for number in range(3)]
    page = await backups.list_backups(shop.actor, shop.project_id, limit=2)
    rest = await backups.list_backups(shop.actor, shop.project_id, limit=2, cursor=page.next_cursor)
    assert [*page.items, *rest.items] == saved[::-1]
    assert rest.next_cursor is None
    assert saved[0].entity_count == 2
