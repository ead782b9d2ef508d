"""The one way to the database: a pool, a transaction that cannot leak, and retries of what may be retried.

Piccolo's own ``transaction()`` keeps its connection after a failing COMMIT and joins silently when nested, so
it is not used here. Inside ``transaction()`` all calls of this module in the same task share its connection,
and must follow one another: never ``gather`` there, never load through a DataLoader.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, Literal, ParamSpec, TypeAlias, TypeVar

import asyncpg

from app.domain.errors import AuditUnavailable, Busy, DatabaseUnavailable
from app.storage import deadline, tracing
from app.storage.after_commit import followed
from app.storage.pool import IN_TRANSACTION, MOST_WAITING, Pool, PoolFigures
from app.storage.pool import Connection as Connection
from app.storage.pool import Record as Record
from app.storage.reaching import UNREACHABLE, reaching

Isolation: TypeAlias = Literal["read_committed", "repeatable_read"]

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS: Final = 4
_UNITS: Final = {"s": 1, "min": 60}
_TIMEOUTS: Final = (
    "SELECT set_config('statement_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $1, true)"
)


class Retry(Exception):
    """What was read is no longer so; the whole transaction is to be run again."""


RETRIABLE: Final = (
    Retry,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
)


@dataclass(slots=True)
class StatementCount:
    count: int = 0


_pool: Pool | None = None
_current: ContextVar["Connection | None"] = ContextVar("connection", default=None)
_encloses: ContextVar[bool] = ContextVar("encloses", default=False)
_counted: ContextVar[StatementCount | None] = ContextVar("counted", default=None)


def pool_figures() -> PoolFigures:
    """Return how the pool stands."""
    return PoolFigures(0, 0, 0, 0) if _pool is None else _pool.figures()


async def open_pool(dsn: str, size: int, most_waiting: int = MOST_WAITING, *, pooled: bool = False) -> None:
    """Open the pool of this process, as ``Pool`` says. Raises DatabaseUnavailable if it cannot be reached."""
    global _pool
    opened = Pool(dsn, size, most_waiting, pooled=pooled)
    await opened.open()
    _pool = opened


async def close_pool() -> None:
    """Close the pool; open work gets a moment to end."""
    global _pool
    pool, _pool = _pool, None
    if pool is not None:
        await pool.close()


@contextmanager
def on(connection: Connection) -> Iterator[None]:
    """Have all calls of this module in the block use a connection, as if it were in a transaction."""
    token = _current.set(connection)
    try:
        yield
    finally:
        _current.reset(token)


@asynccontextmanager
async def connection() -> AsyncIterator[Connection]:
    """Give the current transaction's connection, or one of the pool for the moment."""
    current = _current.get()
    if current is not None:
        yield current
        return
    pool = _pool
    if pool is None:
        raise DatabaseUnavailable
    async with pool.connection() as acquired:
        yield acquired


def is_in_transaction() -> bool:
    """Return whether this task holds a connection already."""
    return _current.get() is not None


@asynccontextmanager
async def transaction(
    isolation: Isolation = "read_committed",
    *,
    readonly: bool = False,
    statement_timeout: str | None = None,
    encloses: bool = False,
) -> AsyncIterator[None]:
    """Run the block in one transaction; an error inside, or of COMMIT itself, leaves nothing behind.

    Not to be nested: a service never calls a service. Only within one that ``encloses``, which adds something to
    whatever a service does, the service's own transaction becomes a part of it. ``statement_timeout`` is
    PostgreSQL's notation, as ``5min``.
    """
    if statement_timeout is not None:
        deadline.extend(_seconds(statement_timeout))
    if _current.get() is not None:
        await _join(isolation, statement_timeout)
        token = _encloses.set(False)
        try:
            yield
        finally:
            _encloses.reset(token)
        return
    with followed():
        async with connection() as acquired:
            connected, enclosing = _current.set(acquired), _encloses.set(encloses)
            try:
                async with _begun(acquired, isolation, readonly=readonly):
                    if statement_timeout is not None:
                        await acquired.execute(_TIMEOUTS, statement_timeout)
                    yield
            finally:
                _encloses.reset(enclosing)
                _current.reset(connected)


def _seconds(timeout: str) -> float:
    unit = timeout.lstrip("0123456789")
    return float(timeout.removesuffix(unit)) * _UNITS[unit]


