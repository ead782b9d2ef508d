"""A backup: the same rows back, in a database of the same or a newer version; nothing of one that is damaged."""

import asyncio
import gzip
import io
import os
from collections.abc import AsyncIterator, Mapping
from uuid import uuid4

import asyncpg
import pytest

from app.domain.model import Actor, Project
from app.domain.values import Value
from app.services import documents, environments
from app.services.branching import ForkOptions
from app.storage import dump, migrations
from app.storage.dump import DumpError
from tests.conftest import Database

Rows = Mapping[str, list[str]]


def _untold(*_: object) -> None:
    """Be told of progress."""


@pytest.fixture
async def empty_dsn(database: Database) -> AsyncIterator[str]:
    """A database without tables, of the same owner."""
    url = os.environ.get("STRATA_TEST_DATABASE_URL")
    dsn = url or database.owner_dsn.replace("strata_owner@", "postgres@")
    name = f"strata_test_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(dsn, database="postgres")
    await connection.execute(f"CREATE DATABASE {name}" + ("" if url else " OWNER strata_owner"))
    before, _, after = database.owner_dsn.partition("?")
    yield f"{before.rsplit('/', 1)[0]}/{name}" + (f"?{after}" if after else "")
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def _rows(dsn: str) -> Rows:
    connection = await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        " AND relname <> 'migration'"
    )
    found = {
        table: [row[0] for row in await connection.fetch(f'SELECT t::text FROM "{table}" t ORDER BY 1')]
        for (table,) in tables
    }
    found["sequences"] = [
        f"{row[0]} {row[1]}"
        for row in await connection.fetch(
            "SELECT sequencename, last_value FROM pg_sequences WHERE sequencename <> 'migration_id_seq' ORDER BY 1"
        )
    ]
    await connection.close()
    return found


@pytest.fixture
async def written(database: Database, actor: Actor, project: Project) -> bytes:
    """A backup of what tests have left, some hard values and a protected one among it."""
    hard: dict[str, Value] = {
        "text": 'tab\t newline\n backslash \\ quote " \\N é 😀',
        "number": 12345678901234567890123,
        "null": None,
    }
    hard["config"] = {"protected_fields": ["key"]}
    await documents.put(actor, project.id, None, "project", "project", {**hard, "key": "sesame"})
    await environments.fork(actor, project.id, ForkOptions("feature"))
    await documents.put(actor, project.id, "feature", "page", "one", hard)
    sink = io.BytesIO()
    await dump.write(database.owner_dsn, sink, {"from": "a test"}, _untold)
    return sink.getvalue()


async def test_what_was_written_is_restored_to_the_bit(database: Database, written: bytes, empty_dsn: str) -> None:
    before = await _rows(database.owner_dsn)
    head, body = dump.read_head(io.BytesIO(written))
    assert head["from"] == "a test"
    done = await body.load(empty_dsn, _untold)
    restored = await _rows(empty_dsn)
    assert {name for name in before if before[name] != restored[name]} <= _MOVING
    assert done.rows["project"] == len(restored["project"]) > 0
    assert b"sesame" not in written
    assert await migrations.missing_migrations(empty_dsn) == []
    connection = await asyncpg.connect(empty_dsn)
    with pytest.raises(asyncpg.PostgresError):
        await connection.execute("DELETE FROM audit")
    await connection.close()


_MOVING = {"rate_bucket", "sequences", "pgqueuer", "pgqueuer_log"}
"""What this process itself may write between two looks."""


async def test_a_database_that_holds_something_is_left_alone(database: Database, written: bytes) -> None:
    before = await _rows(database.owner_dsn)
    _, body = dump.read_head(io.BytesIO(written))
    with pytest.raises(DumpError, match="empty"):
        await body.load(database.owner_dsn, _untold)
    assert (await _rows(database.owner_dsn))["account"] == before["account"]


@pytest.mark.parametrize("fault", ["cut", "changed", "no end"])
async def test_of_a_damaged_backup_nothing_is_restored(written: bytes, empty_dsn: str, fault: str) -> None:
    damaged = {
        "cut": written[: len(written) // 2],
        "changed": gzip.compress(gzip.decompress(written).replace(b"backslash", b"backslush")),
        "no end": written[:-60],
    }[fault]
    _, body = dump.read_head(io.BytesIO(damaged))
    with pytest.raises(DumpError, match=r"whole|damaged"):
        await body.load(empty_dsn, _untold)
    assert not any(rows for name, rows in (await _rows(empty_dsn)).items() if name in ("account", "project", "layer"))
    _, again = dump.read_head(io.BytesIO(written))
    await again.load(empty_dsn, _untold)


async def test_what_is_no_backup_is_said_to_be_none(database: Database) -> None:
    for content in (b"", b"PK\x03\x04 zip", b'{"strata_backup": 1}'):
        with pytest.raises(DumpError):
            await asyncio.to_thread(dump.read_head, io.BytesIO(content))
    sink = io.BytesIO()
    await dump.write(database.owner_dsn, sink, {"strata_backup": 99}, _untold)
    with pytest.raises(DumpError, match="newer"):
        dump.read_head(io.BytesIO(sink.getvalue()))
