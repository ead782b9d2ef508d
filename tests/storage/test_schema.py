"""The database's own part: tables as declared, constraints that refuse, history that stays."""

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from pgqueuer.adapters.persistence.queries import Queries
from piccolo.columns import Array, Column
from piccolo.table import Table

from app.domain.model import Actor, Project
from app.services import documents, environments, projects
from app.services.branching import ForkOptions
from app.storage import tables
from app.storage.piccolo_app import APP_CONFIG
from tests.conftest import Database
from tests.services.waiting import Connection

QUEUE = {"pgqueuer", "pgqueuer_log", "pgqueuer_schedules", "pgqueuer_statistics"}
"""Tables that a library reads and writes, too."""

TYPES = {
    "UUID": "uuid",
    "Text": "text",
    "Timestamptz": "timestamptz",
    "Serial": "int4",
    "Integer": "int4",
    "BigInt": "int8",
    "BigSerial": "int8",
    "SmallInt": "int2",
    "Boolean": "bool",
    "JSONB": "jsonb",
    "Bytea": "bytea",
    "Numeric": "numeric",
    "DoublePrecision": "float8",
}


def _type_of(column: Column) -> str:
    if isinstance(column, Array):
        return f"_{_type_of(column.base_column)}"
    return TYPES[type(column).__name__]


@pytest.fixture
async def owner_connection(database: Database) -> AsyncIterator[Connection]:
    """A connection of the schema's owner."""
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


@pytest.mark.parametrize("table", APP_CONFIG.table_classes, ids=lambda table: table.__name__)
async def test_tables_are_as_declared(owner_connection: Connection, table: type[Table]) -> None:
    rows = await owner_connection.fetch(
        "SELECT column_name, udt_name, is_nullable FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = $1",
        table._meta.tablename,
    )
    found = {row["column_name"]: (row["udt_name"], row["is_nullable"] == "YES") for row in rows}
    declared = {column._meta.name: (_type_of(column), column._meta.null) for column in table._meta.columns}
    assert found == declared


async def test_every_table_is_declared(owner_connection: Connection) -> None:
    rows = await owner_connection.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    )
    declared = {table._meta.tablename for table in APP_CONFIG.table_classes}
    assert {row["table_name"] for row in rows} == declared | QUEUE | {"migration"}


async def test_the_queue_is_what_its_library_expects(owner_connection: Connection) -> None:
    planned = (await Queries.from_asyncpg_connection(owner_connection).plan_upgrade()).statements
    # Its trigger is left out on purpose; nothing else may be missing, or be otherwise.
    assert [statement.split()[:2] for statement in planned] == [["CREATE", "FUNCTION"], ["CREATE", "TRIGGER"]]


async def test_every_table_but_those_of_accounts_starts_with_its_project(
    owner_connection: Connection,
) -> None:
    rows = await owner_connection.fetch(
        "SELECT relname, attname FROM pg_index JOIN pg_class ON pg_class.oid = indrelid"
        " JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]"
        " WHERE indisprimary AND relnamespace = 'public'::regnamespace AND relname <> 'migration'"
    )
    others = {row["relname"] for row in rows if row["attname"] != "project_id"} - QUEUE
    without = {
        tables.Account,
        tables.ExternalIdentity,
        tables.SigningKey,
        tables.LoginSession,
        tables.RevokedToken,
        tables.LoginAttempt,
        tables.FamiliarAddress,
        tables.Idempotency,
        tables.RateBucket,
    }
    assert others == {table._meta.tablename for table in without}


async def _refused(
    connection: Connection, error: type[asyncpg.PostgresError], statement: str, *arguments: object
) -> None:
    with pytest.raises(error):
        async with connection.transaction():
            await connection.execute(statement, *arguments)


async def test_constraints_of_environments(owner_connection: Connection, actor: Actor, project: Project) -> None:
    made = [await environments.fork(actor, project.id, ForkOptions(name)) for name in ("one", "two", "old")]
    one, two, old = [fork.environment.uuid for fork in made]
    await environments.archive(actor, old)

    async def refused(change: str, uuid: UUID, error: type[asyncpg.PostgresError]) -> None:
        update = f"UPDATE environment SET {change} WHERE project_id = $1 AND uuid = $2"
        await _refused(owner_connection, error, update, project.id, uuid)

    second_production = "env_type = 'production', status = 'live', parent_env_uuid = NULL, expires_at = NULL"
    await refused(second_production, one, asyncpg.UniqueViolationError)
    await refused("name = 'two'", one, asyncpg.UniqueViolationError)
    await refused("name = 'two', status = 'draft'", old, asyncpg.UniqueViolationError)
    await refused("traffic_weight = 101", one, asyncpg.CheckViolationError)
    await refused("name = E'e\\u0301'", one, asyncpg.CheckViolationError)
    await refused("status = 'sleeping'", one, asyncpg.CheckViolationError)
    await refused("env_type = 'test'", one, asyncpg.CheckViolationError)
    await refused("rollout_steps = '{}'", one, asyncpg.CheckViolationError)
    await refused("status = 'archived'", project.production_uuid, asyncpg.CheckViolationError)
    await refused("expires_at = now()", project.production_uuid, asyncpg.CheckViolationError)
    await owner_connection.execute(
        "UPDATE environment SET status = 'rolling_out' WHERE project_id = $1 AND uuid = $2", project.id, one
    )
    await refused("status = 'rolling_out'", two, asyncpg.UniqueViolationError)


