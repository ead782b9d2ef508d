"""Limits and active environments of members, invitations, settings of projects."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T16:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Limits and active environments of members, invitations, settings of projects"

STATEMENTS = (
    """
    ALTER TABLE member
        ADD COLUMN environments uuid[],
        ADD COLUMN active_env_uuid uuid,
        ADD CHECK (environments IS NULL OR (role IN ('editor', 'viewer') AND cardinality(environments) > 0)),
        ADD FOREIGN KEY (project_id, active_env_uuid) REFERENCES environment (project_id, uuid)
    """,
    # The service refuses this with a reason; here it is kept from whatever else will change members.
    """
    CREATE FUNCTION keep_an_owner() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM FROM project WHERE project_id = OLD.project_id FOR NO KEY UPDATE;
        IF NOT EXISTS (SELECT FROM member WHERE project_id = OLD.project_id AND role = 'owner') THEN
            RAISE EXCEPTION 'a project is never without an owner' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE CONSTRAINT TRIGGER member_keeps_owner AFTER UPDATE OF role OR DELETE ON member
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.role = 'owner') EXECUTE FUNCTION keep_an_owner()
    """,
    """
    CREATE TABLE invitation (
        project_id integer NOT NULL REFERENCES project,
        uuid uuid NOT NULL DEFAULT gen_random_uuid(),
        email text COLLATE "C" NOT NULL CHECK (email = lower(email)),
        role text NOT NULL CHECK (role IN ('owner', 'admin', 'editor', 'viewer')),
        environments uuid[],
        token_hash bytea NOT NULL CHECK (octet_length(token_hash) = 32),
        invited_by uuid NOT NULL REFERENCES account,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        accepted_at timestamptz,
        accepted_by uuid REFERENCES account,
        revoked_at timestamptz,
        PRIMARY KEY (project_id, uuid),
        UNIQUE (project_id, token_hash),
        CHECK (environments IS NULL OR (role IN ('editor', 'viewer') AND cardinality(environments) > 0)),
        CHECK ((accepted_at IS NULL) = (accepted_by IS NULL)),
        CHECK (accepted_at IS NULL OR revoked_at IS NULL)
    )
    """,
    """
    CREATE UNIQUE INDEX invitation_open ON invitation (project_id, email)
        WHERE accepted_at IS NULL AND revoked_at IS NULL
    """,
    """
    CREATE TABLE project_settings (
        project_id integer PRIMARY KEY REFERENCES project,
        settings jsonb NOT NULL CHECK (jsonb_typeof(settings) = 'object')
    )
    """,
    # As for all tables of projects: one that the statistics do not know yet must not look like one row.
    "ALTER TABLE invitation ALTER COLUMN project_id SET STATISTICS 0",
    """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strata_app') THEN
            GRANT SELECT, INSERT, UPDATE, DELETE ON invitation, project_settings TO strata_app;
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
