"""Filters of forks by rules in groups: their values can be taken out as those of plain rules can."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T23:13:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Filters of forks by rules in groups"

STATEMENTS = (
    """
    CREATE FUNCTION rules_masked(old jsonb, masked jsonb) RETURNS boolean
        LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, public, pg_temp
    AS $$
    BEGIN
        IF jsonb_typeof(old) IS DISTINCT FROM jsonb_typeof(masked) THEN
            RETURN false;
        ELSIF jsonb_typeof(old) = 'array' THEN
            RETURN jsonb_array_length(old) = jsonb_array_length(masked) AND NOT EXISTS (
                SELECT FROM jsonb_array_elements(old) WITH ORDINALITY a (rule, place)
                JOIN jsonb_array_elements(masked) WITH ORDINALITY b (rule, place) USING (place)
                WHERE NOT rules_masked(a.rule, b.rule));
        ELSIF jsonb_typeof(old) <> 'object' THEN
            RETURN old = masked;
        ELSIF old ? 'field' THEN
            RETURN old - 'value' = masked - 'value'
                AND masked -> 'value' IN (old -> 'value', '{"$protected": true}');
        END IF;
        RETURN NOT EXISTS (
            SELECT FROM jsonb_each(old) a FULL JOIN jsonb_each(masked) b USING (key)
            WHERE a.value IS NULL OR b.value IS NULL OR NOT rules_masked(a.value, b.value));
    END
    $$
    """,
    """
    CREATE OR REPLACE FUNCTION mask_manifest(project integer, id uuid, masked jsonb) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    AS $$
    DECLARE
        old jsonb;
    BEGIN
        SELECT user_filter INTO STRICT old FROM manifest WHERE manifest.project_id = project AND manifest.uuid = id;
        IF old - 'rules' IS DISTINCT FROM masked - 'rules'
            OR rules_masked(old -> 'rules', masked -> 'rules') IS NOT TRUE THEN
            RAISE EXCEPTION 'only values can be taken out of a filter' USING ERRCODE = 'restrict_violation';
        END IF;
        UPDATE manifest SET user_filter = masked WHERE manifest.project_id = project AND manifest.uuid = id;
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
