"""Removing from the files of a database what its rows no longer have: old versions of them, and samples.

PostgreSQL's log of writes keeps what was written until it is written over; that is not touched here.
"""

from typing import Final

import asyncpg

from app.storage.reaching import reaching

TABLES: Final = ("layer", "change", "release_entity", "promotion", "idempotency", "manifest", "pg_statistic")
"""Those that can hold values of documents, and what was sampled of them."""


async def scrub(owner_dsn: str) -> None:
    """Write the tables that can hold values of documents anew, each locked meanwhile; for the schema's owner.

    Raises DatabaseUnavailable.
    """
    with reaching():
        connection = await asyncpg.connect(owner_dsn)
    try:
        for table in TABLES:
            await connection.execute(f"VACUUM (FULL) {table}")
    finally:
        await connection.close()
