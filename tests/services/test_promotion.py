"""Promotion: changes, not copies; all of it or nothing."""

from uuid import UUID

import pytest

from app.domain.model import At, EnvStatus
from app.domain.promotion import DocumentPaths, DocumentResolution, Promotion, PromotionStatus
from app.domain.three_way import Side
from app.domain.values import MISSING, State
from app.services import documents, environments, promoting
from app.services.promoting import PromoteOptions
from app.storage import changes
from tests.services.invariants import check_invariants
from tests.services.shop import Shop

COMPLETED, BLOCKED = PromotionStatus.COMPLETED, PromotionStatus.BLOCKED


async def promote(shop: Shop, env: UUID, options: PromoteOptions | None = None) -> Promotion:
    made = await promoting.promote(shop.actor, env, options or PromoteOptions())
    await check_invariants(shop.project_id)
    return made


def resolving(path: str, take: Side | None = None, state: State = MISSING, key: str = "a") -> PromoteOptions:
    return PromoteOptions(resolutions=[DocumentResolution("page", key, path, take, state)])


async def status(shop: Shop, env: UUID) -> EnvStatus:
    return (await environments.get(shop.actor, env)).status


async def test_changes_go_to_production_and_nothing_else(shop: Shop) -> None:
    await shop.put(None, {"a": 1, "b": {"x": 1, "y": 1}, "c": 1})
    env = await shop.fork("env")
    await shop.merge("env", {"a": 2, "b": {"x": 2}})
    await shop.merge(None, {"c": 3, "b": {"y": 4}})
    made = await promote(shop, env)
    assert made.status is COMPLETED
    assert await shop.state(None) == {"a": 2, "b": {"x": 2, "y": 4}, "c": 3}
    assert await status(shop, env) is EnvStatus.LIVE
    differing = await shop.differing(env)
    assert (differing.added, differing.removed, differing.modified) == (0, 0, 0)
    assert {(item.path, item.ours, item.result) for item in made.carried} == {("/a", 1, 2), ("/b/x", 1, 2)}


async def test_a_conflict_blocks_and_says_all_three_sides(shop: Shop) -> None:
    await shop.put(None, {"a": 1, "b": 1})
    env = await shop.fork("env")
    await shop.merge("env", {"a": 2, "b": 2})
    await shop.merge(None, {"a": 3})
    made = await promote(shop, env)
    assert made.status is BLOCKED
    assert [(c.kind, c.key, c.path, c.base, c.ours, c.theirs) for c in made.conflicts] == [("page", "a", "/a", 1, 3, 2)]
    assert not made.checks.passed["conflicts_resolved"]
    assert await shop.state(None) == {"a": 3, "b": 1}
    assert await status(shop, env) is EnvStatus.DRAFT


@pytest.mark.parametrize(
    ("take", "state", "value"),
    [
        (Side.OURS, MISSING, 3),
        (Side.THEIRS, MISSING, 2),
        (Side.BASE, MISSING, 1),
        (None, {"x": 1}, {"x": 1}),
        (None, MISSING, None),
    ],
)
async def test_each_resolution(shop: Shop, take: Side | None, state: State, value: State) -> None:
    await shop.put(None, {"a": 1, "b": 1})
    env = await shop.fork("env")
    await shop.merge("env", {"a": 2, "b": 2})
    await shop.merge(None, {"a": 3})
    made = await promote(shop, env, resolving("/a", take, state))
    assert made.status is COMPLETED
    expected: dict[str, State] = {"a": value, "b": 2} if value is not None else {"b": 2}
    assert await shop.state(None) == expected


async def test_a_second_write_acknowledges_nothing(shop: Shop) -> None:
    await shop.put(None, {"a": 1})
    env = await shop.fork("env")
    await shop.merge("env", {"a": 2})
    await shop.merge(None, {"a": 9})
    await shop.merge("env", {"a": 3})
    made = await promote(shop, env)
    assert [(c.base, c.ours, c.theirs) for c in made.conflicts] == [(1, 9, 3)]


async def test_below_a_checkpoint_the_base_is_what_it_froze(shop: Shop) -> None:
    await shop.put(None, {"a": 1, "b": 1})
    env = await shop.fork("env")
    await shop.merge("env", {"a": 2})
    await shop.checkpoint(env)
    await shop.merge(None, {"b": 5})
    await shop.merge("env", {"b": 6, "a": 7})
    made = await promote(shop, env)
    assert [(c.path, c.base, c.ours, c.theirs) for c in made.conflicts] == [("/b", 1, 5, 6)]
    made = await promote(shop, env, resolving("/b", Side.THEIRS))
    assert made.status is COMPLETED
    assert await shop.state(None) == {"a": 7, "b": 6}


