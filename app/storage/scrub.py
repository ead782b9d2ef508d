"""Removing from the files of a database what its rows no longer have: old row versions, and the log of writes."""

from typing import Final

import asyncpg

from app.storage.reaching import reaching

TABLES: Final = ("layer", "change", "release_entity", "promotion", "idempotency", "manifest")
"""Those that can hold values of documents."""


async def scrub(owner_dsn: str, *, log: bool) -> None:
    """Rewrite the tables that can hold values of documents, each locked meanwhile, and with ``log`` drop the old log.

    For the schema's owner; dropping the log is for the owner of the server. Raises DatabaseUnavailable.
    """
    with reaching():
        connection = await asyncpg.connect(owner_dsn)
    try:
        for table in TABLES:
            await connection.execute(f"VACUUM (FULL, ANALYZE) {table}")
        if log:
            await _drop_log(connection)
    finally:
        await connection.close()


async def _drop_log(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    # Segments of the log are used again for what is logged later, and keep what they had until it is written over.
    # Now they are removed instead: all but the one in use, which begins after the first switch.
    await connection.execute("ALTER SYSTEM SET wal_recycle = off")
    try:
        await connection.execute("SELECT pg_reload_conf()")
        for _ in range(2):
            await connection.execute("SELECT pg_switch_wal()")
            await connection.execute("CHECKPOINT")
    finally:
        await connection.execute("ALTER SYSTEM RESET wal_recycle")
        await connection.execute("SELECT pg_reload_conf()")
