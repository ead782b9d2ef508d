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
from asyncpg.pool import PoolConnectionProxy

from app.domain.errors import AuditUnavailable, Busy, DatabaseUnavailable
from app.domain.serving_errors import Overloaded
from app.storage import deadline, tracing
from app.storage.after_commit import followed
from app.storage.reaching import UNREACHABLE, reaching

Record: TypeAlias = asyncpg.Record
Connection: TypeAlias = "asyncpg.Connection[Record] | PoolConnectionProxy[Record]"

Isolation: TypeAlias = Literal["read_committed", "repeatable_read"]

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS: Final = 4
WAITING_SECONDS: Final = 10.0
"""Longest wait for a connection of the pool."""

_UNITS: Final = {"s": 1, "min": 60}
_IDENTITY: Final = {"application_name": "strata", "timezone": "UTC"}
_LIMITS: Final = {
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10s",
    "jit": "off",
}
# Of what a session can be told, PgBouncer keeps up only the two of _IDENTITY.
_IN_TRANSACTION: Final = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in _LIMITS.items())
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


_pool: "asyncpg.Pool[Record] | None" = None
_pooled = False
_most_waiting = 100
_waiting = 0
_current: ContextVar["Connection | None"] = ContextVar("connection", default=None)
_encloses: ContextVar[bool] = ContextVar("encloses", default=False)
_counted: ContextVar[StatementCount | None] = ContextVar("counted", default=None)


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """How the pool stands: connections that are open, in use, allowed, and tasks that wait for one."""

    open: int
    used: int
    most: int
    waiting: int


def pool_figures() -> PoolFigures:
    """Return how the pool stands."""
    if _pool is None:
        return PoolFigures(0, 0, 0, 0)
    size = _pool.get_size()
    return PoolFigures(size, size - _pool.get_idle_size(), _pool.get_max_size(), _waiting)


async def open_pool(dsn: str, size: int, most_waiting: int = 100, *, pooled: bool = False) -> None:
    """Open the pool of this process; beyond ``most_waiting`` tasks that wait for a connection, others are refused.

    ``pooled`` says that a connection's session may be another one in each transaction, as PgBouncer's are: then nothing
    is left in it. Raises DatabaseUnavailable if the database cannot be reached.
    """
    global _pool, _most_waiting, _pooled
    _most_waiting, _pooled = most_waiting, pooled
    try:
        _pool = await asyncpg.create_pool(
            dsn,
            min_size=min(2, size),
            max_size=size,
            server_settings=_IDENTITY if pooled else _IDENTITY | _LIMITS,
            statement_cache_size=0 if pooled else 100,
            reset=_leave_clean,
            timeout=10,
        )
    except UNREACHABLE as error:
        raise DatabaseUnavailable from error


async def close_pool() -> None:
    """Close the pool; open work gets a moment to end."""
    global _pool
    pool, _pool = _pool, None
    if pool is not None:
        try:
            await asyncio.wait_for(pool.close(), timeout=10)
        except TimeoutError:
            pool.terminate()


async def _leave_clean(connection: Connection) -> None:
    # Settings, temporary tables and locks of this project end with their transaction, so a connection needs
    # no DISCARD on its way back; only a transaction that somebody left open would make it dirty.
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")


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
    acquired = await _acquired(pool)
    try:
        yield acquired
    finally:
        await pool.release(acquired)


async def _acquired(pool: "asyncpg.Pool[Record]") -> "PoolConnectionProxy[Record]":
    """Return a connection of the pool. Raises DatabaseUnavailable, Overloaded."""
    global _waiting
    if _waiting >= _most_waiting:
        raise Overloaded
    _waiting += 1
    try:
        with reaching():
            return await pool.acquire(timeout=WAITING_SECONDS)
    except DatabaseUnavailable as error:
        if isinstance(error.__cause__, TimeoutError) and pool_figures().used >= pool.get_max_size():
            raise Overloaded from error
        raise
    finally:
        _waiting -= 1


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
        if _pooled:
            await acquired.execute(_IN_TRANSACTION)
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
            token = _current.set(acquired)
            try:
                yield
            finally:
                _current.reset(token)

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
