"""Plans where places are taken: who is refused, who is not, and what a smaller plan leaves alone."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.domain.errors import DepthLimitExceeded
from app.domain.model import Actor, Plan
from app.domain.plans import Limit, SandboxLimitExceeded, SandboxNotAvailable
from app.services import backups, checkpoints, environments, operator, plan_limits, projects
from app.services.branching import ForkOptions
from app.services.environments import EnvironmentUpdate
from app.storage import db, plan_usage
from tests.services.shop import Shop


async def _plan(shop: Shop, plan: Plan) -> None:
    await operator.set_plan(shop.project_id, plan)


async def _counts(shop: Shop) -> tuple[int, int, int]:
    usage = await plan_limits.usage(shop.actor, shop.project_id)
    return usage.environments, usage.depth, usage.checkpoints


def _refused(error: SandboxLimitExceeded, limit: Limit, current: int, maximum: int, plan: Plan) -> None:
    assert error.fields == {"limit_type": limit, "current": current, "max": maximum, "available_from": plan}


async def test_what_counts_and_what_does_not(shop: Shop) -> None:
    await _plan(shop, Plan.BASIC)
    env = await shop.fork("one")
    assert await _counts(shop) == (1, 1, 0)
    await shop.checkpoint(env)
    assert await _counts(shop) == (1, 3, 1)
    await shop.put("one", {"above": 1})
    assert await _counts(shop) == (1, 3, 1)
    await checkpoints.pin(shop.actor, env)
    await backups.backup(shop.actor, shop.project_id)
    await checkpoints.pin(shop.actor, shop.production)
    assert await _counts(shop) == (1, 3, 1)
    await shop.checkpoint(shop.production)
    assert await _counts(shop) == (1, 3, 2)
    await environments.archive(shop.actor, env)
    assert await _counts(shop) == (0, 0, 1)


async def test_environments_up_to_the_plans_number_and_archived_ones_free_their_place(shop: Shop) -> None:
    await _plan(shop, Plan.BASIC)
    made = [await shop.fork(f"e{number}") for number in range(3)]
    with pytest.raises(SandboxLimitExceeded) as caught:
        await shop.fork("one more")
    _refused(caught.value, Limit.ENVIRONMENT_COUNT, 3, 3, Plan.PRO)
    await environments.archive(shop.actor, made[0])
    await shop.fork("one more")
    with pytest.raises(SandboxLimitExceeded):
        await shop.fork("and more")
    assert (await _counts(shop))[0] == 3


async def test_checkpoints_up_to_the_plans_number_and_deleted_ones_free_their_place(shop: Shop) -> None:
    await _plan(shop, Plan.BASIC)
    taken = [await shop.checkpoint(shop.production) for _ in range(2)]
    env = await shop.fork("env")
    await shop.checkpoint(env)
    for target in (env, shop.production):
        with pytest.raises(SandboxLimitExceeded) as caught:
            await shop.checkpoint(target)
        _refused(caught.value, Limit.CHECKPOINT_COUNT, 3, 3, Plan.PRO)
    await checkpoints.delete_checkpoint(shop.actor, taken[0].uuid)
    await shop.checkpoint(shop.production)
    await environments.archive(shop.actor, env)
    await shop.checkpoint(shop.production)
    assert (await _counts(shop))[2] == 3


async def test_depth_by_generation_number(shop: Shop) -> None:
    await _plan(shop, Plan.PRO)
    parent: UUID | None = None
    for number in range(1, 10):
        parent = await shop.fork(f"e{number}", parent)
    for plan, depth, larger in ((Plan.PREMIUM, 20, Plan.ENTERPRISE), (Plan.ENTERPRISE, 64, None)):
        await _plan(shop, plan)
        for number in range((await _counts(shop))[1] + 1, depth + 1):
            parent = await shop.fork(f"e{number}", parent)
        with pytest.raises(SandboxLimitExceeded if larger else DepthLimitExceeded) as caught:
            await shop.fork("deeper", parent)
        if larger:
            assert isinstance(caught.value, SandboxLimitExceeded)
            _refused(caught.value, Limit.GENERATION_DEPTH, depth, depth, larger)
        assert (await _counts(shop))[:2] == (depth, depth)


async def test_a_checkpoint_needs_room_for_the_generation_above_it(shop: Shop) -> None:
    await _plan(shop, Plan.BASIC)
    env = await shop.fork("env")
    await shop.checkpoint(env)
    await shop.put("env", {"n": 3})
    assert (await shop.head(env)).number == 3
    taken = await shop.checkpoint(env)
    assert taken.number == 4
    with pytest.raises(SandboxLimitExceeded) as caught:
        await shop.checkpoint(env)
    _refused(caught.value, Limit.GENERATION_DEPTH, 4, 5, Plan.PRO)
    await shop.put("env", {"n": 5})
    assert (await shop.head(env)).number == 5
    with pytest.raises(SandboxLimitExceeded):
        await shop.fork("child", env)
    back = await checkpoints.rollback(shop.actor, taken.uuid)
    assert back.generation.number == 5


async def test_shadow_writes_from_pro_on(shop: Shop) -> None:
    await _plan(shop, Plan.BASIC)
    with pytest.raises(SandboxNotAvailable) as caught:
        await environments.fork(shop.actor, shop.project_id, ForkOptions("shadow", shadow_writes=True))
    _refused(caught.value, Limit.SHADOW_WRITES, 0, 0, Plan.PRO)
    env = await shop.fork("env")
    with pytest.raises(SandboxNotAvailable):
        await environments.update(shop.actor, env, EnvironmentUpdate(shadow_writes=True, name="other"))
    seen = await environments.get(shop.actor, env)
    assert (seen.shadow_writes, seen.name) == (False, "env")
    await _plan(shop, Plan.PRO)
    await environments.update(shop.actor, env, EnvironmentUpdate(shadow_writes=True))
    await environments.fork(shop.actor, shop.project_id, ForkOptions("shadow", shadow_writes=True))
    assert (await plan_limits.usage(shop.actor, shop.project_id)).shadow_writes == 2
    await _plan(shop, Plan.BASIC)
    await environments.update(shop.actor, env, EnvironmentUpdate(shadow_writes=True, name="same"))
    await environments.update(shop.actor, env, EnvironmentUpdate(shadow_writes=False))
    with pytest.raises(SandboxNotAvailable) as caught:
        await environments.update(shop.actor, env, EnvironmentUpdate(shadow_writes=True))
    assert caught.value.fields["current"] == 1


@pytest.mark.parametrize(
    ("plan", "days"), [(Plan.STARTER, 7), (Plan.BASIC, 14), (Plan.PRO, 30), (Plan.PREMIUM, 90), (Plan.ENTERPRISE, None)]
)
async def test_environments_expire_as_the_plan_says(shop: Shop, plan: Plan, days: int | None) -> None:
    await _plan(shop, plan)
    made = (await shop.forked("env")).environment
    far = datetime.now(UTC) + timedelta(days=(days or 3_650) + 1)
    if days is None:
        assert made.expires_at is None
        updated = await environments.update(shop.actor, made.uuid, EnvironmentUpdate(expires_at=far))
        assert updated.expires_at == far
        assert (await environments.update(shop.actor, made.uuid, EnvironmentUpdate(expires_at=None))).expires_at is None
        return
    assert _nearly(made.expires_at, days)
    for late in (far, datetime.now(UTC) + timedelta(days=days, minutes=1)):
        with pytest.raises(SandboxLimitExceeded) as caught:
            await environments.update(shop.actor, made.uuid, EnvironmentUpdate(expires_at=late))
        assert caught.value.fields["limit_type"] is Limit.ENV_TTL_DAYS
        assert caught.value.fields["max"] == days
    assert await environments.get(shop.actor, made.uuid) == made
    soon = datetime.now(UTC) + timedelta(days=1)
    assert (await environments.update(shop.actor, made.uuid, EnvironmentUpdate(expires_at=soon))).expires_at == soon
    latest = (await environments.update(shop.actor, made.uuid, EnvironmentUpdate(expires_at=None))).expires_at
    assert _nearly(latest, days)
    await environments.archive(shop.actor, made.uuid)
    with pytest.raises(SandboxLimitExceeded):
        await environments.fork(shop.actor, shop.project_id, ForkOptions("late", expires_at=far))
    assert (await _counts(shop))[0] == 0


def _nearly(moment: datetime | None, days: int) -> bool:
    assert moment is not None
    return abs(moment - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=1)


async def test_a_rollback_expires_as_a_fork_does(shop: Shop) -> None:
    taken = await shop.checkpoint(shop.production)
    assert _nearly((await checkpoints.rollback(shop.actor, taken.uuid)).environment.expires_at, 30)


async def test_free_has_no_environments_but_backups(shop: Shop) -> None:
    await _plan(shop, Plan.FREE)
    for refused in (shop.fork("env"), shop.checkpoint(shop.production)):
        with pytest.raises(SandboxNotAvailable) as caught:
            await refused
        assert (caught.value.fields["max"], caught.value.fields["available_from"]) == (0, Plan.STARTER)
    assert await _counts(shop) == (0, 0, 0)
    saved = await backups.backup(shop.actor, shop.project_id)
    await shop.merge(None, {"price": 2})
    await backups.restore(shop.actor, shop.project_id, saved.uuid)
    assert await shop.state(None) == {"title": "Home", "price": 1, "tags": ["x"]}


async def test_a_rollback_at_the_limit_once_per_checkpoint(shop: Shop) -> None:
    await _plan(shop, Plan.BASIC)
    env = await shop.fork("env")
    first, second = await shop.checkpoint(env), await shop.checkpoint(shop.production)
    below = await checkpoints.rollback(shop.actor, first.uuid)
    await shop.fork("last")
    assert (await _counts(shop))[0] == 3
    beyond = await checkpoints.rollback(shop.actor, first.uuid)
    with pytest.raises(SandboxLimitExceeded) as caught:
        await checkpoints.rollback(shop.actor, first.uuid)
    _refused(caught.value, Limit.ENVIRONMENT_COUNT, 4, 3, Plan.PRO)
    await checkpoints.rollback(shop.actor, second.uuid)
    with pytest.raises(SandboxLimitExceeded):
        await checkpoints.rollback(shop.actor, second.uuid)
    with pytest.raises(SandboxLimitExceeded):
        await shop.fork("more")
    assert (await _counts(shop))[0] == 5
    await environments.archive(shop.actor, beyond.environment.uuid)
    with pytest.raises(SandboxLimitExceeded):
        await checkpoints.rollback(shop.actor, first.uuid)
    await environments.archive(shop.actor, below.environment.uuid)
    await environments.archive(shop.actor, env)
    await checkpoints.rollback(shop.actor, first.uuid)
    assert (await _counts(shop))[0] == 3


async def test_a_smaller_plan_keeps_everything_and_refuses_growth(shop: Shop) -> None:
    made = [await shop.fork(f"e{number}") for number in range(3)]
    child = await shop.fork("child", made[0])
    taken = await shop.checkpoint(child)
    for plan in (Plan.STARTER, Plan.FREE):
        await _plan(shop, plan)
        before = await _counts(shop)
        for refused in (
            shop.fork("more"),
            shop.checkpoint(child),
            shop.checkpoint(shop.production),
            checkpoints.rollback(shop.actor, taken.uuid),
        ):
            with pytest.raises(SandboxLimitExceeded):
                await refused
        assert await _counts(shop) == before == (4, 4, 1)
        await shop.put("child", {"written": plan.value})
        assert await shop.state("child") == {"written": plan.value}
        assert await shop.dump("e1")
        await checkpoints.pin(shop.actor, child)
        await environments.update(shop.actor, child, EnvironmentUpdate(name=f"child on {plan.value}"))
        await environments.update(shop.actor, child, EnvironmentUpdate(name="child"))
    await environments.archive(shop.actor, made[2])
    assert (await _counts(shop))[0] == 3


async def test_a_plan_seen_by_one_is_that_of_all(shop: Shop) -> None:
    await _plan(shop, Plan.STARTER)
    await shop.fork("one")
    with pytest.raises(SandboxLimitExceeded):
        await shop.fork("two")
    await _plan(shop, Plan.BASIC)
    await shop.fork("two")


async def test_usage_of_many_projects_is_one_statement(actor: Actor, shop: Shop) -> None:
    await shop.fork("one")
    others = [(await projects.create(actor, f"Other {number}", Plan.FREE)).id for number in range(3)]
    with db.count_statements() as counted:
        found = await plan_usage.get_many([shop.project_id, *others])
    assert counted.count == 1
    assert {project_id: usage.environments for project_id, usage in found.items()} == {
        shop.project_id: 1,
        **dict.fromkeys(others, 0),
    }
