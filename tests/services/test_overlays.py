"""What shows through, what is frozen, and what writes leave behind."""

import pytest

from app.domain.errors import (
    DocumentNotFound,
    DocumentRequired,
    EnvironmentArchived,
    EnvironmentNameTaken,
    EnvironmentNotFound,
    ProductionProtected,
    ValidationFailed,
    VersionConflict,
)
from app.domain.model import EnvStatus
from app.domain.values import Value
from app.services import checkpoints, comparison, documents, environments, history, revert, tree
from app.services.branching import ForkOptions
from app.services.documents import Expected
from tests.services.shop import Shop


async def test_two_forks_of_one_environment_share_it_and_nothing_else(shop: Shop) -> None:
    base = await shop.fork("base")
    await shop.fork("left", base)
    await shop.fork("right", base)
    await shop.merge("left", {"price": 2})
    await shop.merge("right", {"price": 3})
    await shop.merge("base", {"title": "Start", "price": 9})
    assert await shop.state("left") == {"title": "Start", "price": 2, "tags": ["x"]}
    assert await shop.state("right") == {"title": "Start", "price": 3, "tags": ["x"]}
    assert await shop.state("base") == {"title": "Start", "price": 9, "tags": ["x"]}
    assert await shop.state(None) == {"title": "Home", "price": 1, "tags": ["x"]}
    await shop.put("left", {}, "new")
    with pytest.raises(DocumentNotFound):
        await shop.state("right", "new")


async def test_production_shows_through_until_a_checkpoint_freezes(shop: Shop) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    await shop.merge(None, {"title": "Welcome", "price": 5})
    await shop.put(None, {}, "later")
    assert await shop.state("env") == {"title": "Welcome", "price": 2, "tags": ["x"]}
    assert await shop.state("env", "later") == {}
    taken = await checkpoints.checkpoint(shop.actor, env, "frozen")
    await shop.merge(None, {"title": "Changed"})
    await shop.put(None, {}, "even later")
    await shop.delete(None, "later")
    assert await shop.state("env") == {"title": "Welcome", "price": 2, "tags": ["x"]}
    assert await shop.state("env", "later") == {}
    with pytest.raises(DocumentNotFound):
        await shop.state("env", "even later")
    assert (await environments.get(shop.actor, env)).head_uuid == taken.uuid


async def test_a_write_after_a_checkpoint_opens_a_generation(shop: Shop) -> None:
    env = await shop.fork("env")
    taken = await checkpoints.checkpoint(shop.actor, env, None)
    written = await shop.merge("env", {"price": 7})
    head = await tree.generation(shop.actor, written.document.generation_uuid)
    assert (head.parent_uuid, head.number, head.sealed) == (taken.uuid, 3, False)
    assert (await environments.get(shop.actor, env)).head_uuid == head.uuid
    again = await shop.merge("env", {"price": 8})
    assert again.document.generation_uuid == head.uuid
    back = await checkpoints.rollback(shop.actor, taken.uuid)
    assert await shop.state(back.environment.name) == {"title": "Home", "price": 1, "tags": ["x"]}


async def test_what_stood_on_a_sealed_generation_stays_there(shop: Shop) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    await shop.fork("child", env)
    await checkpoints.checkpoint(shop.actor, env, None)
    await shop.merge("env", {"price": 3})
    await shop.merge(None, {"title": "Live"})
    assert await shop.state("child") == {"title": "Live", "price": 2, "tags": ["x"]}


async def test_layers_are_minimal_and_forget_how_they_came_about(shop: Shop) -> None:
    await shop.fork("env")
    await shop.merge("env", {"price": 2})
    await shop.merge("env", {"price": 1})
    assert await shop.overrides("env") == {"set": {}, "unset": []}
    await shop.put("env", {"title": "Home", "price": 4})
    put = await shop.overrides("env")
    assert put == {"set": {"/price": 4}, "unset": ["/tags"]}
    await shop.delete("env")
    await shop.put("env", {"title": "Home", "price": 4})
    assert await shop.overrides("env") == put


async def test_a_merging_layer_is_hidden_when_its_parent_is_deleted(shop: Shop) -> None:
    await shop.fork("env")
    await shop.merge("env", {"price": 2})
    await shop.put("env", {"own": True}, "own")
    before = await documents.read(shop.actor, shop.project_id, None, "page", "a")
    await shop.delete(None)
    with pytest.raises(DocumentNotFound):
        await shop.state("env")
    assert await shop.state("env", "own") == {"own": True}
    again = await shop.put(None, {"title": "Back"})
    assert again.created
    assert again.document.entity.uuid == before.entity.uuid
    assert again.change is not None
    assert again.change.entity_version > 2
    assert await shop.state("env") == {"title": "Back", "price": 2}


async def test_a_document_hidden_in_an_environment_is_still_in_production(shop: Shop) -> None:
    await shop.fork("env")
    await shop.delete("env")
    with pytest.raises(DocumentNotFound):
        await shop.state("env")
    assert await shop.state(None) == {"title": "Home", "price": 1, "tags": ["x"]}
    with pytest.raises(DocumentRequired):
        await documents.delete(shop.actor, shop.project_id, "env", "project", "project")


async def test_a_parents_change_changes_the_version_and_stale_writes_change_nothing(shop: Shop) -> None:
    await shop.fork("env")
    seen = await shop.merge("env", {"price": 2})
    await shop.merge(None, {"title": "New"})
    for expected in (Expected(version=seen.document.version), Expected(exists=False), Expected(version="x")):
        with pytest.raises(VersionConflict):
            await documents.put(shop.actor, shop.project_id, "env", "page", "a", {}, expected=expected)
    assert await shop.state("env") == {"title": "New", "price": 2, "tags": ["x"]}
    current = (await documents.read(shop.actor, shop.project_id, "env", "page", "a")).version
    await documents.put(shop.actor, shop.project_id, "env", "page", "a", {}, expected=Expected(version=current))
    with pytest.raises(VersionConflict):
        await documents.put(shop.actor, shop.project_id, "env", "page", "z", {}, expected=Expected(exists=True))


