"""The transaction helper: nothing leaks, nothing nests, what lost a race runs again."""

import asyncio

import asyncpg
import pytest

from app.domain.errors import Busy, DatabaseUnavailable
from app.domain.model import Actor, Project
from app.services import document_bodies, documents, environments, resolution, tree
from app.services.branching import ForkOptions
from app.storage import db
from tests.conftest import Database

DEFERRED = (
    "UPDATE environment SET head_uuid = gen_random_uuid() WHERE project_id = $1"  # its foreign key looks at COMMIT
)


@pytest.mark.usefixtures("pool")
async def test_a_failing_commit_leaks_no_connection(project: Project) -> None:
    for _ in range(30):
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            async with db.transaction():
                await db.execute(DEFERRED, project.id)
    assert await asyncio.gather(*(db.fetchval("SELECT 1") for _ in range(20))) == [1] * 20
    async with db.transaction():
        assert await db.fetchval("SELECT 1") == 1


@pytest.mark.usefixtures("pool")
async def test_transactions_do_not_nest() -> None:
    async with db.transaction():
        with pytest.raises(RuntimeError):
            async with db.transaction():
                pass
        assert await db.fetchval("SELECT 1") == 1


@pytest.mark.usefixtures("pool")
async def test_only_what_encloses_takes_another_in(project: Project) -> None:
    name = "SELECT name FROM project WHERE project_id = $1"

    @db.atomic(statement_timeout="7s")
    async def rename() -> str:
        await db.execute("UPDATE project SET name = 'inner' WHERE project_id = $1", project.id)
        with pytest.raises(RuntimeError):
            async with db.transaction():
                pass
        return str(await db.fetchval("SHOW statement_timeout"))

    async def rename_and_fail() -> None:
        async with db.transaction(encloses=True):
            assert await rename() == "7s"
            assert await db.fetchval(name, project.id) == "inner"
            with pytest.raises(RuntimeError):
                async with db.transaction("repeatable_read"):
                    pass
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await rename_and_fail()
    assert await db.fetchval(name, project.id) == "Shop"
    assert await rename() == "7s"
    assert await db.fetchval("SHOW statement_timeout") == "5s"


@pytest.mark.usefixtures("pool")
async def test_what_is_enclosed_is_run_again_with_what_encloses_it() -> None:
    runs: list[str] = []

    @db.atomic()
    async def inner() -> None:
        runs.append("inner")
        if len(runs) < 6:
            raise db.Retry

    @db.atomic(encloses=True)
    async def outer() -> None:
        runs.append("outer")
        await inner()

    await outer()
    assert runs == ["outer", "inner"] * 3


