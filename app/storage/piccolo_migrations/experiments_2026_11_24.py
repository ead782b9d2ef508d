"""A/B tests: the tests, who was exposed, who converted, and the counts of both."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T23:21:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "A/B tests, exposures, results and their counts"

# As for all tables of projects: one that the statistics do not know yet must not look like one row.
_SCOPED = ("experiment", "experiment_exposure", "experiment_result", "experiment_tally")

STATEMENTS = (
    """
    CREATE TABLE experiment (
        project_id integer NOT NULL REFERENCES project,
        uuid uuid NOT NULL,
        env_a_uuid uuid NOT NULL,
        env_b_uuid uuid NOT NULL CHECK (env_b_uuid <> env_a_uuid),
        split_pct smallint NOT NULL CHECK (split_pct BETWEEN 0 AND 100),
        ab_seed text COLLATE "C" NOT NULL CHECK (length(ab_seed) BETWEEN 1 AND 200),
        metric text NOT NULL CHECK (length(metric) BETWEEN 1 AND 200),
        status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'stopped', 'completed')),
        winner text CHECK (winner IN ('A', 'B')),
        declared text CHECK (declared IN ('A', 'B')),
        promotion_uuid uuid,
        reason text CHECK (length(reason) BETWEEN 1 AND 2000),
        created_by text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ended_at timestamptz,
        PRIMARY KEY (project_id, uuid),
        FOREIGN KEY (project_id, env_a_uuid) REFERENCES environment (project_id, uuid),
        FOREIGN KEY (project_id, env_b_uuid) REFERENCES environment (project_id, uuid),
        FOREIGN KEY (project_id, promotion_uuid) REFERENCES promotion (project_id, uuid),
        CHECK ((status = 'active') = (ended_at IS NULL)),
        CHECK ((status = 'completed') = (winner IS NOT NULL)),
        CHECK (promotion_uuid IS NULL OR declared IS NOT NULL)
    )
    """,
    "CREATE INDEX experiment_active ON experiment (project_id, created_at, uuid) WHERE status = 'active'",
    """
    CREATE UNIQUE INDEX experiment_declaration ON experiment (project_id, promotion_uuid)
        WHERE promotion_uuid IS NOT NULL
    """,
    "CREATE INDEX experiment_env_a ON experiment (project_id, env_a_uuid)",
    "CREATE INDEX experiment_env_b ON experiment (project_id, env_b_uuid)",
    """
    CREATE TABLE experiment_exposure (
        project_id integer NOT NULL,
        test_uuid uuid NOT NULL,
        user_uuid text COLLATE "C" NOT NULL CHECK (length(user_uuid) BETWEEN 1 AND 256),
        variant text NOT NULL CHECK (variant IN ('A', 'B')),
        quarantined boolean NOT NULL DEFAULT false,
        exposed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (project_id, test_uuid, user_uuid),
        FOREIGN KEY (project_id, test_uuid) REFERENCES experiment (project_id, uuid)
    )
    """,
    """
    CREATE TABLE experiment_result (
        project_id integer NOT NULL,
        test_uuid uuid NOT NULL,
        user_uuid text COLLATE "C" NOT NULL,
        value numeric,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (project_id, test_uuid, user_uuid),
        FOREIGN KEY (project_id, test_uuid, user_uuid)
            REFERENCES experiment_exposure (project_id, test_uuid, user_uuid)
    )
    """,
    # A count is the sum over the shards of its test; those who write at once add to different ones. A shard alone
    # may be negative, for a user may be taken out by another than who was counted in.
    """
    CREATE TABLE experiment_tally (
        project_id integer NOT NULL,
        test_uuid uuid NOT NULL,
        shard smallint NOT NULL,
        variant text NOT NULL CHECK (variant IN ('A', 'B')),
        exposed bigint NOT NULL DEFAULT 0,
        converted bigint NOT NULL DEFAULT 0,
        exposures_repeated bigint NOT NULL DEFAULT 0,
        results_repeated bigint NOT NULL DEFAULT 0,
        quarantined bigint NOT NULL DEFAULT 0,
        valued bigint NOT NULL DEFAULT 0,
        value_sum numeric NOT NULL DEFAULT 0,
        value_squares numeric NOT NULL DEFAULT 0,
        PRIMARY KEY (project_id, test_uuid, shard, variant),
        FOREIGN KEY (project_id, test_uuid) REFERENCES experiment (project_id, uuid)
    ) WITH (fillfactor = 50)
    """,
    *(f"ALTER TABLE {table} ALTER COLUMN project_id SET STATISTICS 0" for table in _SCOPED),
    # Sides, split, seed and metric are what the users were dealt by: nobody changes them.
    """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strata_app') THEN
            GRANT SELECT, INSERT ON experiment, experiment_exposure, experiment_result, experiment_tally TO strata_app;
            GRANT UPDATE (status, winner, declared, promotion_uuid, reason, ended_at) ON experiment TO strata_app;
            GRANT UPDATE (quarantined) ON experiment_exposure TO strata_app;
            GRANT UPDATE ON experiment_tally TO strata_app;
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
