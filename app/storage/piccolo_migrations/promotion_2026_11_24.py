"""Promotion: what layers carry, requests with their approvals, and releases with what they did."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T19:30:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "What layers carry, promotion requests, approvals and releases"

# As for all tables of projects: one that the statistics do not know yet must not look like one row.
_SCOPED = ("former_line", "promotion", "approval", "release", "release_entity")

STATEMENTS = (
    """
    ALTER TABLE layer ADD COLUMN base jsonb
        CHECK (jsonb_typeof(base -> 'set') = 'object' AND jsonb_typeof(base -> 'unset') = 'array')
    """,
    "ALTER TABLE generation ADD COLUMN replaces_version bigint, ADD COLUMN automatic boolean NOT NULL DEFAULT false",
    """
    CREATE TABLE former_line (
        project_id integer NOT NULL,
        generation_uuid uuid NOT NULL,
        until_version bigint NOT NULL,
        ancestors uuid[] NOT NULL,
        path uuid[] NOT NULL,
        PRIMARY KEY (project_id, generation_uuid, until_version),
        FOREIGN KEY (project_id, generation_uuid) REFERENCES generation (project_id, uuid) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE promotion (
        project_id integer NOT NULL REFERENCES project,
        uuid uuid NOT NULL,
        env_uuid uuid NOT NULL,
        strategy text NOT NULL CHECK (strategy IN ('immediate', 'canary', 'blue_green')),
        status text NOT NULL CHECK (status IN ('completed', 'rolling_out', 'pending_approval', 'blocked',
                                               'rejected', 'expired', 'aborted')),
        plan jsonb NOT NULL,
        checks jsonb NOT NULL,
        conflicts jsonb NOT NULL,
        carried jsonb NOT NULL,
        content_hash text COLLATE "C" NOT NULL,
        required_approvals integer NOT NULL CHECK (required_approvals >= 0),
        message text CHECK (length(message) <= 2000),
        reason text CHECK (length(reason) <= 2000),
        account_uuid uuid NOT NULL REFERENCES account,
        actor text NOT NULL,
        release_uuid uuid,
        step smallint CHECK (step >= 0),
        step_started_at timestamptz,
        previous_weight smallint NOT NULL CHECK (previous_weight BETWEEN 0 AND 100),
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        approved_at timestamptz,
        ended_at timestamptz,
        expires_at timestamptz,
        PRIMARY KEY (project_id, uuid),
        FOREIGN KEY (project_id, env_uuid) REFERENCES environment (project_id, uuid),
        CHECK ((status IN ('rolling_out', 'pending_approval')) = (ended_at IS NULL)),
        CHECK (status <> 'rolling_out' OR (step IS NOT NULL AND step_started_at IS NOT NULL)),
        CHECK (status <> 'completed' OR release_uuid IS NOT NULL)
    )
    """,
    "CREATE UNIQUE INDEX promotion_one_pending ON promotion (project_id, env_uuid) WHERE status = 'pending_approval'",
    "CREATE UNIQUE INDEX promotion_one_rolling_out ON promotion (project_id) WHERE status = 'rolling_out'",
    "CREATE INDEX promotion_newest ON promotion (project_id, created_at, uuid)",
    "CREATE INDEX promotion_environment ON promotion (project_id, env_uuid, created_at)",
    """
    CREATE TABLE approval (
        project_id integer NOT NULL,
        promotion_uuid uuid NOT NULL,
        account_uuid uuid NOT NULL REFERENCES account,
        step smallint NOT NULL DEFAULT 0 CHECK (step >= 0),
        content_hash text COLLATE "C" NOT NULL,
        actor text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        voided_at timestamptz,
        PRIMARY KEY (project_id, promotion_uuid, account_uuid, step, content_hash),
        FOREIGN KEY (project_id, promotion_uuid) REFERENCES promotion (project_id, uuid)
    )
    """,
    """
    CREATE TABLE release (
        project_id integer NOT NULL REFERENCES project,
        uuid uuid NOT NULL,
        number integer NOT NULL CHECK (number > 0),
        env_uuid uuid NOT NULL,
        promotion_uuid uuid,
        undoes_uuid uuid,
        message text CHECK (length(message) <= 2000),
        entity_count integer NOT NULL CHECK (entity_count >= 0),
        version bigint NOT NULL,
        actor text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (project_id, uuid),
        UNIQUE (project_id, number),
        FOREIGN KEY (project_id, env_uuid) REFERENCES environment (project_id, uuid),
        FOREIGN KEY (project_id, promotion_uuid) REFERENCES promotion (project_id, uuid),
        FOREIGN KEY (project_id, undoes_uuid) REFERENCES release (project_id, uuid),
        CHECK ((promotion_uuid IS NULL) = (undoes_uuid IS NOT NULL))
    )
    """,
    """
    ALTER TABLE promotion ADD FOREIGN KEY (project_id, release_uuid) REFERENCES release (project_id, uuid)
        DEFERRABLE INITIALLY DEFERRED
    """,
    """
    CREATE TABLE release_entity (
        project_id integer NOT NULL,
        release_uuid uuid NOT NULL,
        entity_uuid uuid NOT NULL,
        before jsonb,
        after jsonb,
        PRIMARY KEY (project_id, release_uuid, entity_uuid),
        FOREIGN KEY (project_id, release_uuid) REFERENCES release (project_id, uuid),
        FOREIGN KEY (project_id, entity_uuid) REFERENCES entity (project_id, uuid)
    )
    """,
    "ALTER TABLE project ADD COLUMN release_uuid uuid",
    "ALTER TABLE project ADD FOREIGN KEY (project_id, release_uuid) REFERENCES release (project_id, uuid)"
    " DEFERRABLE INITIALLY DEFERRED",
    *(f"ALTER TABLE {table} ALTER COLUMN project_id SET STATISTICS 0" for table in _SCOPED),
    """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strata_app') THEN
            GRANT SELECT, INSERT, UPDATE ON promotion, approval TO strata_app;
            GRANT SELECT, INSERT ON former_line, release, release_entity TO strata_app;
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
