"""Writers at the same time: nothing lost, nothing half done, versions in the order of commits."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from itertools import takewhile
from typing import TypeVar

import asyncpg
import pytest

from app.domain.errors import DocumentNotFound, DomainError, EnvironmentArchived
from app.domain.values import MISSING, State, Value
from app.services import backups, checkpoints, documents, environments, history, revert, tree
from app.services.branching import ForkOptions
from app.services.documents import Written
from app.storage import changes
from tests.conftest import Database
from tests.services.invariants import check_invariants
from tests.services.shop import Shop, page
from tests.services.waiting import until_waiting

T = TypeVar("T")

pytestmark = pytest.mark.usefixtures("unlimited")

FIELDS = [f"f{number}" for number in range(20)]


async def beside(function: Callable[[], Awaitable[T]]) -> T:
    """Run ``function`` on a connection of its own, also from inside a transaction."""

    async def run() -> T:
        return await function()

    return await asyncio.get_running_loop().create_task(run(), context=Context())


def stamps_of(state: State) -> set[object]:
    assert isinstance(state, dict)
    return {state[field] for field in FIELDS}


@pytest.mark.parametrize("env", [None, "env", "frozen"])
async def test_64_patches_of_one_document_are_all_kept(shop: Shop, env: str | None) -> None:
    await shop.fork("env")
    await shop.checkpoint(await shop.fork("frozen"))
    patches = [shop.merge(env, {f"field{number}": number}) for number in range(64)]
    written = await asyncio.gather(*patches)
    state = await shop.state(env)
    assert isinstance(state, dict)
    assert {key: value for key, value in state.items() if key.startswith("field")} == {
        f"field{number}": number for number in range(64)
    }
    assert len({item.change.version for item in written if item.change}) == 64
    assert len({item.document.generation_uuid for item in written}) == 1
    await check_invariants(shop.project_id)


async def test_what_eight_writers_append_is_kept_in_order(shop: Shop) -> None:
    await shop.fork("env")
    await shop.put("env", [])

    async def append(writer: int) -> None:
        for number in range(8):
            operation: Value = {"op": "add", "path": "/-", "value": f"{writer}.{number}"}
            await documents.patch(shop.actor, shop.project_id, "env", "page", "a", [operation])

    await asyncio.gather(*(append(writer) for writer in range(8)))
    kept = await shop.state("env")
    assert isinstance(kept, list)
    assert len(kept) == 64
    for writer in range(8):
        assert [tag for tag in kept if str(tag).startswith(f"{writer}.")] == [f"{writer}.{n}" for n in range(8)]


async def test_one_of_many_creators_creates(shop: Shop) -> None:
    await shop.fork("env")
    written = await asyncio.gather(*(shop.put(env, {env or "": n}, "new") for n in range(10) for env in (None, "env")))
    assert len({item.document.entity.uuid for item in written}) == 1
    assert sum(item.created for item in written[::2]) == 1
    assert sum(item.created for item in written[1::2]) <= 1
    assert sorted(item.change.entity_version for item in written if item.change) == list(range(1, 21))
    assert (await shop.keys(None)).count("new") == 1
    await check_invariants(shop.project_id)


@pytest.mark.parametrize("source", ["env", None])
async def test_a_checkpoint_holds_each_write_wholly_or_not_at_all(shop: Shop, source: str | None) -> None:
    """Writes go to the environment itself, or to production, whose documents it shows."""
    await shop.put(None, dict.fromkeys(FIELDS, 0))
    env = await shop.fork("env")
    acknowledged = 0

    async def write() -> None:
        nonlocal acknowledged
        for stamp in range(1, 60):
            await shop.merge(source, dict.fromkeys(FIELDS, stamp))
            acknowledged = stamp

    async def freeze() -> None:
        for number in range(8):
            before = acknowledged
            taken = await shop.checkpoint(env if source else shop.production)
            rolled = await checkpoints.rollback(shop.actor, taken.uuid, f"back-{number}")
            (stamp,) = stamps_of(await shop.state(rolled.environment.name))
            assert isinstance(stamp, int)
            assert before <= stamp <= acknowledged + 1

    await asyncio.gather(write(), freeze())
    assert stamps_of(await shop.state(source)) == {59}
    await check_invariants(shop.project_id)


async def test_pins_and_backups_are_whole_too(shop: Shop) -> None:
    await shop.put(None, dict.fromkeys(FIELDS, 0))
    await shop.put(None, dict.fromkeys(FIELDS, 0), "b")
    done = False

    async def write() -> None:
        nonlocal done
        for stamp in range(1, 60):
            for key in ("a", "b"):
                await shop.merge(None, dict.fromkeys(FIELDS, stamp), key)
        done = True

    async def freeze() -> None:
        while not done:
            pinned = await checkpoints.pin(shop.actor, shop.production)
            shown = await checkpoints.snapshot(shop.actor, pinned.uuid, kind="page")
            (first,), (second,) = [stamps_of(item.state) for item in shown.page.items]
            assert isinstance(first, int)
            assert isinstance(second, int)
            assert 0 <= first - second <= 1
            await backups.backup(shop.actor, shop.project_id)

    await asyncio.gather(write(), freeze())
    await check_invariants(shop.project_id)


async def test_a_snapshot_is_as_old_as_what_it_holds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What commits after a snapshot was read and before it commits is neither in it nor blamed for it."""
    first = await shop.merge(None, {"price": 2})
    next_version = changes.next_version

    async def after_a_write(project_id: int) -> int:
        await beside(lambda: shop.merge(None, {"price": 3}))
        return await next_version(project_id)

    monkeypatch.setattr(changes, "next_version", after_a_write)
    taken = await shop.checkpoint(shop.production)
    monkeypatch.undo()
    back = await checkpoints.rollback(shop.actor, taken.uuid, "back")
    assert back.environment.name == "back"
    assert await shop.state("back") == {"title": "Home", "price": 2, "tags": ["x"]}
    assert await history.blame(shop.actor, shop.project_id, "back", "page", "a", ("price",)) == first.change


