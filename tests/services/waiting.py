"""Waiting for what happens in the database, instead of for time to pass."""

import asyncio
from typing import TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def until_waiting(connection: Connection, number: int = 1) -> None:
    """Return once ``number`` sessions of this database wait for locks of others."""
    async with asyncio.timeout(10):
        while number > await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
        ):
            pass
