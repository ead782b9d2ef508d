"""A worker: takes jobs from the queue and does them, beside a server's requests or in a process of its own."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import Context
from datetime import timedelta
from typing import Any, Final, get_type_hints

from pgqueuer import PgQueuer
from pgqueuer.core.executors import AbstractEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Context as JobContext
from pgqueuer.domain.models import Job as QueuedJob
from pgqueuer.domain.models import Schedule

from app.domain.audit import Door, Via
from app.domain.jobs import JobKind
from app.services import calls, jobs
from app.services.failures import log_failure
from app.storage import db, queue, tracing, typed, wakes
from app.storage.codec import loads
from app.worker.table import JOBS, NEWS, SCHEDULES, Job

DRAIN_SECONDS: Final = 10.0
TAKEN_AT_ONCE: Final = 8
BEGUN_AT_ONCE: Final = 16
LOOKS_EVERY: Final = timedelta(seconds=2)
DEAD_AFTER: Final = timedelta(seconds=10)
"""A job whose worker said nothing for so long is taken by another one."""

MOST_DEATHS: Final = 10
_LONGEST_PAUSE: Final = 1.5
_COLLECTING: Final = 0.1


class WorkersDied(Exception):
    """The job was begun again and again and never ended: it may be what its workers died of."""


class JobFailed(Exception):
    """What the queue's log has of a job's error: its kind alone, for its text can quote what nobody may read."""


class Worker:
    """Does the jobs of one database until it is told to stop; when the database is away, it waits for it."""

    def __init__(self, dsn: str, table: Mapping[JobKind, Job] = JOBS) -> None:
        self._dsn = dsn
        self._table = table
        self._stopping = asyncio.Event()
        self._at_work: set[asyncio.Task[None]] = set()
        self._queuer: PgQueuer | None = None
        self._changed: set[int] = set()
        self._telling: asyncio.Task[None] | None = None

    @property
    def works(self) -> bool:
        """Whether jobs are taken at the moment."""
        return self._queuer is not None

    async def run(self) -> None:
        """Do jobs until ``stop`` is called; those that have begun by then get their time to end."""
        pause = 0.5
        while not self._stopping.is_set():
            try:
                await self._connected()
                pause = 0.5
            except Exception as error:
                log_failure(error, "worker")
                pause = min(pause * 2, _LONGEST_PAUSE)
            await self._waited(pause)

    async def _waited(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _connected(self) -> None:
        connection = await queue.connect(self._dsn)
        try:
            self._queuer = queuer = PgQueuer.from_asyncpg_connection(connection)
            self._register(queuer)
            await connection.add_listener(wakes.CHANNEL, self._on_news)
            if self._stopping.is_set():
                return
            await queuer.run(
                dequeue_timeout=LOOKS_EVERY,
                batch_size=TAKEN_AT_ONCE,
                max_concurrent_tasks=BEGUN_AT_ONCE,
                shutdown_on_listener_failure=True,
                heartbeat_timeout=DEAD_AFTER,
                log_aggregation_interval=timedelta(0),
            )
        finally:
            self._queuer = None
            connection.terminate()

    def _register(self, queuer: PgQueuer) -> None:
        for kind, job in self._table.items():
            queuer.qm.register_executor(kind, _Executor(job, self._at_work))
        for kind, expression in SCHEDULES.items():
            if kind in self._table:
                queuer.schedule(kind, expression)(_promise)

    def _on_news(self, *news: object) -> None:
        # What a notification says comes last.
        self._changed.add(int(str(news[-1])))
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell(), context=Context())

    async def _tell(self) -> None:
        try:
            while self._changed and not self._stopping.is_set():
                await asyncio.sleep(_COLLECTING)
                project_ids = sorted(self._changed)
                self._changed.clear()
                for listener in NEWS:
                    await listener(project_ids)
        except Exception as error:
            log_failure(error, "worker")

    async def stop(self) -> None:
        """Take no more jobs; those still at work after the time to drain go back into the queue."""
        self._stopping.set()
        if self._queuer is not None:
            self._queuer.shutdown.set()
        if self._telling is not None:
            self._telling.cancel()
        if self._at_work:
            await asyncio.wait(self._at_work, timeout=DRAIN_SECONDS)
        for task in tuple(self._at_work):
            task.cancel()


async def _promise(schedule: Schedule) -> None:
    async with db.transaction():
        await jobs.enqueue(JobKind(schedule.entrypoint))


class _Executor(AbstractEntrypointExecutor):
    """Does the jobs of one kind, each in a task and a context of its own."""

    def __init__(self, job: Job, at_work: set[asyncio.Task[None]]) -> None:
        super().__init__(EntrypointExecutorParameters(job.at_once, _unused, on_failure="hold"))
        self._job = job
        self._at_work = at_work

    async def execute(self, job: QueuedJob, context: JobContext) -> None:
        """Do one job. Raises RetryRequested where it is to be done again, JobFailed where it is laid aside."""
        task = asyncio.get_running_loop().create_task(self._do(job), context=Context())
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
        if task.cancelled():
            raise RetryRequested(timedelta(0), "stopped")
        error = task.exception()
        if error is None:
            return
        log_failure(error, f"job {job.id}", job=job.entrypoint, failures=job.attempts + 1)
        delay = None if isinstance(error, WorkersDied) else self._job.retries.delay(job.attempts + 1)
        if delay is None:
            raise JobFailed(type(error).__name__)
        raise RetryRequested(delay, type(error).__name__)

    async def _do(self, job: QueuedJob) -> None:
        if await queue.begun_in_vain(job.id) > MOST_DEATHS:
            raise WorkersDied
        calls.enter(lambda: Via(Door.WORKER))
        async with asyncio.timeout(self._job.seconds):
            with tracing.span(f"job {job.entrypoint}"):
                await self._job.function(**self._arguments(job.payload))

    def _arguments(self, payload: bytes | None) -> dict[str, Any]:
        given = loads(payload or b"{}")
        if not isinstance(given, dict):
            raise TypeError("the arguments of a job are an object")
        hints = get_type_hints(self._job.function)
        return {name: typed.value_of(value, hints[name]) for name, value in given.items()}


async def _unused(job: QueuedJob) -> None:
    raise NotImplementedError


_here: Worker | None = None


def works() -> bool:
    """Return whether this process's worker takes jobs at the moment."""
    return _here is not None and _here.works


@asynccontextmanager
async def at_work(dsn: str) -> AsyncIterator[Worker]:
    """Have a worker beside the block, on a pool that is open; it has stopped when the block is left."""
    global _here
    _here = worker = Worker(dsn)
    running = asyncio.create_task(worker.run(), context=Context())
    try:
        yield worker
    finally:
        _here = None
        await worker.stop()
        await asyncio.wait([running], timeout=DRAIN_SECONDS)
        running.cancel()
