"""A queue that nobody else works on, and workers in the test's own process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from app.domain.jobs import JobKind, Retries
from app.storage import db
from app.worker.running import Worker
from app.worker.table import Job
from tests.conftest import Database

KIND = JobKind.CLEAN_QUEUE
Work = Callable[..., Awaitable[None]]


@pytest.fixture
async def queue(pool: None) -> None:
    """An empty queue; what other tests promised is forgotten."""
    await db.execute("DELETE FROM pgqueuer")
    await db.execute("DELETE FROM pgqueuer_log")


@asynccontextmanager
async def worker_of(database: Database, job: Job) -> AsyncIterator[Worker]:
    """Run a worker that knows one kind of job."""
    worker = Worker(database.app_dsn, {KIND: job})
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        await worker.stop()
        await asyncio.wait_for(running, 15)


def quick(work: Work, times: int = 2) -> Job:
    """Return a job whose retries do not make a test wait."""
    return Job(work, Retries(times, timedelta(milliseconds=20), timedelta(milliseconds=50)), seconds=5)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 15) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def statuses() -> list[str]:
    """Return the status of every job in the queue."""
    return [row["status"] for row in await db.fetch("SELECT status::text FROM pgqueuer ORDER BY id")]
