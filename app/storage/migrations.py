"""Bringing a database up to date: safe when several processes do it at once."""

import contextlib
import io
from importlib import import_module
from pathlib import Path
from typing import Final

import asyncpg
from piccolo.apps.migrations.commands.forwards import run_forwards
from piccolo.engine.postgres import PostgresEngine

from app.storage.piccolo_app import APP_CONFIG

OLDEST_SERVER: Final = 150_000
_LOCK: Final = 0x535452415441


class MigrationFailed(RuntimeError):
    """The database cannot be brought up to date; the message says why."""


def known_migrations() -> list[str]:
    """Return the ids of this version's migrations, oldest first."""
    folder = Path(APP_CONFIG.resolved_migrations_folder_path)
    names = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
    return sorted(import_module(f"app.storage.piccolo_migrations.{name}").ID for name in names)


async def missing_migrations(dsn: str) -> list[str]:
    """Return the ids of the migrations that the database of ``dsn`` has not had yet.

    Raises MigrationFailed if its PostgreSQL is too old or it belongs to a newer Strata.
    """
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        if int(await connection.fetchval("SHOW server_version_num")) < OLDEST_SERVER:
            raise MigrationFailed("Strata needs PostgreSQL 15 or newer.")
        if await connection.fetchval("SELECT to_regclass('migration') IS NULL"):
            return known_migrations()
        rows = await connection.fetch("SELECT name FROM migration WHERE app_name = $1", APP_CONFIG.app_name)
    finally:
        await connection.close()
    applied, known = {row["name"] for row in rows}, known_migrations()
    if unknown := applied.difference(known):
        raise MigrationFailed(
            f"The database was made by a newer Strata (it has {max(unknown)}); install that version or a later one."
        )
    return [migration for migration in known if migration not in applied]


async def migrate(dsn: str, until: str = "") -> list[str]:
    """Apply what is missing, all of it or nothing, and return the ids that were missing; nothing after ``until``.

    The schema, and Piccolo's record of what ran, commit in one transaction under one lock: whoever comes
    second waits, and finds nothing to do.
    """
    missing = [name for name in await missing_migrations(dsn) if not until or name <= until]
    if not missing:
        return []
    engine: PostgresEngine = import_module("piccolo_conf").DB
    engine.config = {"dsn": dsn}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        async with engine.transaction():
            await engine.run_ddl(f"SELECT pg_advisory_xact_lock({_LOCK})")
            result = await run_forwards(APP_CONFIG.app_name, missing[-1])
    if not result.success:
        raise MigrationFailed(result.message or said.getvalue())
    return missing
