"""Rollouts: what was reported of both sides' health at each step, and why a rollout is held."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T20:30:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Health of rollouts"

STATEMENTS = (
    "ALTER TABLE promotion ADD COLUMN held text CHECK (length(held) <= 2000)",
    """
    CREATE TABLE rollout_health (
        project_id integer NOT NULL,
        promotion_uuid uuid NOT NULL,
        step smallint NOT NULL CHECK (step >= 0),
        side text NOT NULL CHECK (side IN ('environment', 'production')),
        requests bigint NOT NULL CHECK (requests > 0),
        errors bigint NOT NULL CHECK (errors BETWEEN 0 AND requests),
        timed bigint NOT NULL CHECK (timed BETWEEN 0 AND requests),
        latency_sum numeric NOT NULL CHECK (latency_sum >= 0),
        reported_at timestamptz NOT NULL,
        PRIMARY KEY (project_id, promotion_uuid, step, side),
        FOREIGN KEY (project_id, promotion_uuid) REFERENCES promotion (project_id, uuid)
    )
    """,
    "ALTER TABLE rollout_health ALTER COLUMN project_id SET STATISTICS 0",
    """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strata_app') THEN
            GRANT SELECT, INSERT, UPDATE ON rollout_health TO strata_app;
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