@pytest.mark.usefixtures("pool")
async def test_an_error_inside_undoes_everything(project: Project) -> None:
    async def rename_and_fail() -> None:
        async with db.transaction():
            await db.execute("UPDATE project SET name = 'x' WHERE project_id = $1", project.id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await rename_and_fail()
    assert await db.fetchval("SELECT name FROM project WHERE project_id = $1", project.id) == "Shop"


@pytest.mark.usefixtures("pool")
async def test_what_lost_a_race_runs_again_and_then_gives_up() -> None:
    runs = 0

    @db.atomic()
    async def losing(times: int) -> int:
        nonlocal runs
        runs += 1
        if runs <= times:
            raise db.Retry
        return await db.fetchval("SELECT 1")  # type: ignore[no-any-return]

    assert await losing(2) == 1
    assert runs == 3
    runs = 0
    with pytest.raises(Busy):
        await losing(100)
    assert runs == db.ATTEMPTS


@pytest.mark.usefixtures("pool")
async def test_a_cancelled_transaction_gives_its_connection_back() -> None:
    async def sleep() -> None:
        async with db.transaction():
            await db.execute("SELECT pg_sleep(10)")

    for _ in range(15):
        task = asyncio.create_task(sleep())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await asyncio.gather(*(db.fetchval("SELECT 1") for _ in range(20))) == [1] * 20


async def _terminate(database: Database, pid: int) -> None:
    """Take a session of the application away, as a restart of the server does."""
    other = await asyncpg.connect(database.app_dsn)
    await other.execute("SELECT pg_terminate_backend($1)", pid)
    while await other.fetchval("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", pid):
        pass
    await other.close()


@pytest.mark.parametrize("statements", [0, 1])
async def test_a_lost_connection_is_said_in_words_and_replaced(
    database: Database, project: Project, statements: int
) -> None:
    """Lost in the middle, noticed by a statement or by COMMIT: nothing is written."""

    async def rename_and_lose() -> None:
        async with db.transaction(statement_timeout="1min"):
            await db.execute("UPDATE project SET name = 'lost' WHERE project_id = $1", project.id)
            await _terminate(database, await db.fetchval("SELECT pg_backend_pid()"))
            for _ in range(statements):
                await db.fetchval("SELECT 1")

    with pytest.raises(DatabaseUnavailable):
        await rename_and_lose()
    assert await asyncio.gather(*(db.fetchval("SELECT 1") for _ in range(20))) == [1] * 20
    assert await db.fetchval("SELECT name FROM project WHERE project_id = $1", project.id) == "Shop"


async def test_an_error_of_the_block_is_not_hidden_by_a_lost_connection(database: Database, project: Project) -> None:
    async def lose_and_fail() -> None:
        async with db.transaction():
            await _terminate(database, await db.fetchval("SELECT pg_backend_pid()"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await lose_and_fail()
    assert await db.fetchval("SELECT 1") == 1


@pytest.mark.usefixtures("pool")
async def test_sessions_have_limits_and_transactions_their_own() -> None:
    limits = "SELECT current_setting('statement_timeout') || ' ' || current_setting('lock_timeout')"
    assert await db.fetchval(limits) == "5s 2s"
    async with db.transaction(statement_timeout="3min"):
        assert await db.fetchval(limits) == "3min 2s"
        assert await db.fetchval("SHOW idle_in_transaction_session_timeout") == "3min"
    assert await asyncio.gather(*(db.fetchval(limits) for _ in range(20))) == ["5s 2s"] * 20


async def test_a_moment_is_held_for_reading_alone(project: Project) -> None:
    name = "SELECT name FROM project WHERE project_id = $1"
    async with db.reading("1min") as moment:
        with moment():
            assert await db.fetchval(name, project.id) == "Shop"
        await db.execute("UPDATE project SET name = 'Later' WHERE project_id = $1", project.id)
        with moment():
            assert await db.fetchval(name, project.id) == "Shop"
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await db.execute("UPDATE project SET name = 'Never' WHERE project_id = $1", project.id)
    assert await db.fetchval(name, project.id) == "Later"


async def _deep(actor: Actor, project: Project, depth: int) -> None:
    parent = None
    for level in range(depth):
        options = ForkOptions(f"level-{level}", parent_env_uuid=parent)
        parent = (await environments.fork(actor, project.id, options)).environment.uuid
        await documents.merge(actor, project.id, f"level-{level}", "project", "project", {f"level{level}": level})


async def test_reading_takes_one_statement(actor: Actor, project: Project) -> None:
    for number in range(200):
        await documents.put(actor, project.id, None, "page", f"p{number:03}", {"n": number})
    await _deep(actor, project, 8)
    head = (await environments.find(actor, project.id, "level-7")).head_uuid
    keys = [resolution.DocumentKey(head, "page", f"p{number:03}") for number in range(200)]
    with db.count_statements() as counted:
        found = await resolution.documents(project.id, keys)
    assert (counted.count, [document.state for document in found if document]) == (
        1,
        [{"n": number} for number in range(200)],
    )
    await tree.tree(actor, project.id)
    with db.count_statements() as counted:
        nodes = await tree.tree(actor, project.id)
    assert (counted.count, len(nodes)) == (1, 9)
    for _ in range(2):
        with db.count_statements() as counted:
            body = await document_bodies.read(actor, project.id, "level-7", "project", "project")
        assert counted.count == 1
    assert body.content.count(b"level") == 8
