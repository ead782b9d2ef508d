"""Telling a database that cannot be reached from a mistake in what was asked of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from app.domain.errors import DatabaseUnavailable

# The last is what asyncpg raises on a session that was ended while nothing was asked of it.
UNREACHABLE: Final = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


@contextmanager
def reaching() -> Iterator[None]:
    """Raise DatabaseUnavailable if the database is not there for the block."""
    try:
        yield
    except UNREACHABLE as error:
        raise DatabaseUnavailable from error
