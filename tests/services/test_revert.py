"""Reverting: one document, some paths of it, or everything, to what the parent environment shows now."""

import pytest

from app.domain.errors import DocumentNotFound, PathNotFound, ProductionProtected, ValidationFailed
from app.domain.model import Change
from app.domain.pointer import Path
from app.services import checkpoints, history, revert
from tests.services.shop import Shop


async def _revert(shop: Shop, env: str, *paths: Path, key: str = "a") -> list[Change]:
    found = await shop.named(env)
    reverted = await revert.revert(shop.actor, found, kind="page", key=key, paths=paths or None)
    return reverted.changes


async def test_only_the_paths_named_are_reverted(shop: Shop) -> None:
    await shop.fork("env")
    await shop.put("env", {"title": {"de": "Start"}, "price": 2, "own": 1})
    await shop.merge(None, {"price": 5})
    changes = await _revert(shop, "env", ("price",), ("tags",))
    assert [change.forward for change in changes] == [{"set": {"/price": 5, "/tags": ["x"]}, "unset": []}]
    assert await shop.state("env") == {"title": {"de": "Start"}, "price": 5, "own": 1, "tags": ["x"]}
    await _revert(shop, "env", ("own",), ("title", "de"))
    assert await shop.state("env") == {"title": {}, "price": 5, "tags": ["x"]}
    await _revert(shop, "env", ())
    assert await shop.overrides("env") == {"set": {}, "unset": []}
    assert await _revert(shop, "env", ("price",), ("nothing",)) == []


async def test_paths_inside_arrays_are_refused(shop: Shop) -> None:
    await shop.fork("env")
    await shop.merge("env", {"tags": ["y", "z"], "price": [1]})
    for path in (("tags", "0"), ("tags", "-"), ("price", "a", "b")):
        with pytest.raises(PathNotFound):
            await _revert(shop, "env", path)
    await shop.merge("env", {"tags": {"0": "mine"}})
    with pytest.raises(PathNotFound):
        await _revert(shop, "env", ("tags", "0"))
    assert await shop.state("env") == {"title": "Home", "price": [1], "tags": {"0": "mine"}}


async def test_a_document_hidden_in_the_environment(shop: Shop) -> None:
    await shop.fork("env")
    await shop.delete("env")
    with pytest.raises(DocumentNotFound):
        await _revert(shop, "env", ("price",))
    await _revert(shop, "env")
    assert await shop.state("env") == await shop.state(None)
    with pytest.raises(DocumentNotFound):
        await _revert(shop, "env", key="never")


async def test_a_document_that_the_parent_does_not_have(shop: Shop) -> None:
    await shop.fork("env")
    await shop.put("env", {"a": 1, "b": 2}, "own")
    await _revert(shop, "env", ("a",), key="own")
    assert await shop.state("env", "own") == {"b": 2}
    await _revert(shop, "env", key="own")
    assert await shop.keys("env") == ["a"]
    await shop.merge("env", {"price": 2})
    await shop.delete(None)
    assert await _revert(shop, "env") == []


async def test_the_parent_is_the_environment_it_was_forked_from(shop: Shop) -> None:
    base = await shop.fork("base")
    await shop.merge("base", {"price": 2})
    await shop.fork("child", base)
    await shop.merge("child", {"price": 3, "title": "Mine"})
    await shop.checkpoint(base)
    await shop.merge("base", {"price": 4})
    await _revert(shop, "child")
    assert await shop.state("child") == {"title": "Home", "price": 4, "tags": ["x"]}
    assert await shop.state(None) == {"title": "Home", "price": 1, "tags": ["x"]}


async def test_a_whole_kind_is_reverted(shop: Shop) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    await shop.put("env", {}, "own")
    await shop.put("env", {"mine": True}, "project", "project")
    reverted = await revert.revert(shop.actor, env, kind="page")
    assert {change.entity.key for change in reverted.changes} == {"a", "own"}
    assert await shop.keys("env") == ["a"]
    assert await shop.state("env", "project", "project") == {"mine": True}


async def test_what_cannot_be_reverted(shop: Shop) -> None:
    env = await shop.fork("env")
    with pytest.raises(ProductionProtected):
        await revert.revert(shop.actor, shop.production)
    with pytest.raises(ValidationFailed):
        await revert.revert(shop.actor, env, key="a")
    with pytest.raises(ValidationFailed):
        await revert.revert(shop.actor, env, kind="page", paths=[("price",)])
    before = await history.list_changes(shop.actor, shop.project_id)
    assert (await revert.revert(shop.actor, env)).changes == []
    assert await history.list_changes(shop.actor, shop.project_id) == before


async def test_an_environment_made_by_a_rollback(shop: Shop) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    taken = await shop.checkpoint(env)
    await shop.merge("env", {"price": 3})
    back = await checkpoints.rollback(shop.actor, taken.uuid, "back")
    assert back.environment.parent_uuid == env
    await _revert(shop, "back")
    assert await shop.state("back") == await shop.state("env")