async def test_a_forks_fork_carries_the_line_above_it(shop: Shop) -> None:
    await shop.put(None, {"a": 1, "b": 1})
    parent = await shop.fork("parent")
    await shop.merge("parent", {"a": 2})
    child = await shop.fork("child", parent)
    await shop.merge("child", {"b": 2})
    await promote(shop, child)
    assert await shop.state(None) == {"a": 2, "b": 2}
    await shop.merge(None, {"a": 5})
    assert await shop.state("parent") == {"a": 2, "b": 2}
    made = await promote(shop, parent)
    assert made.status is COMPLETED
    assert await shop.state(None) == {"a": 5, "b": 2}


async def test_descendants_move_onto_production_and_show_the_same(shop: Shop) -> None:
    await shop.put(None, {"a": 1, "b": 1})
    env = await shop.fork("env")
    await shop.merge("env", {"a": 2})
    child = await shop.fork("child", env)
    await shop.merge("child", {"a": 3})
    grandchild = await shop.fork("grandchild", child)
    await shop.merge("grandchild", {"b": 7})
    await shop.merge("env", {"c": 5})
    before = await shop.head(grandchild)
    version = await changes.current_version(shop.project_id)
    await promote(shop, env)
    after = await shop.head(grandchild)
    assert (after.uuid, after.number) == (before.uuid, before.number - 1)
    assert (await environments.get(shop.actor, child)).parent_uuid == shop.production
    assert await shop.state("grandchild") == {"a": 3, "b": 7, "c": 5}
    then = await documents.read(shop.actor, shop.project_id, "child", "page", "a", at=At(version=version))
    assert then.state == {"a": 3, "b": 1, "c": 5}
    await shop.merge(None, {"b": 9, "c": 1})
    assert await shop.state("child") == {"a": 3, "b": 9, "c": 1}
    made = await promote(shop, child)
    assert (made.status, made.conflicts) == (COMPLETED, [])
    assert await shop.state(None) == {"a": 3, "b": 9, "c": 1}
    assert await status(shop, env) is EnvStatus.ARCHIVED


async def test_a_part_is_promoted_and_the_rest_stays(shop: Shop) -> None:
    await shop.put(None, {"a": 1, "b": 1, "l": [1]})
    env = await shop.fork("env")
    await shop.merge("env", {"a": 2, "b": 2, "l": [2]})
    paths = [DocumentPaths("page", "a", ["/a"])]
    made = await promote(shop, env, PromoteOptions(paths=paths))
    assert made.status is COMPLETED
    assert await shop.state(None) == {"a": 2, "b": 1, "l": [1]}
    assert await shop.state("env") == {"a": 2, "b": 2, "l": [2]}
    assert await status(shop, env) is EnvStatus.DRAFT
    await shop.merge(None, {"a": 7, "b": 5})
    assert await shop.state("env") == {"a": 7, "b": 2, "l": [2]}
    made = await promote(shop, env)
    assert [(c.path, c.base, c.ours, c.theirs) for c in made.conflicts] == [("/b", 1, 5, 2)]


async def test_documents_are_created_and_deleted(shop: Shop) -> None:
    await shop.put(None, {"a": 1}, "gone")
    await shop.put(None, {"a": 1}, "kept")
    env = await shop.fork("env")
    await shop.put("env", {"n": 1}, "new")
    await shop.delete("env", "gone")
    made = await promote(shop, env)
    assert made.status is COMPLETED
    assert await shop.keys(None) == ["a", "kept", "new"]


async def test_a_rollback_environment_makes_production_that_state(shop: Shop) -> None:
    await shop.put(None, {"a": 1}, "a")
    await shop.put(None, {"a": 1}, "b")
    checkpoint = await shop.checkpoint(shop.production)
    await shop.merge(None, {"a": 2}, "a")
    await shop.put(None, {"a": 1}, "c")
    await shop.delete(None, "b")
    env = await shop.rollback(checkpoint)
    await shop.put(None, {"later": 1}, "d")
    made = await promote(shop, env)
    assert made.status is COMPLETED
    assert await shop.keys(None) == ["a", "b", "d"]
    assert await shop.state(None, "a") == {"a": 1}
