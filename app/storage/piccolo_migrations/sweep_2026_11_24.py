"""Taking protected values out of what releases have made of documents; nothing else of that can be changed."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-24T22:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Protected values of releases"

STATEMENTS = (
    """
    CREATE FUNCTION seal_release_entity(
        project integer, release_id uuid, entity_id uuid, new_before jsonb, new_after jsonb, referred uuid[]
    ) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    DECLARE
        old release_entity;
        known numeric[];
    BEGIN
        SELECT * INTO STRICT old FROM release_entity touched WHERE touched.project_id = project
            AND touched.release_uuid = release_id AND touched.entity_uuid = entity_id;
        known := ARRAY(SELECT ('1' || repeat('0', 309))::numeric + uuid_number(secret.uuid) FROM secret
                       WHERE secret.project_id = project AND secret.entity_uuid = entity_id
                       AND secret.uuid = ANY (referred));
        IF (old.before IS NULL) <> (new_before IS NULL) OR (old.after IS NULL) <> (new_after IS NULL)
            OR (old.before IS NOT NULL AND NOT differs_by_references(old.before, new_before, known))
            OR (old.after IS NOT NULL AND NOT differs_by_references(old.after, new_after, known)) THEN
            RAISE EXCEPTION 'only protected values can be taken out of a release' USING ERRCODE = 'restrict_violation';
        END IF;
        UPDATE release_entity touched SET before = new_before, after = new_after WHERE touched.project_id = project
            AND touched.release_uuid = release_id AND touched.entity_uuid = entity_id;
    END
    $$
    """,
    """
    DO $$
    BEGIN
        REVOKE EXECUTE ON FUNCTION seal_release_entity FROM PUBLIC;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'strata_app') THEN
            GRANT EXECUTE ON FUNCTION seal_release_entity TO strata_app;
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
