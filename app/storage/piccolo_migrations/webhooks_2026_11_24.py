"""Webhooks and the log of what was delivered to them."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T21:45:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Webhooks"

STATEMENTS = (
    """
    CREATE TABLE webhook (
        project_id integer NOT NULL REFERENCES project,
        uuid uuid NOT NULL,
        url text NOT NULL CHECK (length(url) BETWEEN 1 AND 2000),
        description text NOT NULL,
        events text[] COLLATE "C" NOT NULL CHECK (cardinality(events) > 0),
        wants_documents boolean NOT NULL,
        enabled boolean NOT NULL DEFAULT true,
        disabled_reason text COLLATE "C",
        secret bytea NOT NULL,
        old_secret bytea,
        old_secret_until timestamptz,
        cursor bigint NOT NULL,
        failures integer NOT NULL DEFAULT 0,
        failing_since timestamptz,
        paused_until timestamptz,
        lease uuid,
        leased_until timestamptz,
        wake_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (project_id, uuid),
        CHECK (enabled = (disabled_reason IS NULL)),
        CHECK ((old_secret IS NULL) = (old_secret_until IS NULL))
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE TABLE webhook_delivery (
        project_id integer NOT NULL,
        uuid uuid NOT NULL,
        webhook_uuid uuid NOT NULL,
        message_id text COLLATE "C" NOT NULL,
        version bigint,
        type text COLLATE "C" NOT NULL,
        body text NOT NULL,
        status text COLLATE "C" NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
        attempts integer NOT NULL DEFAULT 0,
        next_attempt_at timestamptz DEFAULT now(),
        retry_until timestamptz NOT NULL,
        last_attempt_at timestamptz,
        response_code integer,
        duration integer,
        error text,
        response_text text,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (project_id, uuid),
        FOREIGN KEY (project_id, webhook_uuid) REFERENCES webhook ON DELETE CASCADE,
        UNIQUE (project_id, webhook_uuid, version),
        CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL))
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX webhook_delivery_log ON webhook_delivery (project_id, webhook_uuid, created_at, uuid)",
    """
    CREATE INDEX webhook_delivery_pending ON webhook_delivery (project_id, webhook_uuid, next_attempt_at)
        WHERE status = 'pending'
    """,
    "CREATE INDEX webhook_delivery_due ON webhook_delivery (next_attempt_at) WHERE status = 'pending'",
    "CREATE INDEX webhook_delivery_age ON webhook_delivery (created_at)",
    "ALTER TABLE webhook ALTER COLUMN project_id SET STATISTICS 0",
    "ALTER TABLE webhook_delivery ALTER COLUMN project_id SET STATISTICS 0",
    """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strata_app') THEN
            GRANT SELECT, INSERT, UPDATE, DELETE ON webhook, webhook_delivery TO strata_app;
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
