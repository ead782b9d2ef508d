"""Events, numbered by the counter that changes are numbered by: one order per project, that of the commits."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T15:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Events"

STATEMENTS = (
    """
    CREATE TABLE event (
        project_id integer NOT NULL REFERENCES project,
        version bigint NOT NULL,
        type text COLLATE "C" NOT NULL CHECK (type ~ '^[a-z_]+\\.[a-z_]+$'),
        env_uuid uuid,
        subject uuid,
        data jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object'),
        actor text,
        first_version bigint CHECK (first_version < version),
        created_at timestamptz NOT NULL,
        PRIMARY KEY (project_id, version),
        FOREIGN KEY (project_id, env_uuid) REFERENCES environment (project_id, uuid)
    )
    """,
    "CREATE INDEX event_environment ON event (project_id, env_uuid, version)",
    "CREATE INDEX event_covering ON event (project_id, version) WHERE first_version IS NOT NULL",
    "ALTER TABLE event ALTER COLUMN project_id SET STATISTICS 0",
    """
    CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting_history()
    """,
    """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strata_app') THEN
            GRANT SELECT, INSERT ON event TO strata_app;
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
