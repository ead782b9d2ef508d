"""Shadow writes: how far each environment is mirrored, and what production promised to mirror."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T22:30:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "How far production is mirrored into environments"

# A write to production locks the project's counter anyway, so what it needs to know stands there.
STATEMENTS = (
    "ALTER TABLE project_counter ADD COLUMN shadowed boolean NOT NULL DEFAULT false, ADD COLUMN shadow_from bigint",
    """
    CREATE TABLE shadow_cursor (
        project_id integer NOT NULL,
        env_uuid uuid NOT NULL,
        version bigint NOT NULL CHECK (version >= 0),
        PRIMARY KEY (project_id, env_uuid),
        FOREIGN KEY (project_id, env_uuid) REFERENCES environment (project_id, uuid)
    )
    """,
    "CREATE INDEX environment_shadow ON environment (project_id) WHERE shadow_writes AND status <> 'archived'",
    """
    INSERT INTO shadow_cursor (project_id, env_uuid, version)
    SELECT environment.project_id, environment.uuid, project_counter.version
    FROM environment JOIN project_counter USING (project_id)
    WHERE environment.shadow_writes AND env_type <> 'production'
    """,
    """
    UPDATE project_counter SET shadowed = true
    WHERE EXISTS (SELECT FROM environment WHERE environment.project_id = project_counter.project_id AND shadow_writes)
    """,
    "ALTER TABLE shadow_cursor ALTER COLUMN project_id SET STATISTICS 0",
    """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strata_app') THEN
            GRANT SELECT, INSERT, UPDATE ON shadow_cursor TO strata_app;
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