async def test_no_row_refers_to_another_projects(owner_connection: Connection, actor: Actor, project: Project) -> None:
    other = await projects.create(actor, "Other")
    own = (await documents.put(actor, project.id, None, "page", "a", {})).document
    foreign = (await documents.put(actor, other.id, None, "page", "a", {})).document
    foreign_fork = await environments.fork(actor, other.id, ForkOptions("env"))
    refusals: dict[str, list[tuple[object, object]]] = {
        "INSERT INTO layer (project_id, entity_uuid, generation_uuid, uuid, form, data, version)"
        " VALUES ($1, $2, $3, gen_random_uuid(), 'whole', '{}', 1)": [
            (foreign.entity.uuid, own.generation_uuid),
            (own.entity.uuid, foreign.generation_uuid),
        ],
        "UPDATE layer SET parent_uuid = $3 WHERE project_id = $1 AND entity_uuid = $2": [
            (own.entity.uuid, foreign.layer_uuid)
        ],
        "WITH new AS (SELECT gen_random_uuid() AS uuid) INSERT INTO generation (project_id, uuid, number, kind,"
        " env_uuid, parent_uuid, ancestors, path, sealed, version, created_by)"
        " SELECT $1, uuid, 1, 'line', $2, $3, ARRAY[$3, uuid], ARRAY[$3, uuid], false, 1, 'x' FROM new": [
            (project.production_uuid, foreign.generation_uuid),
            (foreign_fork.environment.uuid, own.generation_uuid),
        ],
        "UPDATE environment SET head_uuid = $3 WHERE project_id = $1 AND uuid = $2": [
            (project.production_uuid, foreign.generation_uuid)
        ],
        "UPDATE environment SET pinned_uuid = $3 WHERE project_id = $1 AND uuid = $2": [
            (project.production_uuid, foreign.generation_uuid)
        ],
        "INSERT INTO change (project_id, version, env_uuid, generation_uuid, entity_uuid, entity_version, forward,"
        " reverse, origin, actor, created_at) SELECT $1, 999, uuid, $2, $3, 9, '{}', '{}', 'write', 'x', now()"
        " FROM environment WHERE project_id = $1": [
            (own.generation_uuid, foreign.entity.uuid),
            (foreign.generation_uuid, own.entity.uuid),
        ],
        "INSERT INTO manifest (project_id, uuid, env_uuid, generation_uuid, source_generation_uuid, forked_count,"
        " actor) SELECT $1, gen_random_uuid(), uuid, $2, $3, 1, 'x' FROM environment WHERE project_id = $1": [
            (own.generation_uuid, foreign.generation_uuid),
            (foreign.generation_uuid, own.generation_uuid),
        ],
    }
    for statement, arguments in refusals.items():
        for first, second in arguments:
            with pytest.raises((asyncpg.ForeignKeyViolationError, asyncpg.CheckViolationError)):
                async with owner_connection.transaction():
                    await owner_connection.execute(statement, project.id, first, second)


async def test_constraints_of_the_tree_and_of_layers(
    owner_connection: Connection, actor: Actor, project: Project
) -> None:
    fork = await environments.fork(actor, project.id, ForkOptions("env"))
    for change in (
        "number = -1",
        "ancestors = ARRAY[parent_uuid]",
        "path = ancestors || ARRAY[gen_random_uuid(), uuid]",
        "kind = 'checkpoint'",
        "kind = 'pin', sealed = true",
        "kind = 'other'",
    ):
        update = f"UPDATE generation SET {change} WHERE project_id = $1 AND uuid = $2"
        await _refused(owner_connection, asyncpg.CheckViolationError, update, project.id, fork.generation.uuid)
    second_root = "UPDATE generation SET parent_uuid = NULL, number = 0 WHERE project_id = $1 AND uuid = $2"
    await _refused(owner_connection, asyncpg.UniqueViolationError, second_root, project.id, fork.generation.uuid)
    for change in ("form = 'tombstone'", "data = NULL", "data = '{\"set\": 1}'", "form = 'other'"):
        update = f"UPDATE layer SET {change} WHERE project_id = $1 AND generation_uuid = $2"
        await _refused(owner_connection, asyncpg.CheckViolationError, update, project.id, fork.generation.uuid)
    for kind, key in (("project", "other"), ("", "a"), ("page", ""), ("page", "x" * 257), ("x" * 65, "a")):
        insert = "INSERT INTO entity (project_id, uuid, kind, key) VALUES ($1, gen_random_uuid(), $2, $3)"
        await _refused(owner_connection, asyncpg.CheckViolationError, insert, project.id, kind, key)
    again = "INSERT INTO entity (project_id, uuid, kind, key) VALUES ($1, gen_random_uuid(), 'project', 'project')"
    await _refused(owner_connection, asyncpg.UniqueViolationError, again, project.id)


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
