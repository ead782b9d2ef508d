"""Sealed values of protected fields, the lists that say what is protected, and how far they have been swept.

Rows of the history that was written before its place was protected can be changed in one way only: a function of
the schema's owner puts references to sealed values where the values stood, and refuses everything else.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T21:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Protected fields"

_SCOPED = ("protection", "data_key", "secret", "protected_miss")

STATEMENTS = (
    """
    ALTER TABLE project_counter ADD COLUMN protection bigint NOT NULL DEFAULT 0 CHECK (protection >= 0)
    """,
    """
    CREATE TABLE protection (
        project_id integer NOT NULL,
        generation_uuid uuid NOT NULL,
        globs text[] COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        PRIMARY KEY (project_id, generation_uuid),
        FOREIGN KEY (project_id, generation_uuid) REFERENCES generation (project_id, uuid) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE data_key (
        project_id integer NOT NULL REFERENCES project,
        number integer NOT NULL,
        wrapped bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (project_id, number)
    )
    """,
    """
    CREATE TABLE secret (
        project_id integer NOT NULL,
        uuid uuid NOT NULL,
        entity_uuid uuid NOT NULL,
        env_uuid uuid NOT NULL,
        path text COLLATE "C" NOT NULL,
        key_number integer NOT NULL,
        sealed bytea NOT NULL,
        digest bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (project_id, uuid),
        FOREIGN KEY (project_id, entity_uuid) REFERENCES entity (project_id, uuid),
        FOREIGN KEY (project_id, env_uuid) REFERENCES environment (project_id, uuid),
        FOREIGN KEY (project_id, key_number) REFERENCES data_key (project_id, number)
    )
    """,
    "CREATE INDEX secret_key ON secret (project_id, key_number, uuid)",
    """
    CREATE TABLE protected_miss (
        project_id integer NOT NULL REFERENCES project,
        id bigint GENERATED ALWAYS AS IDENTITY,
        field_hash bytea NOT NULL,
        principal_uuid uuid NOT NULL,
        missed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (project_id, id)
    )
    """,
    "CREATE INDEX protected_miss_field ON protected_miss (project_id, field_hash, missed_at)",
    """
    CREATE TABLE protection_sweep (
        project_id integer PRIMARY KEY REFERENCES project,
        list_version bigint NOT NULL,
        stage text COLLATE "C" NOT NULL,
        floor bigint NOT NULL,
        started bigint NOT NULL,
        depth integer,
        generation_uuid uuid,
        entity_uuid uuid,
        change_version bigint NOT NULL
    )
    """,
    *(f"ALTER TABLE {table} ALTER COLUMN project_id SET STATISTICS 0" for table in _SCOPED),
    # Lists that stood in project documents before Strata knew what they mean.
    """
    WITH listed AS (
        SELECT layer.project_id, layer.generation_uuid, CASE layer.form
            WHEN 'whole' THEN layer.data #> '{config,protected_fields}'
            ELSE coalesce(layer.data #> '{set,/config/protected_fields}',
                          layer.data #> '{set,/config,protected_fields}')
            END AS globs
        FROM layer JOIN entity ON entity.project_id = layer.project_id AND entity.uuid = layer.entity_uuid
        WHERE entity.kind = 'project'
    )
    INSERT INTO protection (project_id, generation_uuid, globs, version)
    SELECT project_id, generation_uuid,
        ARRAY(SELECT glob #>> '{}' FROM jsonb_array_elements(globs) glob WHERE jsonb_typeof(glob) = 'string'), 1
    FROM listed WHERE jsonb_typeof(globs) = 'array' AND globs <> '[]'
    """,
    "UPDATE project_counter SET protection = 1 WHERE project_id IN (SELECT project_id FROM protection)",
    """
    CREATE FUNCTION uuid_number(id uuid) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
        SELECT sum(('x00000000' || substr(replace(id::text, '-', ''), 1 + 8 * part, 8))::bit(64)::bigint::numeric
                   * (4294967296::numeric ^ (3 - part)))
        FROM generate_series(0, 3) part
    $$
    """,
    # A reference has more digits than a number of a document may have (app/domain/protected.py).
    """
    CREATE FUNCTION is_reference(value jsonb, known numeric[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
        SELECT CASE WHEN jsonb_typeof(value) = 'object' AND jsonb_typeof(value -> '$protected') = 'number'
            THEN value - '$protected' = '{}' AND (value ->> '$protected')::numeric = ANY (known) ELSE false END
    $$
    """,
    """
    CREATE FUNCTION differs_by_references(old jsonb, new jsonb, known numeric[]) RETURNS boolean
        LANGUAGE plpgsql IMMUTABLE
    AS $$
    DECLARE
        name text;
    BEGIN
        IF old::text = new::text OR is_reference(new, known) THEN
            RETURN true;
        END IF;
        IF jsonb_typeof(old) = 'array' AND jsonb_typeof(new) = 'array' THEN
            RETURN NOT EXISTS (
                SELECT FROM jsonb_array_elements(new) item WHERE NOT EXISTS (
                    SELECT FROM jsonb_array_elements_text(old) former WHERE starts_with(former, item #>> '{}')));
        END IF;
        IF jsonb_typeof(old) IS DISTINCT FROM 'object' OR jsonb_typeof(new) IS DISTINCT FROM 'object' THEN
            RETURN false;
        END IF;
        FOR name IN SELECT jsonb_object_keys(old) LOOP
            IF new ? name THEN
                IF NOT differs_by_references(old -> name, new -> name, known) THEN
                    RETURN false;
                END IF;
            ELSIF NOT EXISTS (SELECT FROM jsonb_each(new) member
                              WHERE starts_with(name, member.key) AND is_reference(member.value, known)) THEN
                RETURN false;
            END IF;
        END LOOP;
        RETURN NOT EXISTS (SELECT FROM jsonb_each(new) member
                           WHERE NOT old ? member.key AND NOT is_reference(member.value, known));
    END
    $$
    """,
    """
    CREATE FUNCTION refuse_rewriting_changes() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND current_setting('strata.sealing', true) = 'on' THEN
            RETURN NULL;
        END IF;
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END
    $$
    """,
    "DROP TRIGGER change_append_only ON change",
    """
    CREATE TRIGGER change_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON change
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting_changes()
    """,
    """
    CREATE FUNCTION seal_change(
        project integer, number bigint, new_forward jsonb, new_reverse jsonb, new_layer_reverse jsonb, referred uuid[]
    ) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    DECLARE
        old change;
        known numeric[];
    BEGIN
        SELECT * INTO STRICT old FROM change WHERE change.project_id = project AND change.version = number;
        known := ARRAY(SELECT ('1' || repeat('0', 309))::numeric + uuid_number(secret.uuid) FROM secret
                       WHERE secret.project_id = project AND secret.entity_uuid = old.entity_uuid
                       AND secret.uuid = ANY (referred));
        IF NOT (differs_by_references(old.forward, new_forward, known)
                AND differs_by_references(old.reverse, new_reverse, known)
                AND (old.layer_reverse IS NULL) = (new_layer_reverse IS NULL)
                AND (old.layer_reverse IS NULL
                     OR differs_by_references(old.layer_reverse, new_layer_reverse, known))) THEN
            RAISE EXCEPTION 'only protected values can be taken out of a change' USING ERRCODE = 'restrict_violation';
        END IF;
        PERFORM set_config('strata.sealing', 'on', true);
        UPDATE change SET forward = new_forward, reverse = new_reverse, layer_reverse = new_layer_reverse
            WHERE change.project_id = project AND change.version = number;
        PERFORM set_config('strata.sealing', '', true);
    END
    $$
    """,
    """
    CREATE FUNCTION mask_manifest(project integer, id uuid, masked jsonb) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    AS $$
    DECLARE
        old jsonb;
    BEGIN
        SELECT user_filter INTO STRICT old FROM manifest WHERE manifest.project_id = project AND manifest.uuid = id;
        IF old - 'rules' IS DISTINCT FROM masked - 'rules'
            OR jsonb_array_length(old -> 'rules') IS DISTINCT FROM jsonb_array_length(masked -> 'rules')
            OR EXISTS (SELECT FROM jsonb_array_elements(old -> 'rules') WITH ORDINALITY a (rule, place)
                       JOIN jsonb_array_elements(masked -> 'rules') WITH ORDINALITY b (rule, place) USING (place)
                       WHERE a.rule - 'value' IS DISTINCT FROM b.rule - 'value'
                       OR b.rule -> 'value' NOT IN (a.rule -> 'value', '{"$protected": true}')) THEN
            RAISE EXCEPTION 'only values can be taken out of a filter' USING ERRCODE = 'restrict_violation';
        END IF;
        UPDATE manifest SET user_filter = masked WHERE manifest.project_id = project AND manifest.uuid = id;
    END
    $$
    """,
    """
    DO $$
    BEGIN
        REVOKE EXECUTE ON FUNCTION seal_change, mask_manifest FROM PUBLIC;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strata_app') THEN
            GRANT SELECT, INSERT, UPDATE, DELETE
                ON protection, data_key, secret, protected_miss, protection_sweep TO strata_app;
            GRANT EXECUTE ON FUNCTION seal_change, mask_manifest TO strata_app;
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
