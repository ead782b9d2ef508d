"""Undoing a release while its environment is still live: what was undone returns to it (semantics §11.14)."""

from uuid import UUID

import pytest

from app.domain.model import EnvStatus
from app.services import environments, promoting, releasing
from app.services.promoting import PromoteOptions
from tests.services.invariants import check_invariants
from tests.services.shop import Shop


async def released(shop: Shop) -> tuple[UUID, UUID]:
    """Return a live environment and the release that made it so."""
    await shop.put(None, {"a": 1, "b": 1})
    await shop.put(None, {"n": 1}, key="other")
    env = await shop.fork("env")
    await shop.merge("env", {"a": 2})
    made = await promoting.promote(shop.actor, env, PromoteOptions())
    assert made.release_uuid is not None
    return env, made.release_uuid


async def carried(shop: Shop, env: UUID) -> set[tuple[str, object, object]]:
    found = await promoting.dry_run(shop.actor, env, PromoteOptions())
    changes = [change for merge in found.merges for change in merge.changes()]
    return {(item.path, item.ours, item.result) for item in changes}


@pytest.mark.parametrize("checkpoints", [0, 1, 2])
async def test_what_was_undone_is_carried_again(shop: Shop, checkpoints: int) -> None:
    env, release = await released(shop)
    for _ in range(checkpoints):
        await shop.checkpoint(env)
    await shop.merge(None, {"b": 3})
    await releasing.rollback_release(shop.actor, release)
    await check_invariants(shop.project_id)
    assert await shop.state(None) == {"a": 1, "b": 3}
    environment = await environments.get(shop.actor, env)
    assert (environment.status, environment.traffic_weight) == (EnvStatus.DRAFT, 0)
    assert await carried(shop, env) == {("/a", 1, 2)}
    await promoting.promote(shop.actor, env, PromoteOptions())
    await check_invariants(shop.project_id)
    assert await shop.state(None) == {"a": 2, "b": 3}


async def test_its_checkpoint_keeps_what_it_froze(shop: Shop) -> None:
    env, release = await released(shop)
    taken = await shop.checkpoint(env)
    await releasing.rollback_release(shop.actor, release)
    again = await shop.rollback(taken)
    name = (await environments.get(shop.actor, again)).name
    assert await shop.state(name) == {"a": 2, "b": 1}
