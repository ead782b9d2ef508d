"""No statistics of columns with documents: their samples would be copies of values, which nothing sweeps."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T22:15:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "No statistics of columns with documents"

_COLUMNS = (
    *(("layer", column) for column in ("data", "base")),
    *(("change", column) for column in ("forward", "reverse", "layer_reverse")),
    *(("release_entity", column) for column in ("before", "after")),
    *(("promotion", column) for column in ("plan", "conflicts", "carried")),
    ("idempotency", "answer"),
    ("manifest", "user_filter"),
)

STATEMENTS = tuple(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0" for table, column in _COLUMNS)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="strata", description=DESCRIPTION)

    async def run() -> None:
        engine = engine_finder()
        if engine is None:
            raise RuntimeError("piccolo_conf.py names no database")
        for statement in STATEMENTS:
            await engine.run_ddl(statement)

    manager.add_raw(run)
    return manager
