"""The database's own part: tables as declared, constraints that refuse, history that stays."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest
from piccolo.table import Table

from app.domain.model import Actor, Project
from app.services import documents, environments, projects
from app.services.branching import ForkOptions
from app.storage import migrations, tables
from app.storage.piccolo_app import APP_CONFIG
from tests.conftest import Database

TYPES = {
    "UUID": "uuid",
    "Text": "text",
    "Timestamptz": "timestamp with time zone",
    "Serial": "integer",
    "Integer": "integer",
    "BigInt": "bigint",
    "BigSerial": "bigint",
    "SmallInt": "smallint",
    "Boolean": "boolean",
    "JSONB": "jsonb",
    "Bytea": "bytea",
    "Array": "ARRAY",
}


@pytest.fixture
async def owner_connection(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection of the schema's owner."""
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


@pytest.mark.parametrize("table", APP_CONFIG.table_classes, ids=lambda table: table.__name__)
async def test_tables_are_as_declared(
    owner_connection: "asyncpg.Connection[asyncpg.Record]", table: type[Table]
) -> None:
    rows = await owner_connection.fetch(
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = $1",
        table._meta.tablename,
    )
    found = {row["column_name"]: (row["data_type"], row["is_nullable"] == "YES") for row in rows}
    declared = {column._meta.name: (TYPES[type(column).__name__], column._meta.null) for column in table._meta.columns}
    assert found == declared


async def test_every_table_but_those_of_accounts_starts_with_its_project(
    owner_connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    rows = await owner_connection.fetch(
        "SELECT relname, attname FROM pg_index JOIN pg_class ON pg_class.oid = indrelid"
        " JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]"
        " WHERE indisprimary AND relnamespace = 'public'::regnamespace AND relname <> 'migration'"
    )
    others = {row["relname"] for row in rows if row["attname"] != "project_id"}
    without = {
        tables.Account,
        tables.ExternalIdentity,
        tables.SigningKey,
        tables.LoginSession,
        tables.RevokedToken,
        tables.LoginAttempt,
        tables.FamiliarAddress,
        tables.Idempotency,
    }
    assert others == {table._meta.tablename for table in without}


async def _refused(connection: "asyncpg.Connection[asyncpg.Record]", statement: str, *arguments: object) -> str:
    with pytest.raises(asyncpg.PostgresError) as caught:
        async with connection.transaction():
            await connection.execute(statement, *arguments)
    return type(caught.value).__name__


async def test_constraints_refuse_what_the_rules_forbid(
    owner_connection: "asyncpg.Connection[asyncpg.Record]", actor: Actor, project: Project
) -> None:
    other = await projects.create(actor, "Other")
    made = [await environments.fork(actor, project.id, ForkOptions(name)) for name in ("one", "two")]
    uuids = [fork.environment.uuid for fork in made]
    update = "UPDATE environment SET {} WHERE project_id = $1 AND uuid = $2"

    async def refused(change: str, uuid: UUID) -> str:
        return await _refused(owner_connection, update.format(change), project.id, uuid)

    second_production = "env_type = 'production', status = 'live', parent_env_uuid = NULL, expires_at = NULL"
    assert await refused(second_production, uuids[0]) == "UniqueViolationError"
    assert await refused("name = 'two'", uuids[0]) == "UniqueViolationError"
    assert await refused("traffic_weight = 101", uuids[0]) == "CheckViolationError"
    assert await refused("status = 'archived'", project.production_uuid) == "CheckViolationError"
    assert await refused("name = E'e\\u0301'", uuids[0]) == "CheckViolationError"
    await owner_connection.execute(update.format("status = 'rolling_out'"), project.id, uuids[0])
    assert await refused("status = 'rolling_out'", uuids[1]) == "UniqueViolationError"
    layer = (
        "INSERT INTO layer (project_id, entity_uuid, generation_uuid, uuid, form, data, version)"
        " VALUES ($1, $2, $3, gen_random_uuid(), 'whole', '{}', 1)"
    )
    written = await documents.put(actor, project.id, None, "page", "a", {})
    entity = written.document.entity.uuid
    foreign = await documents.put(actor, other.id, None, "page", "a", {})
    assert await _refused(owner_connection, layer, other.id, entity, foreign.document.generation_uuid) == (
        "ForeignKeyViolationError"
    )
    assert (
        await _refused(owner_connection, layer, project.id, entity, foreign.document.generation_uuid)
        == "ForeignKeyViolationError"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE change SET actor = 'x'",
        "DELETE FROM change",
        "TRUNCATE change",
        "DELETE FROM manifest",
        "UPDATE audit SET actor = 'x'",
        "DELETE FROM audit",
        "TRUNCATE audit",
    ],
)
async def test_history_cannot_be_rewritten(database: Database, project: Project, statement: str) -> None:
    for dsn in (database.owner_dsn, database.app_dsn):
        connection = await asyncpg.connect(dsn)
        try:
            if statement.endswith("manifest") and dsn == database.owner_dsn:
                continue
            with pytest.raises((asyncpg.RestrictViolationError, asyncpg.InsufficientPrivilegeError)):
                await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture
