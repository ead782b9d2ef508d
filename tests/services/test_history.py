"""What history says: who set a value, what each change did and undoes, and what was shown when."""

import pytest

from app.domain.errors import DocumentNotFound, VersionNotFound
from app.domain.model import At, Change, Origin
from app.domain.patch import apply, from_json
from app.domain.values import MISSING, State
from app.services import backups, checkpoints, documents, environments, history, revert
from tests.services.shop import Shop


async def _blamed(shop: Shop, env: str | None, *path: str, key: str = "a") -> Change | None:
    return await history.blame(shop.actor, shop.project_id, env, "page", key, path)


async def test_blame_in_production_is_the_last_change_at_or_around_the_path(shop: Shop) -> None:
    deep = await shop.merge(None, {"deep": {"x": 1, "y": 1}})
    inner = await shop.merge(None, {"deep": {"x": 2}})
    assert await _blamed(shop, None, "deep", "y") == deep.change
    assert await _blamed(shop, None, "deep", "x") == inner.change
    assert await _blamed(shop, None, "deep") == inner.change
    assert await _blamed(shop, None) == inner.change
    whole = await shop.put(None, [1])
    assert await _blamed(shop, None, "0") == whole.change
    await shop.delete(None)
    with pytest.raises(DocumentNotFound):
        await _blamed(shop, None, "title")


async def test_blame_of_keys_that_begin_alike(shop: Shop) -> None:
    first = await shop.merge(None, {"a": 1, "aa": 1, "a/b": 1, "": 1})
    await shop.merge(None, {"aa": 2})
    await shop.merge(None, {"a/b": 2})
    assert await _blamed(shop, None, "a") == first.change
    assert await _blamed(shop, None, "") == first.change


async def test_blame_of_an_override_and_of_what_shows_through(shop: Shop) -> None:
    await shop.fork("env")
    mine = await shop.merge("env", {"price": 2})
    theirs = await shop.merge(None, {"title": "New", "price": 5})
    assert await _blamed(shop, "env", "price") == mine.change
    assert await _blamed(shop, "env", "title") == theirs.change
    assert await _blamed(shop, "env", "unknown") is None
    await shop.merge("env", {"price": 5})
    assert await _blamed(shop, "env", "price") == theirs.change


async def test_blame_through_environments_that_stand_on_one_another(shop: Shop) -> None:
    base = await shop.fork("base")
    await shop.fork("child", base)
    low = await shop.merge("child", {"price": 3})
    middle = await shop.merge("base", {"price": 2, "tags": []})
    assert await _blamed(shop, "child", "price") == low.change
    assert await _blamed(shop, "child", "tags") == middle.change
    own = await shop.put("child", {"n": 1}, "own")
    assert await _blamed(shop, "child", "n", key="own") == own.change


async def test_blame_below_a_checkpoint_is_of_what_it_froze(shop: Shop) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    await shop.merge("env", {"price": 1})
    theirs = await shop.merge(None, {"price": 9})
    mine = await shop.merge("env", {"title": "Mine"})
    await shop.checkpoint(env)
    await shop.merge(None, {"price": 10, "title": "Late"})
    assert await _blamed(shop, "env", "price") == theirs.change
    assert await _blamed(shop, "env", "title") == mine.change
    above = await shop.merge("env", {"tags": ["y"]})
    assert await _blamed(shop, "env", "price") == theirs.change
    assert await _blamed(shop, "env", "tags") == above.change


async def test_blame_below_two_checkpoints_and_of_an_open_parent(shop: Shop) -> None:
    base = await shop.fork("base")
    set_in_base = await shop.merge("base", {"price": 2})
    child = await shop.fork("child", base)
    await shop.checkpoint(child)
    await shop.merge("base", {"price": 3})
    between = await shop.merge("child", {"title": "Between"})
    await shop.checkpoint(child)
    await shop.merge("child", {"tags": []})
    assert await _blamed(shop, "child", "price") == set_in_base.change
    assert await _blamed(shop, "child", "title") == between.change


async def test_blame_after_a_rollback_to_production(shop: Shop) -> None:
    before = await shop.merge(None, {"price": 2})
    taken = await shop.checkpoint(shop.production)
    await shop.merge(None, {"price": 3})
    back = await checkpoints.rollback(shop.actor, taken.uuid, "back")
    assert await _blamed(shop, "back", "price") == before.change
    changed = await revert.revert(shop.actor, back.environment.uuid, kind="page", key="a")
    assert [await _blamed(shop, "back", "price")] == changed.changes


