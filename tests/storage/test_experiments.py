"""The database's own part in A/B tests: what their rows may say, and what nobody changes."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.domain.model import Actor, Project
from app.services import projects
from tests.conftest import Database
from tests.services.trying import Trial, fork
from tests.services.waiting import Connection


@pytest.fixture
async def owner_connection(database: Database) -> AsyncIterator[Connection]:
    """A connection of the schema's owner."""
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


async def refused(
    connection: Connection, error: type[asyncpg.PostgresError], statement: str, *arguments: object
) -> None:
    with pytest.raises(error):
        async with connection.transaction():
            await connection.execute(statement, *arguments)


@pytest.fixture
async def trial(actor: Actor, project: Project) -> Trial:
    return await Trial.made(actor, project)


@pytest.mark.parametrize(
    "change",
    ["split_pct = 1", "ab_seed = 'other'", "env_b_uuid = env_a_uuid", "metric = 'other'", "created_at = now()"],
)
async def test_what_users_were_dealt_by_is_not_changed(database: Database, trial: Trial, change: str) -> None:
    if database.owner_dsn == database.app_dsn:
        pytest.skip("the application owns the tables here")
    connection = await asyncpg.connect(database.app_dsn)
    try:
        update = f"UPDATE experiment SET {change} WHERE project_id = $1 AND uuid = $2"
        await refused(connection, asyncpg.InsufficientPrivilegeError, update, trial.project.id, trial.test.uuid)
        for table in ("experiment", "experiment_exposure", "experiment_result", "experiment_tally"):
            await refused(connection, asyncpg.InsufficientPrivilegeError, f"DELETE FROM {table}")
        await refused(connection, asyncpg.InsufficientPrivilegeError, "UPDATE experiment_exposure SET variant = 'A'")
        await refused(connection, asyncpg.InsufficientPrivilegeError, "UPDATE experiment_result SET value = 1")
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "change",
    [
        "split_pct = 101",
        "split_pct = -1",
        "ab_seed = ''",
        "metric = ''",
        "status = 'paused'",
        "env_b_uuid = env_a_uuid",
        "winner = 'A'",
        "winner = 'C', status = 'completed', ended_at = now()",
        "status = 'completed', ended_at = now()",
        "status = 'stopped'",
        "ended_at = now()",
        "reason = ''",
    ],
)
async def test_constraints_of_tests(owner_connection: Connection, trial: Trial, change: str) -> None:
    update = f"UPDATE experiment SET {change} WHERE project_id = $1 AND uuid = $2"
    error = asyncpg.CheckViolationError
    await refused(owner_connection, error, update, trial.project.id, trial.test.uuid)


async def test_no_test_refers_to_another_projects(owner_connection: Connection, actor: Actor, trial: Trial) -> None:
    other = await projects.create(actor, "Other")
    foreign = await fork(actor, other, "foreign")
    for side in ("env_a_uuid", "env_b_uuid"):
        update = f"UPDATE experiment SET {side} = $3 WHERE project_id = $1 AND uuid = $2"
        error = asyncpg.ForeignKeyViolationError
        await refused(owner_connection, error, update, trial.project.id, trial.test.uuid, foreign)
    for statement in (
        "INSERT INTO experiment_exposure (project_id, test_uuid, user_uuid, variant) VALUES ($1, $2, 'ada', 'A')",
        "INSERT INTO experiment_tally (project_id, test_uuid, shard, variant) VALUES ($1, $2, 0, 'A')",
    ):
        await refused(owner_connection, asyncpg.ForeignKeyViolationError, statement, other.id, trial.test.uuid)


async def test_constraints_of_users(owner_connection: Connection, trial: Trial) -> None:
    test = (trial.project.id, trial.test.uuid)
    expose = "INSERT INTO experiment_exposure (project_id, test_uuid, user_uuid, variant) VALUES ($1, $2, $3, $4)"
    for user, variant in (("", "A"), ("x" * 257, "A"), ("ada", "C")):
        await refused(owner_connection, asyncpg.CheckViolationError, expose, *test, user, variant)
    result = "INSERT INTO experiment_result (project_id, test_uuid, user_uuid) VALUES ($1, $2, $3)"
    await refused(owner_connection, asyncpg.ForeignKeyViolationError, result, *test, "ada")
    await trial.expose(["ada"])
    await refused(owner_connection, asyncpg.UniqueViolationError, expose, *test, "ada", "B")
    await trial.convert(["ada"])
    await refused(owner_connection, asyncpg.UniqueViolationError, result, *test, "ada")
