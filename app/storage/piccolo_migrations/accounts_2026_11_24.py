"""Sessions, revoked tokens, identities at an external issuer, failed logins; keys that the master key protects.

What the first version stored in the clear cannot be kept: its signing keys are dropped (a new one is made at the
next start, so users log in again) and its API keys, hashed without a key, are revoked.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T13:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Sessions, revoked tokens, external identities, failed logins, sealed signing keys"

STATEMENTS = (
    "DELETE FROM signing_key",
    """
    ALTER TABLE signing_key
        DROP COLUMN private_pem,
        ADD COLUMN sealed_private bytea NOT NULL,
        ADD COLUMN signs_from timestamptz NOT NULL,
        ADD COLUMN retires_at timestamptz
    """,
    "UPDATE api_key SET revoked_at = now() WHERE revoked_at IS NULL",
    "ALTER TABLE api_key ADD COLUMN last_used_at timestamptz",
    "ALTER TABLE account ALTER COLUMN email DROP NOT NULL, ALTER COLUMN password_hash DROP NOT NULL",
    """
    CREATE TABLE external_identity (
        issuer text COLLATE "C" NOT NULL,
        subject text COLLATE "C" NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
        account_uuid uuid NOT NULL REFERENCES account,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (issuer, subject)
    )
    """,
    """
    CREATE TABLE login_session (
        uuid uuid PRIMARY KEY,
        account_uuid uuid NOT NULL REFERENCES account,
        number integer NOT NULL CHECK (number > 0),
        secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
        created_at timestamptz NOT NULL DEFAULT now(),
        refreshed_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX login_session_account ON login_session (account_uuid, created_at)",
    """
    CREATE TABLE revoked_token (
        uuid uuid PRIMARY KEY,
        revoked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX revoked_token_time ON revoked_token (revoked_at)",
    "CREATE INDEX revoked_token_end ON revoked_token (expires_at)",
    """
    CREATE TABLE login_attempt (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        email_hash bytea NOT NULL CHECK (octet_length(email_hash) = 16),
        address_hash bytea NOT NULL CHECK (octet_length(address_hash) = 16),
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        failed boolean NOT NULL DEFAULT false
    )
    """,
    "CREATE INDEX login_attempt_email ON login_attempt (email_hash, started_at)",
    "CREATE INDEX login_attempt_address ON login_attempt (address_hash, started_at)",
    "CREATE INDEX login_attempt_time ON login_attempt (started_at)",
    """
    CREATE TABLE familiar_address (
        email_hash bytea NOT NULL CHECK (octet_length(email_hash) = 16),
        address_hash bytea NOT NULL CHECK (octet_length(address_hash) = 16),
        seen_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (email_hash, address_hash)
    )
    """,
    """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strata_app') THEN
            GRANT SELECT, INSERT, UPDATE, DELETE
                ON external_identity, login_session, revoked_token, login_attempt, familiar_address TO strata_app;
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
