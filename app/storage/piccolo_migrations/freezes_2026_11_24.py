"""Freezes: times in which nothing is promoted."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T17:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Freezes"

STATEMENTS = (
    """
    CREATE TABLE production_freeze (
        project_id integer NOT NULL REFERENCES project,
        uuid uuid NOT NULL DEFAULT gen_random_uuid(),
        reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
        owner text NOT NULL CHECK (length(owner) BETWEEN 1 AND 200),
        starts_at timestamptz NOT NULL,
        ends_at timestamptz CHECK (ends_at > starts_at),
        created_by text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        lifted_by text,
        lifted_at timestamptz,
        PRIMARY KEY (project_id, uuid),
        CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
    )
    """,
    "CREATE INDEX production_freeze_living ON production_freeze (project_id, ends_at) WHERE lifted_at IS NULL",
    "ALTER TABLE production_freeze ALTER COLUMN project_id SET STATISTICS 0",
    """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strata_app') THEN
            GRANT SELECT, INSERT, UPDATE ON production_freeze TO strata_app;
        END IF;
    END
    $$
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