async def test_repeating_a_value_records_nothing(shop: Shop) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    before = await history.list_changes(shop.actor, shop.project_id, env_uuid=env)
    again = await shop.merge("env", {"price": 2})
    assert again.change is None
    assert await history.list_changes(shop.actor, shop.project_id, env_uuid=env) == before


async def test_names_are_unique_among_the_living(shop: Shop) -> None:
    env = await shop.fork("caf\u00e9")
    with pytest.raises(EnvironmentNameTaken):
        await shop.fork("cafe\u0301")
    assert (await environments.find(shop.actor, shop.project_id, "cafe\u0301")).uuid == env
    for name in ("production", "x" * 201, "", " x", "a\u200bb", str(env), "a\0b"):
        with pytest.raises((EnvironmentNameTaken, ValidationFailed)):
            await shop.fork(name)
    await environments.archive(shop.actor, env)
    with pytest.raises(EnvironmentArchived):
        await environments.find(shop.actor, shop.project_id, "caf\u00e9")
    with pytest.raises(EnvironmentArchived):
        await shop.merge(str(env), {"price": 2})
    again = await shop.fork("caf\u00e9")
    assert (await environments.find(shop.actor, shop.project_id, "caf\u00e9")).uuid == again
    with pytest.raises(EnvironmentNotFound):
        await environments.find(shop.actor, shop.project_id, "unknown")


async def test_archiving_removes_only_what_nothing_stands_on(shop: Shop) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    await shop.fork("child", env)
    taken = await checkpoints.checkpoint(shop.actor, env, None)
    await shop.merge("env", {"price": 3})
    archived = await environments.archive(shop.actor, env)
    assert (archived.environment.status, archived.removed_diffs) == (EnvStatus.ARCHIVED, 1)
    assert await shop.state("child") == {"title": "Home", "price": 2, "tags": ["x"]}
    back = await checkpoints.rollback(shop.actor, taken.uuid, "back")
    assert back.environment.name == "back"
    assert await shop.state("back") == {"title": "Home", "price": 2, "tags": ["x"]}
    with pytest.raises(ProductionProtected):
        await environments.archive(shop.actor, shop.production)


async def test_reverting_takes_the_parents_present_value(shop: Shop) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2, "title": "Mine"})
    await shop.merge(None, {"price": 10})
    await revert.revert(shop.actor, env, kind="page", key="a", paths=[("price",)])
    assert await shop.state("env") == {"title": "Mine", "price": 10, "tags": ["x"]}
    await checkpoints.checkpoint(shop.actor, env, None)
    await shop.merge(None, {"title": "Theirs"})
    reverted = await revert.revert(shop.actor, env)
    assert await shop.state("env") == {"title": "Theirs", "price": 10, "tags": ["x"]}
    assert [change.origin for change in reverted.changes] == ["revert"]


async def test_blame_follows_the_line(shop: Shop) -> None:
    await shop.put(None, {"title": "Home", "price": 1})
    env = await shop.fork("env")
    mine = await shop.merge("env", {"price": 2})
    await checkpoints.checkpoint(shop.actor, env, None)
    later = await shop.merge(None, {"title": "Too late"})

    async def blamed(env: str | None, *path: str) -> object:
        return await history.blame(shop.actor, shop.project_id, env, "page", "a", path)

    assert await blamed("env", "price") == mine.change
    assert await blamed(None, "title") == later.change
    assert await blamed("env", "title") not in (mine.change, later.change, None)
    assert await blamed("env", "nothing") is None


async def test_an_archived_environment_is_not_compared(shop: Shop) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    await environments.archive(shop.actor, env)
    with pytest.raises(EnvironmentArchived):
        await comparison.diff(shop.actor, shop.production, env)
    with pytest.raises(EnvironmentArchived):
        await comparison.environment_diff(shop.actor, env)


async def test_a_filtered_fork_shows_only_the_users_that_match(shop: Shop) -> None:
    for number in range(6):
        await shop.put(None, {"tier": "premium" if number % 2 else "free", "n": number}, f"u{number}", "user")
    rules: list[Value] = [{"field": "tier", "op": "eq", "value": "premium"}, {"field": "n", "op": "gt", "value": 1}]
    made = await environments.fork(shop.actor, shop.project_id, ForkOptions("rules", user_rules=rules))
    assert made.forked_count == 2 + 2
    await shop.put("rules", {"tier": "premium"}, "u0", "user")
    child = await environments.fork(
        shop.actor, shop.project_id, ForkOptions("child", parent_env_uuid=made.environment.uuid)
    )
    assert child.forked_count == 2 + 3
    for env in ("rules", "child"):
        users = await documents.list_documents(shop.actor, shop.project_id, env, "user")
        assert [item.entity.key for item in users.items] == ["u0", "u3", "u5"]
    assert (await comparison.environment_diff(shop.actor, made.environment.uuid)).removed == 0
    unusable: list[list[Value]] = [[{"field": "n", "op": "like", "value": 1}], [{}], [5]]
    for wrong in unusable:
        with pytest.raises(ValidationFailed):
            await environments.fork(shop.actor, shop.project_id, ForkOptions("wrong", user_rules=wrong))
    with pytest.raises(ValidationFailed):
        await environments.fork(shop.actor, shop.project_id, ForkOptions("wrong", user_uuids=["a\0"]))
