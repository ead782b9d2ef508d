"""Token buckets. Unlogged: after a crash of the database all are full, and nobody waits for their disk."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T21:30:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Token buckets of rate limits"

STATEMENTS = (
    """
    CREATE UNLOGGED TABLE rate_bucket (
        subject text COLLATE "C" PRIMARY KEY,
        tokens double precision NOT NULL,
        granted double precision NOT NULL CHECK (granted >= 0),
        per_second double precision NOT NULL CHECK (per_second > 0),
        filled_at timestamptz NOT NULL
    ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000)
    """,
    """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strata_app') THEN
            GRANT SELECT, INSERT, UPDATE, DELETE ON rate_bucket TO strata_app;
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
