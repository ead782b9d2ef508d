"""Which environments are rollbacks made beyond the plan's limit: at most one of each checkpoint."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T14:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Rollbacks beyond the plan's limit of environments"

STATEMENTS = (
    "ALTER TABLE manifest ADD COLUMN beyond_limit boolean NOT NULL DEFAULT false",
    """
    CREATE UNIQUE INDEX manifest_beyond_limit ON manifest (project_id, source_generation_uuid) WHERE beyond_limit
    """,
)


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
