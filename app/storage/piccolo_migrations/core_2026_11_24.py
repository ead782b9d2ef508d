"""Accounts, projects, environments, generations, entities, layers and changes.

Raw SQL because Piccolo has no composite keys, partial indexes or deferrable constraints; ``app/storage/tables.py``
describes the same tables, and a test keeps the two equal.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T09:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Accounts, projects, environments, generations, entities, layers and changes"

# A project that the statistics do not know yet would be taken for one row, and then any index that starts with
# project_id looks as good as the right one: a lookup by key reads the whole project. Without statistics of the
# column, a project is taken for a fixed share of the table.
_SCOPED = ("member", "api_key", "environment", "generation", "entity", "layer", "change", "manifest")

STATEMENTS = (
    """
    CREATE TABLE account (
        uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        email text COLLATE "C" NOT NULL UNIQUE CHECK (email = lower(email)),
        password_hash text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE signing_key (
        kid text COLLATE "C" PRIMARY KEY,
        private_pem text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE project (
        project_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
        plan text NOT NULL CHECK (plan IN ('free', 'starter', 'basic', 'pro', 'premium', 'enterprise')),
        production_uuid uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE project_counter (
        project_id integer PRIMARY KEY REFERENCES project,
        version bigint NOT NULL DEFAULT 0 CHECK (version >= 0)
    )
    """,
    """
    CREATE TABLE member (
        project_id integer NOT NULL REFERENCES project,
        account_uuid uuid NOT NULL REFERENCES account,
        role text NOT NULL CHECK (role IN ('owner', 'admin', 'editor', 'viewer')),
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (project_id, account_uuid)
    )
    """,
    "CREATE INDEX member_of_account ON member (account_uuid, project_id)",
    """
    CREATE TABLE api_key (
        project_id integer NOT NULL REFERENCES project,
        uuid uuid NOT NULL DEFAULT gen_random_uuid(),
        name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
        prefix text COLLATE "C" NOT NULL UNIQUE,
        secret_hash bytea NOT NULL,
        scopes text[] NOT NULL CHECK (scopes <@ ARRAY['read', 'write', 'promote', 'evaluate', 'admin']),
        created_by uuid NOT NULL REFERENCES account,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz,
        revoked_at timestamptz,
        PRIMARY KEY (project_id, uuid)
    )
    """,
    """
    CREATE TABLE environment (
        project_id integer NOT NULL REFERENCES project,
        uuid uuid NOT NULL,
        name text COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 200 AND name IS NFC NORMALIZED),
        env_type text NOT NULL CHECK (env_type IN ('production', 'sandbox', 'staging', 'ab_test', 'feature')),
        status text NOT NULL
            CHECK (status IN ('draft', 'validating', 'ready', 'rolling_out', 'live', 'archived')),
        head_uuid uuid NOT NULL,
        pinned_uuid uuid,
        parent_env_uuid uuid,
        traffic_weight smallint NOT NULL DEFAULT 0 CHECK (traffic_weight BETWEEN 0 AND 100),
        rollout_steps jsonb NOT NULL CHECK (jsonb_typeof(rollout_steps) = 'array'),
        segments jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(segments) = 'array'),
        ab_seed text NOT NULL CHECK (ab_seed <> ''),
        shadow_writes boolean NOT NULL DEFAULT false,
        shadow_overwrite boolean NOT NULL DEFAULT false,
        expires_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (project_id, uuid),
        FOREIGN KEY (project_id, parent_env_uuid) REFERENCES environment (project_id, uuid),
        CHECK (env_type <> 'production' OR (status = 'live' AND parent_env_uuid IS NULL AND expires_at IS NULL))
    )
    """,
    """
    CREATE UNIQUE INDEX environment_living_name ON environment (project_id, name) WHERE status <> 'archived'
    """,
    """
    CREATE UNIQUE INDEX environment_one_production ON environment (project_id) WHERE env_type = 'production'
    """,
    """
    CREATE UNIQUE INDEX environment_one_rolling_out ON environment (project_id) WHERE status = 'rolling_out'
    """,
    "CREATE INDEX environment_parent ON environment (project_id, parent_env_uuid)",
    """
    CREATE TABLE generation (
        project_id integer NOT NULL REFERENCES project,
        uuid uuid NOT NULL,
        number integer NOT NULL CHECK (number >= 0),
        kind text NOT NULL CHECK (kind IN ('line', 'checkpoint', 'pin', 'backup')),
        env_uuid uuid NOT NULL,
        parent_uuid uuid,
        ancestors uuid[] NOT NULL,
        path uuid[] NOT NULL,
        filter_uuid uuid,
        sealed boolean NOT NULL,
        label text CHECK (length(label) <= 200),
        entity_count bigint NOT NULL DEFAULT 0,
        user_count bigint NOT NULL DEFAULT 0,
        version bigint NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        created_by text NOT NULL,
        PRIMARY KEY (project_id, uuid),
        FOREIGN KEY (project_id, env_uuid) REFERENCES environment (project_id, uuid)
            DEFERRABLE INITIALLY DEFERRED,
        FOREIGN KEY (project_id, parent_uuid) REFERENCES generation (project_id, uuid),
        CHECK (ancestors[cardinality(ancestors)] = uuid AND path[cardinality(path)] = uuid),
        CHECK (path <@ ancestors),
        CHECK (kind = 'line' OR (sealed AND cardinality(path) = 1)),
        CHECK (parent_uuid IS NOT NULL OR (number = 0 AND kind = 'line' AND NOT sealed))
    )
    """,
    "CREATE UNIQUE INDEX generation_one_root ON generation (project_id) WHERE parent_uuid IS NULL",
    "CREATE INDEX generation_parent ON generation (project_id, parent_uuid)",
    "CREATE INDEX generation_environment ON generation (project_id, env_uuid, version)",
    "CREATE INDEX generation_kind ON generation (project_id, kind, version)",
    """
    ALTER TABLE project ADD FOREIGN KEY (project_id, production_uuid)
        REFERENCES environment (project_id, uuid) DEFERRABLE INITIALLY DEFERRED
    """,
    """
    ALTER TABLE environment
        ADD FOREIGN KEY (project_id, head_uuid) REFERENCES generation (project_id, uuid)
            DEFERRABLE INITIALLY DEFERRED,
        ADD FOREIGN KEY (project_id, pinned_uuid) REFERENCES generation (project_id, uuid)
            DEFERRABLE INITIALLY DEFERRED
    """,
    """
    CREATE TABLE entity (
        project_id integer NOT NULL REFERENCES project,
        uuid uuid NOT NULL,
        kind text COLLATE "C" NOT NULL CHECK (length(kind) BETWEEN 1 AND 64),
        key text COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 256),
        version bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (project_id, uuid),
        UNIQUE (project_id, kind, key),
        CHECK (kind <> 'project' OR key = 'project')
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE TABLE layer (
        project_id integer NOT NULL,
        entity_uuid uuid NOT NULL,
        generation_uuid uuid NOT NULL,
        uuid uuid NOT NULL,
        parent_uuid uuid,
        form text NOT NULL CHECK (form IN ('whole', 'patch', 'tombstone')),
        data jsonb,
        version bigint NOT NULL,
        PRIMARY KEY (project_id, entity_uuid, generation_uuid),
        UNIQUE (project_id, uuid),
        FOREIGN KEY (project_id, entity_uuid) REFERENCES entity (project_id, uuid),
        FOREIGN KEY (project_id, generation_uuid) REFERENCES generation (project_id, uuid),
        FOREIGN KEY (project_id, parent_uuid) REFERENCES layer (project_id, uuid)
            ON DELETE SET NULL (parent_uuid),
        CHECK ((form = 'tombstone') = (data IS NULL)),
        CHECK (form <> 'patch'
               OR (jsonb_typeof(data -> 'set') = 'object' AND jsonb_typeof(data -> 'unset') = 'array'))
    )
    """,
    "CREATE INDEX layer_generation ON layer (project_id, generation_uuid, entity_uuid)",
    "CREATE INDEX layer_parent ON layer (project_id, parent_uuid) WHERE parent_uuid IS NOT NULL",
    """
    CREATE TABLE change (
        project_id integer NOT NULL,
        version bigint NOT NULL,
        env_uuid uuid NOT NULL,
        generation_uuid uuid NOT NULL,
        entity_uuid uuid NOT NULL,
        entity_version bigint NOT NULL,
        forward jsonb NOT NULL,
        reverse jsonb NOT NULL,
        layer_reverse jsonb,
        origin text NOT NULL
            CHECK (origin IN ('write', 'fork', 'promotion', 'shadow', 'revert', 'restore')),
        actor text NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (project_id, version),
        FOREIGN KEY (project_id, env_uuid) REFERENCES environment (project_id, uuid),
        FOREIGN KEY (project_id, generation_uuid) REFERENCES generation (project_id, uuid),
        FOREIGN KEY (project_id, entity_uuid) REFERENCES entity (project_id, uuid)
    )
    """,
    "CREATE INDEX change_entity ON change (project_id, entity_uuid, version)",
    "CREATE INDEX change_environment ON change (project_id, env_uuid, version)",
    "CREATE INDEX change_generation ON change (project_id, generation_uuid, entity_uuid, version)",
    "CREATE INDEX change_time ON change (project_id, created_at)",
    """
    CREATE FUNCTION refuse_rewriting_history() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END
    $$
    """,
    """
    CREATE TRIGGER change_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON change
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting_history()
    """,
    """
    CREATE TABLE manifest (
        project_id integer NOT NULL,
        uuid uuid NOT NULL,
        env_uuid uuid NOT NULL,
        generation_uuid uuid NOT NULL,
        source_generation_uuid uuid NOT NULL,
        forked_count bigint NOT NULL,
        user_filter jsonb,
        actor text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (project_id, uuid),
        FOREIGN KEY (project_id, env_uuid) REFERENCES environment (project_id, uuid),
        FOREIGN KEY (project_id, generation_uuid) REFERENCES generation (project_id, uuid),
        FOREIGN KEY (project_id, source_generation_uuid) REFERENCES generation (project_id, uuid)
    )
    """,
    *(f"ALTER TABLE {table} ALTER COLUMN project_id SET STATISTICS 0" for table in _SCOPED),
    """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strata_app') THEN
            GRANT USAGE ON SCHEMA public TO strata_app;
            GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO strata_app;
            REVOKE UPDATE, DELETE ON change, manifest FROM strata_app;
            REVOKE INSERT, UPDATE, DELETE ON migration FROM strata_app;
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
