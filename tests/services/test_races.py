"""Writers at the same time: nothing lost, nothing half done, versions in the order of commits."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from app.domain.errors import Busy, Conflict, DomainError, EnvironmentArchived
from app.domain.model import Actor, Plan, Project
from app.domain.values import MISSING
from app.services import backups, checkpoints, documents, environments, history, projects, revert, transfer
from app.services.branching import ForkOptions
from app.storage import changes


async def _state(actor: Actor, project: Project, env: str | None, key: str) -> dict[str, object]:
    state = (await documents.read(actor, project.id, env, "page", key)).state
    assert isinstance(state, dict)
    return dict(state)


@pytest.mark.parametrize("env", [None, "env"])
async def test_64_patches_of_one_document_are_all_kept(actor: Actor, project: Project, env: str | None) -> None:
    await documents.put(actor, project.id, None, "page", "a", {"n": 0})
    await environments.fork(actor, project.id, ForkOptions("env"))
    patches = [documents.merge(actor, project.id, env, "page", "a", {f"field{n}": n}) for n in range(64)]
    written = await asyncio.gather(*patches)
    assert await _state(actor, project, env, "a") == {"n": 0} | {f"field{n}": n for n in range(64)}
    versions = [item.change.version for item in written if item.change]
    assert len(set(versions)) == 64


async def test_one_of_many_creators_creates(actor: Actor, project: Project) -> None:
    await environments.fork(actor, project.id, ForkOptions("env"))
    puts = [documents.put(actor, project.id, env, "page", "a", {"n": n}) for n in range(10) for env in (None, "env")]
    written = await asyncio.gather(*puts)
    assert len({item.document.entity.uuid for item in written}) == 1
    assert (
        sum(item.created for item in written if item.document.generation_uuid == written[0].document.generation_uuid)
        == 1
    )


@pytest.mark.usefixtures("unlimited")
async def test_a_checkpoint_holds_each_write_wholly_or_not_at_all(actor: Actor, project: Project) -> None:
    fields = [f"f{number}" for number in range(20)]
    await documents.put(actor, project.id, None, "page", "a", dict.fromkeys(fields, 0))
    made = await environments.fork(actor, project.id, ForkOptions("env"))
    acknowledged = 0

    async def write() -> None:
        nonlocal acknowledged
        for stamp in range(1, 60):
            await documents.merge(actor, project.id, "env", "page", "a", dict.fromkeys(fields, stamp))
            acknowledged = stamp

    async def freeze() -> None:
        for _ in range(8):
            before = acknowledged
            taken = await checkpoints.checkpoint(actor, made.environment.uuid, None)
            rolled = await checkpoints.rollback(actor, taken.uuid)
            frozen = await _state(actor, project, rolled.environment.name, "a")
            assert len(set(frozen.values())) == 1
            assert before <= frozen["f0"] <= acknowledged + 1  # type: ignore[operator]

    await asyncio.gather(write(), freeze())
    assert set((await _state(actor, project, "env", "a")).values()) == {59}


async def test_versions_are_in_commit_order(actor: Actor, project: Project) -> None:
    done = asyncio.Event()
    seen: list[int] = []

    async def watch() -> None:
        while not done.is_set():
            page = await history.list_changes(actor, project.id, limit=200)
            seen.append(len(page.items))
            versions = [change.version for change in page.items]
            assert versions == list(range(versions[0], versions[0] - len(versions), -1))
            await asyncio.sleep(0)

    async def write() -> None:
        puts = [documents.put(actor, project.id, None, "page", f"k{n}", {"n": n}) for n in range(100)]
        await asyncio.gather(*puts)
        done.set()

    await asyncio.gather(watch(), write())
    assert await changes.current_version(project.id) == 101


async def test_writes_and_archiving(actor: Actor, project: Project) -> None:
    made = await environments.fork(actor, project.id, ForkOptions("env"))
    writes = [documents.put(actor, project.id, "env", "page", f"k{n}", {}) for n in range(20)]
    results = await asyncio.gather(
        *writes[:10], environments.archive(actor, made.environment.uuid), *writes[10:], return_exceptions=True
    )
    failures = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(failure, EnvironmentArchived) for failure in failures), failures


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
async def test_state_changing_operations_do_not_deadlock(actor: Actor, seed: int) -> None:
    project = await projects.create(actor, "Races", Plan.ENTERPRISE)
    chance = random.Random(seed)
    for key in ("a", "b"):
        await documents.put(actor, project.id, None, "page", key, {"n": 0})
    made = await environments.fork(actor, project.id, ForkOptions("env"))
    saved = await backups.backup(actor, project.id)
    names = iter(range(10_000))

    async def lines() -> AsyncIterator[bytes]:
        for key in ("b", "a", f"c{next(names)}"):
            yield b'{"kind": "page", "key": "%s", "data": {"n": %d}}\n' % (key.encode(), next(names))

    def operation() -> Awaitable[object]:
        env = chance.choice([None, "env"])
        number = next(names)
        operations: list[Callable[[], Awaitable[object]]] = [
            lambda: documents.merge(actor, project.id, env, "page", "a", {"n": number}),
            lambda: documents.put(actor, project.id, env, "page", "b", {"n": number}),
            lambda: transfer.import_documents(actor, project.id, env, lines()),
            lambda: environments.fork(
                actor, project.id, ForkOptions(f"e{number}", parent_env_uuid=made.environment.uuid)
            ),
            lambda: checkpoints.checkpoint(actor, made.environment.uuid, None),
            lambda: checkpoints.pin(actor, made.environment.uuid),
            lambda: revert.revert(actor, made.environment.uuid),
            lambda: backups.backup(actor, project.id),
            lambda: backups.restore(actor, project.id, saved.uuid),
        ]
        return chance.choice(operations)()

    results = await asyncio.gather(*(operation() for _ in range(60)), return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(failure, DomainError) for failure in failures), failures
    assert not [failure for failure in failures if not isinstance(failure, Busy | Conflict)], failures
    for env in (None, "env"):
        assert (await documents.read(actor, project.id, env, "page", "a")).state is not MISSING
