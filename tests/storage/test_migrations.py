"""Migrations: one of many applies them, all of it or nothing."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import asyncpg
import pytest

from app.storage import migrations, piccolo_migrations
from tests.conftest import Database


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


def test_each_migration_has_an_id_of_its_own() -> None:
    modules = [import_module(f"{piccolo_migrations.__name__}.{path.stem}") for path in _files()]
    ids = [module.ID for module in modules]
    assert len(set(ids)) == len(ids)


def _files() -> list[Path]:
    return sorted(Path(piccolo_migrations.__path__[0]).glob("*_20*.py"))


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
    assert await migrations.migrate(empty_dsn) == []


async def test_a_newer_database_is_refused_in_words(empty_dsn: str) -> None:
    await migrations.migrate(empty_dsn)
    connection = await asyncpg.connect(empty_dsn)
    await connection.execute("INSERT INTO migration (name, app_name) VALUES ('2999-01-01T00:00:00:000000', 'strata')")
    await connection.close()
    with pytest.raises(migrations.MigrationFailed, match="newer Strata"):
        await migrations.migrate(empty_dsn)


def _newest(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module of the newest migration, under the name by which Piccolo imports it."""
    folder = Path(*piccolo_migrations.__path__)
    monkeypatch.syspath_prepend(folder)
    modules = [import_module(path.stem) for path in folder.glob("[a-z]*.py")]
    return max(modules, key=lambda module: str(module.ID))


async def _tables(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    functions = await connection.fetch("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
    await connection.close()
    return {row[0] for row in (*rows, *functions)}


@pytest.mark.parametrize("fault", ["SELECT 1 / 0", "CREATE TABLE account (x int)", None])
async def test_a_migration_that_fails_half_way_leaves_nothing(
    empty_dsn: str, monkeypatch: pytest.MonkeyPatch, fault: object
) -> None:
    module = _newest(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(module, "STATEMENTS", (*module.STATEMENTS[:3], fault, *module.STATEMENTS[3:]))
        with pytest.raises((asyncpg.PostgresError, TypeError, AttributeError)):
            await migrations.migrate(empty_dsn)
    assert await _tables(empty_dsn) == set()
    assert await migrations.migrate(empty_dsn) == migrations.known_migrations()
    assert await migrations.missing_migrations(empty_dsn) == []


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
