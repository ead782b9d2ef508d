"""Reads that a read replica may answer, where there is one: long looks back, at what changes no more.

A replica lags behind. It is asked which version of the project it has; unless that is the one that the database itself
has now, the database answers, so that nobody misses what he has just written. So it does where the replica
is away or cancels the query.
"""

import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

import asyncpg

from app.domain.errors import DatabaseUnavailable
from app.domain.serving_errors import Overloaded
from app.storage import db
from app.storage.pool import Pool

P = ParamSpec("P")
R = TypeVar("R")

AWAY_SECONDS: Final = 5.0
"""For how long a replica that could not be reached is not asked again."""

_VERSION: Final = "SELECT version FROM project_counter WHERE project_id = $1"
_CANCELLED: Final = (
    # Row versions that the query still needs were cleaned up on the primary (40001), or it took too long.
    asyncpg.SerializationError,
    asyncpg.QueryCanceledError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
)

_pool: Pool | None = None
_away_until = 0.0


async def open_pool(dsn: str, size: int) -> None:
    """Have reads answered by the replica of ``dsn`` from now on; it need not be there yet."""
    global _pool
    _pool = Pool(dsn, size, lazy=True)
    await _pool.open()


async def close_pool() -> None:
    """Let go of the replica."""
    global _pool, _away_until
    pool, _pool, _away_until = _pool, None, 0.0
    if pool is not None:
        await pool.close()


def may_answer(
    read: Callable[Concatenate[int, P], Awaitable[R]],
) -> Callable[Concatenate[int, P], Awaitable[R]]:
    """Let a replica answer a read whose first argument is the project."""

    @wraps(read)
    async def run(project_id: int, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if _pool is None or time.monotonic() < _away_until or db.is_in_transaction():
            return await read(project_id, *args, **kwargs)
        version = await db.fetchval(_VERSION, project_id)
        try:
            async with _pool.connection() as connection:
                if (await connection.fetchval(_VERSION, project_id) or -1) >= (version or 0):
                    with db.on(connection):
                        return await read(project_id, *args, **kwargs)
        except Overloaded:
            pass
        except DatabaseUnavailable:
            _stay_away()
        except _CANCELLED:
            pass
        except asyncpg.PostgresError:
            _stay_away()
        return await read(project_id, *args, **kwargs)

    return run


def _stay_away() -> None:
    global _away_until
    _away_until = time.monotonic() + AWAY_SECONDS