async def test_two_checkpoints_at_once_stand_on_one_another(shop: Shop) -> None:
    env = await shop.fork("env")
    taken = await asyncio.gather(*(shop.checkpoint(env) for _ in range(5)))
    numbers = sorted(item.number for item in taken)
    assert numbers == [2, 3, 4, 5, 6]
    by_number = {item.number: item for item in taken}
    assert [by_number[number].parent_uuid for number in numbers[1:]] == [by_number[n].uuid for n in numbers[:-1]]
    assert (await shop.head(env)).uuid == by_number[6].uuid
    await check_invariants(shop.project_id)


async def test_writes_and_checkpoints_at_once(shop: Shop) -> None:
    env = await shop.fork("env")
    writes = [shop.merge("env", {f"field{number}": number}) for number in range(20)]
    await asyncio.gather(*writes[:10], shop.checkpoint(env), *writes[10:], shop.checkpoint(env))
    state = await shop.state("env")
    assert isinstance(state, dict)
    assert sum(key.startswith("field") for key in state) == 20
    await check_invariants(shop.project_id)


async def test_writes_and_archiving(shop: Shop) -> None:
    env = await shop.fork("env")
    child = await shop.fork("child", env)
    writes = [shop.put("env", {}, f"k{number}") for number in range(20)]
    results = await asyncio.gather(
        *writes[:10], environments.archive(shop.actor, env), *writes[10:], return_exceptions=True
    )
    failures = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(failure, EnvironmentArchived) for failure in failures), failures
    written = [f"k{n}" for n, result in enumerate([*results[:10], *results[11:]]) if not isinstance(result, Exception)]
    assert sorted(await shop.keys("child")) == sorted(["a", *written])
    await environments.archive(shop.actor, child)
    await check_invariants(shop.project_id)


async def test_a_fork_shows_what_was_written_before_it_was_asked_for(shop: Shop) -> None:
    env = await shop.fork("env")
    acknowledged: list[str] = []

    async def write() -> None:
        for number in range(40):
            await shop.put("env", {}, f"k{number:02}")
            acknowledged.append(f"k{number:02}")
            if number % 10 == 5:
                await shop.checkpoint(env)

    async def fork() -> None:
        for number in range(10):
            before = len(acknowledged)
            made = await shop.forked(f"child-{number}", env)
            assert before + 2 <= made.forked_count <= len(acknowledged) + 3
            assert set(acknowledged[:before]) <= set(await shop.keys(f"child-{number}"))

    await asyncio.gather(write(), fork())
    await check_invariants(shop.project_id)


