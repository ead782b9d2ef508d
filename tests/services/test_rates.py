"""Token buckets that several processes share: each ``Meter`` here stands for a process of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from uuid import uuid4

import pytest

from app.domain.errors import DatabaseUnavailable, ProjectNotFound, RateLimited, TooManyAtOnce
from app.domain.model import Actor, Plan, Project, Scope
from app.domain.policy import Operation
from app.domain.rates import BURST_SECONDS, PER_SECOND, Payer, RateLimits
from app.services import access, api_keys, identity, leases, operator, projects, rates
from app.services.leases import PayerKey
from app.services.rates import Charge, Meter
from app.storage import db, rate_buckets
from app.storage.rate_buckets import Bucket
from tests.conftest import MakeActor

FREE = PER_SECOND[Plan.FREE]
BURST = FREE * BURST_SECONDS


@pytest.fixture
def meter() -> Iterator[Meter]:
    """The rate limits of a process, as they are by default; of this one as long as the test runs."""
    usual, rates.meter = rates.meter, Meter(RateLimits())
    yield rates.meter
    rates.meter = usual


@pytest.fixture
async def free(project: Project) -> Project:
    """A project on the smallest plan."""
    await operator.set_plan(project.id, Plan.FREE)
    return project


async def admitted(meters: list[Meter], key: PayerKey, seconds: float, *, pause: float = 0.0) -> tuple[int, float]:
    """Ask one point again and again of all processes; return how many were given, and how long that took."""
    began = time.monotonic()

    async def ask(meter: Meter) -> int:
        given = 0
        while time.monotonic() < began + seconds:
            try:
                await meter.pay(key, 1)
                given += 1
            except RateLimited:
                await asyncio.sleep(0.005)
            await asyncio.sleep(pause)
        return given

    given = sum(await asyncio.gather(*(ask(meter) for meter in meters)))
    return given, time.monotonic() - began


async def until_refused(ask: Callable[[int], Awaitable[None]]) -> tuple[int, RateLimited]:
    """Ask until there is a refusal; return how often there was none, and the refusal."""
    for number in count():
        try:
            await ask(number)
        except RateLimited as refusal:
            return number, refusal
    raise AssertionError("unreachable")


@pytest.mark.parametrize("plan", [Plan.FREE, Plan.PRO, Plan.ENTERPRISE])
@pytest.mark.parametrize("processes", [1, 3])
async def test_what_is_admitted_is_within_5_percent_of_the_limit(project: Project, plan: Plan, processes: int) -> None:
    await operator.set_plan(project.id, plan)
    meters = [Meter(RateLimits()) for _ in range(processes)]
    given, seconds = await admitted(meters, (Payer.PROJECT, project.id, False), 4)
    expected = PER_SECOND[plan] * (BURST_SECONDS + seconds)
    assert given == pytest.approx(expected, rel=0.05)


async def test_most_requests_make_no_statement(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    await operator.set_plan(project.id, Plan.ENTERPRISE)
    asked = _count_leases(monkeypatch)
    meter = Meter(RateLimits())
    for _ in range(2_000):
        await meter.pay((Payer.PROJECT, project.id, False), 1)
    assert len(asked) <= 11


def _count_leases(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    asked: list[float] = []
    original = rate_buckets.lease

    async def counted(bucket: Bucket, needed: float, per_plan: dict[Plan, float]) -> rate_buckets.Lease:
        asked.append(needed)
        return await original(bucket, needed, per_plan)

    monkeypatch.setattr(rate_buckets, "lease", counted)
    return asked


async def test_refusals_make_few_statements(free: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    meter, key = Meter(RateLimits()), (Payer.PROJECT, free.id, False)
    await meter.pay(key, BURST)
    asked = _count_leases(monkeypatch)
    refused, began = 0, time.monotonic()
    while time.monotonic() < began + 0.5:
        try:
            await meter.pay(key, 1)
        except RateLimited:
            refused += 1
    assert refused > 1_000
    assert len(asked) < 30


async def test_a_refusal_says_when_to_ask_again(free: Project, meter: Meter) -> None:
    key = (Payer.PROJECT, free.id, False)
    await meter.pay(key, BURST)
    with pytest.raises(RateLimited) as refused:
        await meter.pay(key, 5 * FREE)
    assert refused.value.fields == {"limited": "project", "retry_after": 5}
    with pytest.raises(RateLimited) as refused:
        await meter.pay(key, 1)
    assert refused.value.fields["retry_after"] == 1


async def test_what_is_dearer_than_a_bucket_takes_a_full_one_and_leaves_a_debt(free: Project, meter: Meter) -> None:
    key = (Payer.PROJECT, free.id, False)
    await meter.pay(key, 3 * BURST)
    with pytest.raises(RateLimited) as refused:
        await meter.pay(key, 1)
    assert refused.value.fields["retry_after"] == pytest.approx(2 * BURST / FREE, abs=1)
    other = Meter(RateLimits())
    with pytest.raises(RateLimited):
        await other.pay(key, 1)


async def test_many_who_wait_at_once_are_served_by_few_leases(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _count_leases(monkeypatch)
    meter = Meter(RateLimits())
    await asyncio.gather(*(meter.pay((Payer.PROJECT, project.id, False), 1) for _ in range(100)))
    assert len(asked) <= 6


async def test_a_change_of_plan_counts_at_once(free: Project, meter: Meter) -> None:
    key = (Payer.PROJECT, free.id, False)
    await meter.pay(key, BURST)
    await operator.set_plan(free.id, Plan.ENTERPRISE)
    await asyncio.sleep(1.1)
    given, _ = await admitted([meter], key, 1)
    assert given > PER_SECOND[Plan.PRO]


async def test_an_account_has_the_rate_of_its_best_project(make_actor: MakeActor, meter: Meter) -> None:
    actor = await make_actor()
    key = (Payer.ACCOUNT, actor.account_uuid, False)
    assert await _size(meter, key) == BURST
    for plan in (Plan.FREE, Plan.PREMIUM, Plan.BASIC):
        await operator.set_plan((await projects.create(actor, plan.value)).id, plan)
    assert await _size(Meter(RateLimits()), key) == PER_SECOND[Plan.PREMIUM] * BURST_SECONDS


async def _size(meter: Meter, key: PayerKey) -> int:
    await meter.pay(key, 1)
    standing = meter.leases.standing(key)
    assert standing is not None
    return standing[0]


async def test_what_is_asked_often_has_a_bucket_of_its_own(free: Project, meter: Meter) -> None:
    assert await _size(meter, (Payer.PROJECT, free.id, True)) == 10 * BURST
    await meter.pay((Payer.PROJECT, free.id, False), BURST)
    await meter.pay((Payer.PROJECT, free.id, True), BURST)


async def test_the_caller_and_the_project_both_pay(actor: Actor, free: Project, meter: Meter) -> None:
    charge = rates.open_charge(10)
    assert charge is not None
    await charge.begin(actor, "")
    for _ in range(3):
        await access.authorize(actor, free.id, Operation.READ)
    await charge.rise_to(15)
    charge.close()
    for key in ((Payer.ACCOUNT, actor.account_uuid, False), (Payer.PROJECT, free.id, False)):
        standing = meter.leases.standing(key)
        assert standing is not None
        assert standing[0] == BURST
        assert standing[1] == pytest.approx(BURST - 15, abs=2)


async def test_who_is_not_let_in_uses_nothing_up(make_actor: MakeActor, free: Project, meter: Meter) -> None:
    charge = rates.open_charge(10)
    assert charge is not None
    stranger = await make_actor()
    await charge.begin(stranger, "")
    with pytest.raises(ProjectNotFound):
        await access.authorize(stranger, free.id, Operation.READ)
    assert meter.leases.standing((Payer.PROJECT, free.id, False)) is None


async def test_two_keys_of_a_project_share_its_rate(actor: Actor, free: Project, meter: Meter) -> None:
    made = [await api_keys.create(actor, free.id, name, [Scope.READ]) for name in ("one", "two")]
    keys = [await identity.authenticate(f"Bearer {key.secret}") for key in made]
    paid, refusal = await until_refused(lambda number: Charge(meter, 5).begin(keys[number % 2], ""))
    assert 5 * paid == pytest.approx(BURST, rel=0.06)
    assert refusal.fields["limited"] == "project"


async def test_addresses_of_one_network_share_a_bucket(meter: Meter) -> None:
    network = f"2001:db8:{uuid4().hex[:4]}:1"
    given, _ = await until_refused(lambda number: Charge(meter, 1).begin(None, f"{network}::{number:x}"))
    assert given == pytest.approx(BURST, rel=0.06)
    await Charge(meter, 1).begin(None, f"2001:db8:{uuid4().hex[:4]}:2::1")


async def test_no_address_is_stored(meter: Meter) -> None:
    await Charge(meter, 1).begin(None, "198.51.100.77")
    subjects = [row["subject"] for row in await db.fetch("SELECT subject FROM rate_bucket")]
    assert not any("198.51.100.77" in subject for subject in subjects)


async def test_only_so_many_requests_of_a_project_at_once(actor: Actor, project: Project) -> None:
    meter = Meter(RateLimits(concurrent=3))
    charges = [Charge(meter, 1) for _ in range(4)]
    for charge in charges[:3]:
        await charge.let_into(project.id)
        await charge.let_into(project.id)
    with pytest.raises(TooManyAtOnce) as refused:
        await charges[3].let_into(project.id)
    assert refused.value.fields == {"limit": 3, "retry_after": 1}
    charges[3].close()
    charges[0].close()
    charges[0].close()
    await charges[3].let_into(project.id)
    other = await projects.create(actor, "Other")
    await Charge(meter, 1).let_into(other.id)


async def test_polling_pays_as_other_reads_do_when_there_is_news(free: Project, meter: Meter) -> None:
    charge = Charge(meter, 1, often=True)
    await charge.let_into(free.id)
    await meter.pay((Payer.PROJECT, free.id, False), BURST)
    with pytest.raises(RateLimited):
        await charge.settle()
    await Charge(meter, 1, often=True).let_into(free.id)


async def test_what_was_paid_too_much_is_given_back_and_what_too_little_is_owed(free: Project, meter: Meter) -> None:
    key = (Payer.PROJECT, free.id, False)
    charge = Charge(meter, BURST // 2)
    await charge.let_into(free.id)
    charge.correct(1)
    await meter.pay(key, BURST - 10)
    dear = Charge(meter, 1)
    await dear.let_into(free.id)
    dear.correct(BURST)
    with pytest.raises(RateLimited):
        await meter.pay(key, 1)


async def test_nobody_waits_for_a_connection_with_one_in_hand(free: Project) -> None:
    meter = Meter(RateLimits())
    key = (Payer.PROJECT, free.id, False)

    @db.atomic()
    async def work() -> None:
        await db.fetchval("SELECT 1")
        await meter.pay(key, 1)
        await asyncio.sleep(0.05)

    async with asyncio.timeout(5):
        await asyncio.gather(*(work() for _ in range(15)))
    standing = meter.leases.standing(key)
    assert standing is not None
    assert standing[1] == pytest.approx(BURST - 15, abs=3)


async def test_credit_inside_a_transaction_ends(free: Project, meter: Meter) -> None:
    key = (Payer.PROJECT, free.id, False)
    await meter.pay(key, BURST)

    @db.atomic()
    async def work() -> None:
        await meter.pay(key, 5)

    given, _ = await until_refused(lambda _: work())
    assert 5 * given <= 2 * FREE


async def test_without_the_database_nothing_is_limited(free: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(rate_buckets, "lease", gone)
    meter = Meter(RateLimits())
    for _ in range(2 * BURST):
        await meter.pay((Payer.PROJECT, free.id, False), 1)


async def test_unused_points_are_good_for_a_while_only(free: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_GOOD_SECONDS", 0.05)
    meter, key = Meter(RateLimits()), (Payer.PROJECT, free.id, False)
    asked = _count_leases(monkeypatch)
    await meter.pay(key, 1)
    await asyncio.sleep(0.1)
    await meter.pay(key, 1)
    assert len(asked) == 2


async def test_full_buckets_are_swept_and_debts_are_kept(project: Project, meter: Meter) -> None:
    limits = RateLimits().per_second
    full, owing = Bucket(f"project {uuid4()}"), Bucket(f"project {uuid4()}")
    await rate_buckets.lease(full, 1, limits)
    await rate_buckets.lease(owing, 3 * BURST, limits)
    await db.execute("UPDATE rate_bucket SET filled_at = filled_at - interval '11 seconds'")
    await rate_buckets.sweep()
    left = {row["subject"] for row in await db.fetch("SELECT subject FROM rate_bucket")}
    assert full.name not in left
    assert owing.name in left


async def test_a_clock_that_goes_back_gives_nothing(project: Project) -> None:
    limits, bucket = RateLimits().per_second, Bucket(f"project {uuid4()}")
    first = await rate_buckets.lease(bucket, BURST, limits)
    await db.execute("UPDATE rate_bucket SET filled_at = filled_at + interval '1 hour' WHERE subject = $1", bucket.name)
    again = await rate_buckets.lease(bucket, 1, limits)
    assert (first.granted, again.granted) == (BURST, 0)
    assert again.left == pytest.approx(0, abs=1)


async def test_few_buckets_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "MAX_HELD", 10)
    meter = Meter(RateLimits())
    for number in range(20):
        await meter.pay((Payer.ADDRESS, f"{uuid4()}-{number}", False), 1)
    assert len(meter.leases._held) == 10
