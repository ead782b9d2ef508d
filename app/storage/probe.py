"""A look at the database for whoever asks whether this server can work: on one connection of its own, kept open."""

from typing import Final

import asyncpg

from app.storage.migrations import known_migrations
from app.storage.piccolo_app import APP_CONFIG
from app.storage.reaching import UNREACHABLE, reaching

_PATIENCE: Final = 1.5


class Probe:
    """Asks the database of ``dsn``; the pool can be busy, or all of it lost, and this still tells."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def missing_migrations(self) -> set[str]:
        """Return the ids of this version's migrations that the database has not had. Raises DatabaseUnavailable."""
        with reaching():
            connection = await self._reached()
            rows = await connection.fetch(
                "SELECT name FROM migration WHERE app_name = $1", APP_CONFIG.app_name, timeout=_PATIENCE
            )
        return set(known_migrations()).difference(row["name"] for row in rows)

    async def reach(self) -> None:
        """Have the database answer. Raises DatabaseUnavailable."""
        with reaching():
            await self._reached()

    async def _reached(self) -> "asyncpg.Connection[asyncpg.Record]":
        known, self._connection = self._connection, None
        if known is not None:
            try:
                await known.execute("SELECT", timeout=_PATIENCE)
                self._connection = known
                return known
            except TimeoutError:
                known.terminate()
                raise
            except UNREACHABLE:
                known.terminate()
        self._connection = await asyncpg.connect(
            self._dsn, timeout=_PATIENCE, statement_cache_size=0, server_settings={"application_name": "strata health"}
        )
        return self._connection

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