async def empty_dsn(database: Database) -> AsyncIterator[str]:
    """A new database without tables; only on a server that lets one be made."""
    url = os.environ.get("STRATA_TEST_DATABASE_URL")
    dsn = url or database.owner_dsn.replace("strata_owner@", "postgres@")
    name = f"strata_test_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(dsn, database="postgres")
    await connection.execute(f"CREATE DATABASE {name}")
    before, _, after = dsn.partition("?")
    yield f"{before.rsplit('/', 1)[0]}/{name}" + (f"?{after}" if after else "")
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


MIGRATE = "import asyncio, sys; from app.storage import migrations; print(asyncio.run(migrations.migrate(sys.argv[1])))"


async def test_processes_that_migrate_at_once_all_succeed(empty_dsn: str) -> None:
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", MIGRATE, empty_dsn, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    said = await asyncio.gather(*(process.communicate() for process in started))
    assert [process.returncode for process in started] == [0] * 4, said
    assert await migrations.missing_migrations(empty_dsn) == []
    connection = await asyncpg.connect(empty_dsn)
    names = await connection.fetch("SELECT name FROM migration")
    await connection.close()
    assert [row["name"] for row in names] == migrations.known_migrations()


async def test_a_newer_database_is_refused_in_words(empty_dsn: str) -> None:
    await migrations.migrate(empty_dsn)
    connection = await asyncpg.connect(empty_dsn)
    await connection.execute("INSERT INTO migration (name, app_name) VALUES ('2999-01-01T00:00:00:000000', 'strata')")
    await connection.close()
    with pytest.raises(migrations.MigrationFailed, match="newer Strata"):
        await migrations.migrate(empty_dsn)


FIRST = (
    "import asyncio, sys; from piccolo_conf import DB;"
    " from piccolo.apps.migrations.commands.forwards import run_forwards;"
    " DB.config = {'dsn': sys.argv[1]}; asyncio.run(run_forwards('strata', '2026-11-24T09:00:00:000000'))"
)


async def test_keys_of_the_first_version_do_not_outlive_it(empty_dsn: str) -> None:
    made = await asyncio.create_subprocess_exec(sys.executable, "-c", FIRST, empty_dsn, stdout=asyncio.subprocess.PIPE)
    await made.communicate()
    assert made.returncode == 0
    connection = await asyncpg.connect(empty_dsn)
    await connection.execute("INSERT INTO signing_key (kid, private_pem) VALUES ('k', 'PEM')")
    account = await connection.fetchval("INSERT INTO account (email, password_hash) VALUES ('a@b', 'x') RETURNING uuid")
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(
        "INSERT INTO project (name, plan, production_uuid) VALUES ('Shop', 'pro', gen_random_uuid());"
    )
    await connection.execute(
        "INSERT INTO api_key (project_id, name, prefix, secret_hash, scopes, created_by)"
        " VALUES (1, 'old', 'strata_1', sha256('x'), '{read}', $1)",
        account,
    )
    await connection.execute("SET session_replication_role = origin")
    assert await migrations.migrate(empty_dsn) == migrations.known_migrations()[1:]
    assert await connection.fetchval("SELECT count(*) FROM signing_key") == 0
    assert await connection.fetchval("SELECT revoked_at IS NOT NULL FROM api_key")
    assert await connection.fetchval("SELECT email FROM account") == "a@b"
    await connection.close()