async def test_each_change_undoes_what_it_did(shop: Shop) -> None:
    env = await shop.fork("env")
    states: dict[tuple[object, str], list[State]] = {}

    async def note() -> None:
        for name in (None, "env"):
            for key in ("a", "b"):
                found = await _state_or_missing(shop, name, key)
                states.setdefault((name, key), []).append(found)

    await note()
    writes = [
        await shop.merge("env", {"price": {"net": 1}}),
        await shop.put("env", {"own": None}, "b"),
        await shop.put(None, [1, {"x": 2}], "b"),
        await shop.delete("env", "b"),
        await shop.put("env", {"own": True}, "b"),
        await shop.delete(None, "a"),
        await shop.put(None, {"title": 0}, "a"),
    ]
    for written in writes:
        assert written.change is not None
        change = written.change
        forward, reverse = from_json(change.forward), from_json(change.reverse)
        after = written.document.state
        before = apply(after, reverse)
        assert apply(before, forward) == after
    page = await history.list_changes(shop.actor, shop.project_id, kind="page", limit=7)
    assert list(page.items) == [item.change for item in reversed(writes)]
    assert [change.version for change in page.items] == sorted((c.version for c in page.items), reverse=True)
    of_env = await history.list_changes(shop.actor, shop.project_id, env_uuid=env, kind="page")
    assert [change.env_uuid for change in of_env.items] == [env] * 4


async def _state_or_missing(shop: Shop, env: str | None, key: str) -> State:
    try:
        return await shop.state(env, key)
    except DocumentNotFound:
        return MISSING


async def test_pages_of_history_join_without_gap(shop: Shop) -> None:
    for number in range(7):
        await shop.put(None, number, f"p{number % 3}")
    everything = (await history.list_changes(shop.actor, shop.project_id)).items
    read: list[Change] = []
    cursor = None
    while True:
        page = await history.list_changes(shop.actor, shop.project_id, limit=2, cursor=cursor)
        read += page.items
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert read == list(everything)
    assert (await history.list_changes(shop.actor, shop.project_id, kind="page", key="never")).items == []


async def test_origins_say_why(shop: Shop) -> None:
    saved = await backups.backup(shop.actor, shop.project_id)
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    await revert.revert(shop.actor, env)
    await shop.delete(None)
    await backups.restore(shop.actor, shop.project_id, saved.uuid)
    found = (await history.list_changes(shop.actor, shop.project_id)).items
    assert [change.origin for change in found[:5]] == [
        Origin.RESTORE,
        Origin.WRITE,
        Origin.REVERT,
        Origin.WRITE,
        Origin.FORK,
    ]


async def test_reading_the_past_of_an_environment(shop: Shop) -> None:
    async def at(version: int) -> State:
        found = await documents.read(shop.actor, shop.project_id, "env", "page", "a", at=At(version=version))
        return found.state

    made = await shop.forked("env")
    mine = await shop.merge("env", {"price": 2})
    assert mine.change is not None
    theirs = await shop.merge(None, {"title": "New"})
    assert theirs.change is not None
    taken = await shop.checkpoint(made.environment.uuid)
    late = await shop.merge(None, {"title": "Late"})
    assert late.change is not None
    above = await shop.merge("env", {"tags": []})
    assert above.change is not None
    assert await at(made.generation.version) == {"title": "Home", "price": 1, "tags": ["x"]}
    assert await at(mine.change.version) == {"title": "Home", "price": 2, "tags": ["x"]}
    frozen = {"title": "New", "price": 2, "tags": ["x"]}
    for version in (theirs.change.version, taken.version, late.change.version):
        assert await at(version) == frozen
    assert await at(above.change.version) == {"title": "New", "price": 2, "tags": []}
    for version in (made.generation.version - 1, above.change.version + 1, -1):
        with pytest.raises(VersionNotFound):
            await at(version)


async def test_reading_the_past_by_time_and_checkpoint(shop: Shop) -> None:
    first = (await history.list_changes(shop.actor, shop.project_id, kind="page")).items[0]
    env = await shop.fork("env")
    taken = await shop.checkpoint(env)
    await shop.merge(None, {"price": 2})

    async def at(env: str | None, at: At) -> State:
        return (await documents.read(shop.actor, shop.project_id, env, "page", "a", at=at)).state

    home = {"title": "Home", "price": 1, "tags": ["x"]}
    assert await at(None, At(time=first.created_at)) == home
    assert await at("env", At(checkpoint=taken.uuid)) == home
    with pytest.raises(VersionNotFound):
        await at(None, At(time=first.created_at.replace(year=2000)))
    with pytest.raises(VersionNotFound):
        await at(None, At(time=first.created_at.replace(year=2999)))


async def test_an_entity_keeps_its_uuid_and_its_versions_rise_everywhere(shop: Shop) -> None:
    env = await shop.fork("env")
    steps = [
        await shop.put("env", 1, "new"),
        await shop.put(None, 2, "new"),
        await shop.delete("env", "new"),
        await shop.delete(None, "new"),
        await shop.put("env", 3, "new"),
    ]
    await environments.archive(shop.actor, env)
    steps.append(await shop.put(None, 4, "new"))
    assert len({step.document.entity.uuid for step in steps}) == 1
    assert [step.change.entity_version for step in steps if step.change] == [1, 2, 3, 4, 5, 6]
    production = await documents.read(shop.actor, shop.project_id, None, "page", "new")
    assert production.layer_uuid == production.entity.uuid
