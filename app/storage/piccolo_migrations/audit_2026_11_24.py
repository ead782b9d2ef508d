"""The audit trail, which can only be added to, and answers kept for repeated requests.

A trigger numbers the trail's rows per project, without gaps and in the order of commits, and chains each to the
one before by a hash. It runs as the schema's owner, so that the application needs no right to touch the heads of
the chains.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T12:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Audit trail and idempotency keys"

STATEMENTS = (
    """
    CREATE TABLE audit_head (
        project_id integer PRIMARY KEY CHECK (project_id >= 0),
        number bigint NOT NULL,
        at timestamptz NOT NULL,
        hash bytea NOT NULL
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE audit (
        project_id integer NOT NULL CHECK (project_id >= 0),
        number bigint NOT NULL,
        created_at timestamptz NOT NULL,
        operation text COLLATE "C" NOT NULL CHECK (length(operation) BETWEEN 1 AND 64),
        refusal text COLLATE "C",
        account_uuid uuid,
        key_uuid uuid,
        actor text,
        door text COLLATE "C" NOT NULL,
        address text COLLATE "C",
        request_id text COLLATE "C",
        object_type text COLLATE "C",
        object_id text COLLATE "C",
        object_name text,
        env_uuid uuid,
        first_version bigint,
        last_version bigint,
        before jsonb,
        after jsonb,
        hash bytea NOT NULL,
        PRIMARY KEY (project_id, number),
        CHECK ((first_version IS NULL) = (last_version IS NULL) AND first_version <= last_version),
        CHECK ((object_type IS NULL) = (object_id IS NULL))
    )
    """,
    "CREATE INDEX audit_time ON audit (project_id, created_at)",
    "CREATE INDEX audit_object ON audit (project_id, object_id, number)",
    "CREATE INDEX audit_principal ON audit (project_id, coalesce(key_uuid, account_uuid), number)",
    """
    CREATE INDEX audit_operation ON audit (project_id, operation, number) WHERE operation <> 'write_document'
    """,
    "CREATE INDEX audit_refused ON audit (project_id, operation, created_at) WHERE refusal IS NOT NULL",
    # As for all tables of projects: one that the statistics do not know yet must not look like one row.
    "ALTER TABLE audit ALTER COLUMN project_id SET STATISTICS 0",
    # A composite's text is quoted, so that no two rows have the same; a time's text would go by the session.
    """
    CREATE FUNCTION audit_hash(previous bytea, number bigint, at timestamptz, entry audit) RETURNS bytea
        LANGUAGE sql STABLE
    AS $$
        SELECT sha256(previous || convert_to(ROW(
            entry.project_id, number, extract(epoch FROM at), entry.operation, entry.refusal, entry.account_uuid,
            entry.key_uuid, entry.actor, entry.door, entry.address, entry.request_id, entry.object_type,
            entry.object_id, entry.object_name, entry.env_uuid, entry.first_version, entry.last_version,
            entry.before, entry.after)::text, 'UTF8'))
    $$
    """,
    # The time is taken where the head is locked, so that times have the order of the numbers.
    """
    CREATE FUNCTION audit_chain() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, public, pg_temp
    AS $$
    BEGIN
        LOOP
            UPDATE audit_head head SET (number, at, hash) =
                (SELECT head.number + 1, now.at, audit_hash(head.hash, head.number + 1, now.at, NEW)
                 FROM (SELECT clock_timestamp() AS at) AS now)
                WHERE project_id = NEW.project_id
                RETURNING number, at, hash INTO NEW.number, NEW.created_at, NEW.hash;
            EXIT WHEN FOUND;
            INSERT INTO audit_head VALUES (NEW.project_id, 0, clock_timestamp(), '') ON CONFLICT DO NOTHING;
        END LOOP;
        RETURN NEW;
    END
    $$
    """,
    "CREATE TRIGGER audit_chain BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_chain()",
    """
    CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting_history()
    """,
    """
    CREATE TABLE idempotency (
        principal_uuid uuid NOT NULL,
        operation text COLLATE "C" NOT NULL,
        key_hash bytea NOT NULL,
        fingerprint bytea NOT NULL,
        project_id integer REFERENCES project,
        answer text,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (principal_uuid, operation, key_hash)
    )
    """,
    "CREATE INDEX idempotency_expiry ON idempotency (expires_at)",
    """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strata_app') THEN
            GRANT SELECT, INSERT ON audit TO strata_app;
            GRANT SELECT ON audit_head TO strata_app;
            GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency TO strata_app;
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