async def test_of_forks_with_one_name_one_is_made(shop: Shop) -> None:
    results = await asyncio.gather(*(shop.fork("env") for _ in range(8)), return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    assert [getattr(failure, "code", failure) for failure in failures] == ["environment_name_taken"] * 7
    assert len(await tree.tree(shop.actor, shop.project_id)) == 2
    await check_invariants(shop.project_id)


async def test_an_import_beside_patches_loses_neither(shop: Shop) -> None:
    keys = [f"k{number:02}" for number in range(30)]
    patched: list[Written] = []

    async def load() -> None:
        for stamp in range(6):
            await shop.load(None, *(page(key, {"import": stamp}) for key in keys))

    async def write(writer: int) -> None:
        for number, key in enumerate(keys):
            patched.append(await shop.merge(None, {f"w{writer}": number}, key))

    await load()
    await asyncio.gather(load(), *(write(writer) for writer in range(4)))
    versions = {item.change.version for item in patched if item.change}
    assert len(versions) == 4 * len(keys)
    for key in keys:
        found = await history.list_changes(shop.actor, shop.project_id, kind="page", key=key)
        kept = list(takewhile(lambda change: change.version in versions, found.items))
        state = await shop.state(None, key)
        assert isinstance(state, dict)
        assert (state["import"], len(state)) == (5, 1 + len(kept))
    await check_invariants(shop.project_id)


async def test_versions_are_in_commit_order(shop: Shop) -> None:
    await shop.fork("env")
    done = asyncio.Event()
    seen: set[int] = set()

    async def watch() -> None:
        newest = 0
        while not done.is_set():
            current = await changes.current_version(shop.project_id)
            page = await history.list_changes(shop.actor, shop.project_id, limit=200)
            versions = {change.version for change in page.items}
            assert {version for version in versions if version <= newest} == seen
            newest = max(versions)
            assert newest >= current - 1
            seen.update(versions)

    async def write() -> None:
        steps: list[Awaitable[object]] = [shop.put(None, {"n": n}, f"k{n}") for n in range(40)]
        steps += [shop.put("env", {"n": n}, f"k{n}") for n in range(40)]
        steps += [shop.load(None, *(page(f"i{n}.{m}", m) for m in range(20))) for n in range(3)]
        steps += [backups.backup(shop.actor, shop.project_id)]
        await asyncio.gather(*steps)
        done.set()

    await asyncio.gather(watch(), write())
    await check_invariants(shop.project_id)


async def test_a_revert_beside_writes_to_the_parent(shop: Shop) -> None:
    env = await shop.fork("env")
    for number in range(10):
        await shop.merge("env", {"price": f"mine {number}"})
        await asyncio.gather(revert.revert(shop.actor, env), shop.merge(None, {"price": number}))
        assert await shop.state("env") == await shop.state(None)
        assert await shop.overrides("env") == {"set": {}, "unset": []}
    await check_invariants(shop.project_id)


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_revert_that_waited_for_a_checkpoint_goes_on(shop: Shop, database: Database, frozen: bool) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    if frozen:
        await shop.checkpoint(env)
    other = await asyncpg.connect(database.app_dsn)
    held = other.transaction()
    await held.start()
    await other.execute("SELECT FROM project_counter WHERE project_id = $1 FOR UPDATE", shop.project_id)
    freezing = asyncio.create_task(shop.checkpoint(env))
    await until_waiting(other)
    reverting = asyncio.create_task(revert.revert(shop.actor, env))
    await until_waiting(other, 2)
    await held.rollback()
    await other.close()
    await freezing
    assert len((await reverting).changes) == 1
    assert await shop.state("env") == await shop.state(None)


async def test_an_archived_environment_is_not_reverted(shop: Shop) -> None:
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    await environments.archive(shop.actor, env)
    with pytest.raises(EnvironmentArchived):
        await revert.revert(shop.actor, env)


async def test_creating_while_a_creator_undoes_it(shop: Shop, database: Database) -> None:
    other = await asyncpg.connect(database.app_dsn)
    held = other.transaction()
    await held.start()
    await other.execute(
        "INSERT INTO entity (project_id, uuid, kind, key) VALUES ($1, gen_random_uuid(), 'page', 'new')",
        shop.project_id,
    )
    putting = asyncio.create_task(shop.put(None, 1, "new"))
    await until_waiting(other)
    with pytest.raises(DocumentNotFound):
        await shop.state(None, "new")
    await held.rollback()
    await other.close()
    assert (await putting).created
    assert await shop.state(None, "new") == 1


async def test_a_refused_write_leaves_no_name_behind(shop: Shop) -> None:
    refusals: list[Awaitable[object]] = [shop.merge(None, {}, "never"), shop.delete("env", "never")]
    await shop.fork("env")
    for refused in refusals:
        with pytest.raises(DomainError):
            await refused
    assert (await history.list_changes(shop.actor, shop.project_id, kind="page", key="never")).items == []
    options = ForkOptions("env")
    with pytest.raises(DomainError):
        await environments.fork(shop.actor, shop.project_id, options)
    assert (await shop.dump(None)).get(("page", "never"), MISSING) is MISSING
    await check_invariants(shop.project_id)
