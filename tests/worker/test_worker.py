"""The queue and its worker: promised with the transaction, done at least once, tried again, never lost."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from app import doctor
from app.domain.audit import Door
from app.domain.jobs import Retries
from app.services import calls, jobs
from app.settings import Settings
from app.storage import db
from app.worker.table import JOBS, SCHEDULES, Job
from tests.conftest import Database
from tests.worker.conftest import KIND, quick, statuses, until, worker_of

pytestmark = pytest.mark.usefixtures("queue")


async def _promise(n: int, at: datetime | None = None) -> None:
    async with db.transaction():
        await jobs.enqueue(KIND, n=n, at=at)


async def _promise_and_fail(n: int) -> None:
    async with db.transaction():
        await jobs.enqueue(KIND, n=n)
        raise ZeroDivisionError


async def _empty() -> bool:
    return await statuses() == []


async def test_a_job_is_done_after_the_commit_and_never_without(database: Database) -> None:
    done: list[int] = []

    async def work(n: int) -> None:
        assert calls.via().door is Door.WORKER
        done.append(n)

    async with worker_of(database, quick(work)):
        with pytest.raises(ZeroDivisionError):
            await _promise_and_fail(1)
        async with db.transaction():
            await jobs.enqueue(KIND, n=2)
            await asyncio.sleep(0.3)
            assert done == []
        await until(_empty, 3)
    assert done == [2]


async def test_arguments_come_as_they_are_annotated(database: Database) -> None:
    got: list[tuple[int, UUID, str]] = []
    uuid = uuid4()

    async def work(n: int, thing: UUID, name: str) -> None:
        got.append((n, thing, name))

    async with worker_of(database, quick(work)):
        async with db.transaction():
            await jobs.enqueue(KIND, n=1, thing=uuid, name="a")
        await until(_empty)
    assert got == [(1, uuid, "a")]


async def test_an_equal_job_that_waits_is_enough(database: Database) -> None:
    for _ in range(3):
        await _promise(1)
    await _promise(2)
    assert await statuses() == ["queued"] * 2


async def test_an_equal_job_that_runs_is_not_enough(database: Database) -> None:
    started, go = asyncio.Event(), asyncio.Event()
    seen = 0

    async def work(n: int) -> None:
        nonlocal seen
        seen += 1
        started.set()
        await go.wait()

    async with worker_of(database, replace(quick(work), at_once=1)):
        await _promise(1)
        await asyncio.wait_for(started.wait(), 5)
        await _promise(1)
        await _promise(1)
        go.set()
        await until(_empty)
    assert seen == 2


async def test_a_job_that_was_enough_does_not_begin_before_the_commit(database: Database) -> None:
    done: list[int] = []

    async def work(n: int) -> None:
        done.append(n)

    await _promise(1)
    async with db.transaction():
        await jobs.enqueue(KIND, n=1)
        assert await statuses() == ["queued"]
        async with worker_of(database, quick(work)):
            await asyncio.sleep(0.3)
            assert done == []
    async with worker_of(database, quick(work)):
        await until(_empty)
    assert done == [1]


async def test_many_at_once_promise_one_job(database: Database) -> None:
    await _promise(1)
    await asyncio.gather(*(_promise(1) for _ in range(8)))
    assert await statuses() == ["queued"]


async def test_a_later_job_waits_for_its_time(database: Database) -> None:
    done: list[float] = []
    now = datetime.now(UTC)

    async def work(n: int) -> None:
        done.append((datetime.now(UTC) - now).total_seconds())

    async with worker_of(database, quick(work)):
        await _promise(1, now + timedelta(seconds=0.5))
        await _promise(2, now + timedelta(days=1))
        await until(lambda: _left(1))
    assert len(done) == 1
    assert 0.5 <= done[0] < 2


async def _left(count: int) -> bool:
    return len(await statuses()) == count


async def test_a_failing_job_is_tried_again_and_then_laid_aside(database: Database) -> None:
    tries = 0

    async def work(n: int) -> None:
        nonlocal tries
        tries += 1
        raise ValueError("a secret")

    async with worker_of(database, quick(work, times=3)):
        await _promise(1)
        await until(_failed)
        assert tries == 4
        (dead,) = await jobs.dead_jobs()
        assert (dead.kind, dead.count, dead.failure) == (KIND, 1, "ValueError")
        text = await db.fetchval("SELECT string_agg(traceback::text, '') FROM pgqueuer_log")
        assert "a secret" not in text
        assert await jobs.revive() == 1
        await until(_failed)
        assert tries == 8


async def _failed() -> bool:
    return await statuses() == ["failed"]


async def test_a_job_of_which_workers_die_is_laid_aside(database: Database) -> None:
    done: list[int] = []

    async def work(n: int) -> None:
        done.append(n)

    await _promise(1)
    await _promise(2)
    first: int = await db.fetchval("SELECT min(id) FROM pgqueuer")
    await db.execute(
        "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)"
        " SELECT $1, 'picked', 0, $2 FROM generate_series(1, 10)",
        first,
        KIND,
    )
    async with worker_of(database, quick(work)):
        await until(_failed)
        assert done == [2]
        assert (await jobs.dead_jobs())[0].failure == "WorkersDied"
        await jobs.revive()
        await until(_empty)
    assert done == [2, 1]


async def test_what_is_looked_for_is_promised_once_while_it_fails(database: Database) -> None:
    async def work(n: int) -> None:
        raise ValueError

    job = Job(work, Retries(5, timedelta(seconds=30), timedelta(seconds=30)))
    await jobs.enqueue_missing(KIND, n=1)
    async with worker_of(database, job):
        await until(_being_tried_again)
        await jobs.enqueue_missing(KIND, n=1)
        assert await statuses() == ["queued"]
        await jobs.enqueue_missing(KIND, n=2)
        assert len(await statuses()) == 2


async def _being_tried_again() -> bool:
    return bool(await db.fetchval("SELECT count(*) FROM pgqueuer WHERE attempts > 0"))


async def test_the_doctor_says_what_failed_and_what_waits(database: Database) -> None:
    async def work(n: int) -> None:
        raise ValueError

    async with worker_of(database, quick(work, times=0)):
        await _promise(1)
        await until(_failed)
    await _promise(2)
    await db.execute("UPDATE pgqueuer SET execute_after = now() - interval '1 hour' WHERE status = 'queued'")
    findings = await doctor.look_inside(Settings())
    said = [(found.level, found.message[:6]) for found in findings[1:]]
    assert said == [("problem", "1 jobs"), ("warning", "1 jobs")]


async def test_a_job_that_takes_too_long_is_tried_again(database: Database) -> None:
    tries = 0

    async def work(n: int) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            await asyncio.sleep(60)

    async with worker_of(database, Job(work, seconds=1)):
        await _promise(1)
        await until(_empty)
    assert tries == 2


async def test_a_stopping_worker_lets_its_jobs_end(database: Database) -> None:
    started = asyncio.Event()
    done: list[int] = []

    async def work(n: int) -> None:
        started.set()
        await asyncio.sleep(0.5)
        done.append(n)

    async with worker_of(database, quick(work)):
        await _promise(1)
        await asyncio.wait_for(started.wait(), 5)
    assert done == [1]
    assert await statuses() == []


async def test_a_stopping_worker_gives_back_what_does_not_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker.running.DRAIN_SECONDS", 0.3)
    started = asyncio.Event()
    done: list[int] = []

    async def slow(n: int) -> None:
        started.set()
        await asyncio.sleep(60)

    async def work(n: int) -> None:
        done.append(n)

    async with worker_of(database, Job(slow)):
        await _promise(1)
        await asyncio.wait_for(started.wait(), 5)
    assert await statuses() == ["queued"]
    async with worker_of(database, quick(work)):
        await until(_empty)
    assert done == [1]


async def test_a_worker_that_lost_its_connection_goes_on(database: Database) -> None:
    done: list[int] = []

    async def work(n: int) -> None:
        done.append(n)

    connection = await asyncpg.connect(database.app_dsn)
    try:
        async with worker_of(database, quick(work)):
            await _promise(1)
            await until(_empty)
            ended = await connection.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'strata worker'"
            )
            assert ended == 1
            await _promise(2)
            await until(_empty)
    finally:
        await connection.close()
    assert done == [1, 2]


async def test_what_ended_a_day_ago_is_forgotten() -> None:
    await db.execute("INSERT INTO pgqueuer (id, priority, status, entrypoint) VALUES (-1, 0, 'failed', 'x')")
    await db.execute(
        "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created)"
        " SELECT n, 'successful', 0, 'x', now() - interval '25 hours' FROM generate_series(-1, 5) n"
    )
    await db.execute("INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint) VALUES (9, 'successful', 0, 'x')")
    await jobs.clean_queue()
    rows = await db.fetch("SELECT job_id FROM pgqueuer_log ORDER BY job_id")
    assert [row["job_id"] for row in rows] == [-1, 9]


def test_every_kind_has_a_function() -> None:
    assert JOBS.keys() == set(type(KIND))
    assert SCHEDULES.keys() <= JOBS.keys()
