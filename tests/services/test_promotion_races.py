"""Promotions beside one another and beside everything else: nothing is lost, and what happens, happens once."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from app.domain.errors import DomainError, EnvironmentArchived
from app.domain.model import Actor, EnvStatus, Plan, Role
from app.domain.promotion import Promotion, PromotionStatus
from app.domain.promotion_errors import PromotionNotPending, PromotionPending
from app.domain.values import Value
from app.services import deciding, environments, operator, promoting, rebasing, releasing
from app.services.deciding import Decision
from app.services.promoting import PromoteOptions
from tests.conftest import MakeActor
from tests.services.invariants import check_invariants
from tests.services.shop import Shop

pytestmark = pytest.mark.slow
ROUNDS = range(20)


def promote(shop: Shop, env: UUID) -> Awaitable[Promotion]:
    return promoting.promote(shop.actor, env, PromoteOptions())


async def all_of(*running: Awaitable[object]) -> list[object]:
    """Return what each gives; a failure that is no refusal fails the test."""
    results = await asyncio.gather(*running, return_exceptions=True)
    assert all(isinstance(item, DomainError) for item in results if isinstance(item, BaseException)), results
    return list(results)


@pytest.mark.parametrize("round_", ROUNDS)
async def test_four_promotions_of_other_fields_lose_nothing(shop: Shop, round_: int) -> None:
    await shop.put(None, {str(number): 0 for number in range(4)}, "all")
    envs = [await shop.fork(f"env-{number}") for number in range(4)]
    for number in range(4):
        await shop.merge(f"env-{number}", {str(number): number + 1}, "all")
        await shop.put(f"env-{number}", {"own": number}, f"own-{number}")
    made = await all_of(*(promote(shop, env) for env in envs))
    assert [item.status for item in made if isinstance(item, Promotion)] == [PromotionStatus.COMPLETED] * 4
    assert await shop.state(None, "all") == {"0": 1, "1": 2, "2": 3, "3": 4}
    assert [await shop.state(None, f"own-{number}") for number in range(4)] == [{"own": n} for n in range(4)]
    await check_invariants(shop.project_id)


@pytest.mark.parametrize("round_", ROUNDS)
async def test_of_four_promotions_of_one_field_one_wins_and_the_others_are_told(shop: Shop, round_: int) -> None:
    await shop.put(None, {"same": 0}, "all")
    envs = [await shop.fork(f"env-{number}") for number in range(4)]
    for number in range(4):
        await shop.merge(f"env-{number}", {"same": number + 1, f"own-{number}": number}, "all")
    made = [item for item in await all_of(*(promote(shop, env) for env in envs)) if isinstance(item, Promotion)]
    winners = [item for item in made if item.status is PromotionStatus.COMPLETED]
    assert (len(made), len(winners)) == (4, 1)
    won = envs.index(winners[0].env_uuid)
    assert await shop.state(None, "all") == {"same": won + 1, f"own-{won}": won}
    for item in made:
        if item is not winners[0]:
            assert item.status is PromotionStatus.BLOCKED
            number = envs.index(item.env_uuid) + 1
            assert [(each.path, each.base, each.ours, each.theirs) for each in item.conflicts] == [
                ("/same", 0, won + 1, number)
            ]
    await check_invariants(shop.project_id)


async def _written(shop: Shop, env: str | None, key: str, count: int = 12) -> list[int]:
    """Write a field of its own each time; return those that were acknowledged."""
    done = []
    for number in range(count):
        try:
            await shop.merge(env, {f"{key}-{number}": number})
        except DomainError:
            continue
        done.append(number)
    return done


@pytest.mark.parametrize("round_", ROUNDS)
async def test_writes_beside_a_promotion_are_wholly_in_or_wholly_out(shop: Shop, round_: int) -> None:
    """What was acknowledged in the environment, its parent or its child shows there, or in production."""
    parent = await shop.fork("parent")
    await shop.merge("parent", {"of": "parent"})
    env = await shop.fork("env", parent)
    await shop.merge("env", {"of": "env"})
    await shop.fork("child", env)
    await shop.merge("child", {"of": "child"})
    places: list[str | None] = [None, "parent", "env", "child"]

    async def promoted() -> object:
        await asyncio.sleep(0.004 * (round_ % 10))
        return await promote(shop, env)

    *written, made = await all_of(*(_written(shop, place, str(place)) for place in places), promoted())
    assert isinstance(made, Promotion)
    assert made.status is PromotionStatus.COMPLETED
    await check_invariants(shop.project_id)
    for place, numbers in zip(places, written, strict=True):
        state = await shop.state(place)
        assert isinstance(state, dict)
        assert isinstance(numbers, list)
        assert len(numbers) == 12
        assert {f"{place}-{number}" for number in numbers} <= state.keys()
    release = await releasing.documents(shop.actor, made.release_uuid or env)
    after = release.items[0].new
    production = await shop.state(None)
    assert isinstance(after, dict)
    assert isinstance(production, dict)
    assert after["of"] == production["of"] == "env"
    # In the environment a write is either in the release, or an override still: one or the other.
    overrides = str(await shop.overrides("env"))
    for place in ("parent", "env"):
        for number in range(12):
            name = f"{place}-{number}"
            if place == "env":
                assert (name in after) != (f"'/{name}'" in overrides), name
    assert (await environments.get(shop.actor, env)).status is (
        EnvStatus.DRAFT if "/env-" in overrides else EnvStatus.LIVE
    )
    assert all(f"child-{number}" not in production for number in range(12))


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize("other", ["fork", "checkpoint", "checkpoint of production", "archive", "promote", "rebase"])
async def test_a_promotion_beside_what_moves_its_environment(shop: Shop, other: str, round_: int) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    before = await shop.state("env")
    operations: dict[str, Callable[[], Awaitable[object]]] = {
        "fork": lambda: shop.fork("child", env),
        "checkpoint": lambda: shop.checkpoint(env),
        "checkpoint of production": lambda: shop.checkpoint(shop.production),
        "archive": lambda: environments.archive(shop.actor, env),
        "promote": lambda: promote(shop, env),
        "rebase": lambda: _rebase(shop, env),
    }
    made, beside = await all_of(promote(shop, env), operations[other]())
    if isinstance(made, EnvironmentArchived):
        assert (await shop.state(None) == before) is False
    else:
        assert isinstance(made, Promotion)
        assert await shop.state(None) == before
    assert not isinstance(beside, BaseException) or other == "promote", beside
    if other == "fork":
        assert await shop.state("child") == before
    await check_invariants(shop.project_id)


async def _rebase(shop: Shop, env: UUID) -> object:
    return await rebasing.rebase(shop.actor, env)


@pytest.fixture
async def admins(shop: Shop, make_actor: MakeActor) -> list[Actor]:
    await operator.set_plan(shop.project_id, Plan.ENTERPRISE)
    made = [await make_actor() for _ in range(2)]
    for admin in made:
        await shop.join(admin, Role.ADMIN)
    return made


@pytest.mark.parametrize("round_", ROUNDS)
async def test_approved_twice_at_once_it_goes_to_production_once(shop: Shop, admins: list[Actor], round_: int) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    request = await promote(shop, env)
    assert request.status is PromotionStatus.PENDING_APPROVAL
    results = await all_of(*(deciding.approve(admin, request.uuid) for admin in admins))
    assert sum(isinstance(item, Decision) for item in results) == 1
    assert sum(isinstance(item, PromotionNotPending) for item in results) == 1
    assert len((await releasing.list_releases(shop.actor, shop.project_id)).items) == 1
    await check_invariants(shop.project_id)


@pytest.mark.parametrize("round_", ROUNDS)
async def test_approved_and_rejected_at_once_is_one_of_both(shop: Shop, admins: list[Actor], round_: int) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    request = await promote(shop, env)
    decisions: list[Callable[[], Awaitable[object]]] = [
        lambda: deciding.approve(admins[0], request.uuid),
        lambda: deciding.reject(admins[1], request.uuid, "Not today."),
    ]
    results = await all_of(*(decide() for decide in (decisions if round_ % 2 else reversed(decisions))))
    assert sum(isinstance(item, PromotionNotPending) for item in results) == 1
    ended = await deciding.get(shop.actor, request.uuid)
    price: Value = 2 if ended.status is PromotionStatus.COMPLETED else 1
    state = await shop.state(None)
    assert isinstance(state, dict)
    assert state["price"] == price
    await check_invariants(shop.project_id)


@pytest.mark.parametrize("round_", ROUNDS)
async def test_asked_for_twice_at_once_one_request_waits(shop: Shop, admins: list[Actor], round_: int) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    if round_ % 2:
        await promoting.validate(shop.actor, env)
    results = await all_of(*(promote(shop, env) for _ in range(3)))
    assert sum(isinstance(item, Promotion) for item in results) == 1
    assert sum(isinstance(item, PromotionPending) for item in results) == 2
    await check_invariants(shop.project_id)


@pytest.mark.parametrize("round_", ROUNDS)
async def test_an_approval_beside_a_write_is_for_what_was_seen(shop: Shop, admins: list[Actor], round_: int) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    request = await promote(shop, env)

    async def approved() -> object:
        await asyncio.sleep(0.001 * round_)
        return await deciding.approve(admins[0], request.uuid)

    decision, written = await all_of(approved(), shop.merge("env", {"price": 3}))
    assert not isinstance(written, BaseException), written
    assert isinstance(decision, Decision)
    state = await shop.state(None)
    assert isinstance(state, dict)
    done = decision.promotion.status is PromotionStatus.COMPLETED
    assert state["price"] == (2 if done else 1)
    assert [(item.path, item.result) for item in decision.changed] == ([] if done else [("/price", 3)])
    await check_invariants(shop.project_id)