@asynccontextmanager
async def _begun(acquired: Connection, isolation: Isolation, *, readonly: bool) -> AsyncIterator[None]:
    begun = acquired.transaction(isolation=isolation, readonly=readonly)
    with reaching():
        await begun.start()
        if _pool is not None and _pool.pooled:
            await acquired.execute(IN_TRANSACTION)
    try:
        yield
    except BaseException:
        # Why the block failed says more than that its connection is gone too.
        with suppress(*UNREACHABLE):
            await begun.rollback()
        raise
    with reaching():
        await begun.commit()


async def _join(isolation: str, statement_timeout: str | None) -> None:
    if not _encloses.get():
        raise RuntimeError("a transaction is open in this task already")
    if isolation != "read_committed":
        raise RuntimeError("an enclosing transaction has begun with a weaker isolation")
    if statement_timeout is not None:
        await execute(_TIMEOUTS, statement_timeout)


@asynccontextmanager
async def reading(statement_timeout: str) -> AsyncIterator[Callable[[], AbstractContextManager[None]]]:
    """Hold one moment of the database while something is streamed from it.

    Gives a function that makes a context: calls of this module inside that context see the moment. A stream
    cannot simply be a transaction's block, for its consumer's own statements would run inside it.
    """
    async with connection() as acquired, _begun(acquired, "repeatable_read", readonly=True):
        await acquired.execute(_TIMEOUTS, statement_timeout)

        @contextmanager
        def using() -> Iterator[None]:
            with on(acquired):
                yield

        yield using


def atomic(
    isolation: Isolation = "read_committed",
    *,
    statement_timeout: str | None = None,
    encloses: bool = False,
    attempts: int = ATTEMPTS,
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """Make a coroutine function one transaction that is run again, up to three times, when it lost a race.

    As a part of an enclosing transaction it runs once, and the enclosing one is run again.
    """

    def decorate(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @wraps(function)
        async def run(*args: P.args, **kwargs: P.kwargs) -> R:
            if _encloses.get():
                async with transaction(isolation, statement_timeout=statement_timeout):
                    return await function(*args, **kwargs)
            for attempt in range(1, attempts + 1):
                try:
                    async with transaction(isolation, statement_timeout=statement_timeout, encloses=encloses):
                        return await function(*args, **kwargs)
                except RETRIABLE as error:
                    if attempt == attempts:
                        raise Busy from error
                await asyncio.sleep(random.uniform(0.005, 0.02) * 2**attempt)  # noqa: S311
            raise AssertionError("unreachable")

        return run

    return decorate


@contextmanager
def _translated(sql: str) -> Iterator[None]:
    counter = _counted.get()
    if counter is not None:
        counter.count += 1
    try:
        if tracing.under_way():
            verb = sql.split(None, 1)[0].upper()
            with tracing.span(f"postgresql {verb}", db_system_name="postgresql", db_operation_name=verb):
                yield
        else:
            yield
    except asyncpg.InsufficientPrivilegeError as error:
        if "table audit" in str(error):
            raise AuditUnavailable from error
        raise
    except UNREACHABLE as error:
        raise DatabaseUnavailable from error


async def fetch(sql: str, *args: object) -> list[Record]:
    """Return all rows of one statement."""
    async with connection() as acquired:
        with _translated(sql):
            return await acquired.fetch(sql, *args)


async def fetchrow(sql: str, *args: object) -> Record | None:
    """Return the first row of one statement, or None."""
    async with connection() as acquired:
        with _translated(sql):
            return await acquired.fetchrow(sql, *args)


async def fetchval(sql: str, *args: object) -> Any:
    """Return the first value of the first row of one statement, or None."""
    async with connection() as acquired:
        with _translated(sql):
            return await acquired.fetchval(sql, *args)


async def execute(sql: str, *args: object) -> int:
    """Run one statement and return how many rows it touched."""
    async with connection() as acquired:
        with _translated(sql):
            status = await acquired.execute(sql, *args)
    count = status.rsplit(" ", 1)[-1]
    return int(count) if count.isdigit() else 0


async def copy(table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Load ``rows`` by COPY; only inside a transaction, so that all or none arrive."""
    current = _current.get()
    if current is None:
        raise RuntimeError("COPY outside a transaction")
    with _translated("COPY"):
        await current.copy_records_to_table(table, columns=columns, records=rows)


@contextmanager
def count_statements() -> Iterator[StatementCount]:
    """Count the statements that the block sends, tasks started inside it included."""
    counter = StatementCount()
    token = _counted.set(counter)
    try:
        yield counter
    finally:
        _counted.reset(token)
