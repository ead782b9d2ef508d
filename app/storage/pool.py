"""Connections of one process to one database: a bounded number of them, and a bounded queue in front."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app.domain.errors import DatabaseUnavailable
from app.domain.serving_errors import Overloaded
from app.storage.reaching import UNREACHABLE, reaching

Record: TypeAlias = asyncpg.Record
Connection: TypeAlias = "asyncpg.Connection[Record] | PoolConnectionProxy[Record]"

MOST_WAITING: Final = 100
WAITING_SECONDS: Final = 10.0
"""Longest wait for a connection."""

_IDENTITY: Final = {"application_name": "strata", "timezone": "UTC"}
_LIMITS: Final = {
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10s",
    "jit": "off",
}
# Of what a session can be told, PgBouncer keeps up only the two of _IDENTITY.
IN_TRANSACTION: Final = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in _LIMITS.items())


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """How a pool stands: connections that are open, in use, allowed, and tasks that wait for one."""

    open: int
    used: int
    most: int
    waiting: int


class Pool:
    """A pool; ``open`` it first. Beyond ``most_waiting`` tasks that wait for a connection, others are refused.

    ``pooled`` says that a connection's session may be another one in each transaction, as PgBouncer's are: then nothing
    is left in it. ``lazy``: it connects when it is used.
    """

    def __init__(
        self, dsn: str, size: int, most_waiting: int = MOST_WAITING, *, pooled: bool = False, lazy: bool = False
    ) -> None:
        self.pooled = pooled
        self.most_waiting = most_waiting
        self._waiting = 0
        self._pool: asyncpg.Pool[Record] = asyncpg.create_pool(
            dsn,
            min_size=0 if lazy else min(2, size),
            max_size=size,
            server_settings=_IDENTITY if pooled else _IDENTITY | _LIMITS,
            statement_cache_size=0 if pooled else 100,
            reset=_leave_clean,
            timeout=10,
        )

    async def open(self) -> None:
        """Connect. Raises DatabaseUnavailable."""
        try:
            await self._pool
        except UNREACHABLE as error:
            raise DatabaseUnavailable from error

    async def close(self) -> None:
        """Let go of all connections; open work gets a moment to end."""
        try:
            await asyncio.wait_for(self._pool.close(), timeout=10)
        except TimeoutError:
            self._pool.terminate()

    def figures(self) -> PoolFigures:
        """Return how the pool stands."""
        size = self._pool.get_size()
        return PoolFigures(size, size - self._pool.get_idle_size(), self._pool.get_max_size(), self._waiting)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Give a connection for the block. Raises DatabaseUnavailable, Overloaded."""
        acquired = await self._acquired()
        try:
            yield acquired
        finally:
            await self._pool.release(acquired)

    async def _acquired(self) -> "PoolConnectionProxy[Record]":
        if self._waiting >= self.most_waiting:
            raise Overloaded
        self._waiting += 1
        try:
            with reaching():
                return await self._pool.acquire(timeout=WAITING_SECONDS)
        except DatabaseUnavailable as error:
            figures = self.figures()
            if isinstance(error.__cause__, TimeoutError) and figures.used >= figures.most:
                raise Overloaded from error
            raise
        finally:
            self._waiting -= 1


async def _leave_clean(connection: Connection) -> None:
    # Settings, temporary tables and locks of this project end with their transaction, so a connection needs
    # no DISCARD on its way back; only a transaction that somebody left open would make it dirty.
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")
