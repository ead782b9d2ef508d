"""All of a database in one stream, and back: what ``strata backup`` writes and ``strata restore`` reads.

A gzip of lines of JSON, each of which may announce bytes: a head, then each table's rows as COPY writes them, then the
sequences, then a digest of all that went before, so that neither a cut nor a change goes unnoticed. The head names the
migrations of the schema that the rows are of.
"""

import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from hashlib import sha256
from typing import Any, Final, Protocol, TypeAlias

import asyncpg

from app.storage.migrations import known_migrations, migrate
from app.storage.piccolo_app import APP_CONFIG
from app.storage.reaching import reaching

FORM: Final = 1
_READ_BYTES: Final = 1 << 16
_LONGEST_LINE: Final = 1 << 20
_GZIP: Final = 31
_SESSION: Final = {
    "application_name": "strata dump",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Head: TypeAlias = Mapping[str, Any]
Progress = Callable[[str, int], None]
"""Is told the table at work, and how many bytes there were so far."""


class DumpError(RuntimeError):
    """The backup cannot be written, read or loaded; the message says why."""


class Sink(Protocol):
    """What takes bytes, as a file."""

    def write(self, chunk: bytes, /) -> object: ...


class Source(Protocol):
    """What gives bytes, as a file."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Dumped:
    """What a backup holds: its head, and how many rows of each table."""

    head: Head
    rows: Mapping[str, int]


class _Writer:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._packer = zlib.compressobj(level=6, wbits=_GZIP)
        self._digest = sha256()
        self.written = 0

    def raw(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self.written += len(chunk)
        self._sink.write(self._packer.compress(chunk))

    def line(self, value: object) -> None:
        self.raw(json.dumps(value, separators=(",", ":")).encode() + b"\n")

    def end(self) -> None:
        self.line({"sha256": self._digest.hexdigest()})
        self._sink.write(self._packer.flush())


class _Reader:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._unpacker = zlib.decompressobj(wbits=_GZIP)
        self._buffer = b""
        self._digest = sha256()
        self.read = 0

    def _more(self) -> None:
        chunk = self._source.read(_READ_BYTES)
        try:
            unpacked = self._unpacker.decompress(chunk) if chunk else b""
        except zlib.error:
            raise DumpError("This is no backup of Strata's, or it was damaged.") from None
        if not chunk:
            raise DumpError("The backup ends before it is whole.")
        self._buffer += unpacked

    def line(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            if len(self._buffer) > _LONGEST_LINE:
                raise DumpError("This is no backup of Strata's.")
            self._more()
        text, _, self._buffer = self._buffer.partition(b"\n")
        before = self._digest.hexdigest()
        self._digest.update(text + b"\n")
        try:
            value = json.loads(text)
        except ValueError:
            raise DumpError("This is no backup of Strata's, or it was damaged.") from None
        if not isinstance(value, dict):
            raise DumpError("This is no backup of Strata's.")
        if value.get("sha256", before) != before:
            raise DumpError("The backup was damaged: it is not what was written.")
        return value

    def raw(self, length: int) -> bytes:
        while len(self._buffer) < length:
            self._more()
        found, self._buffer = self._buffer[:length], self._buffer[length:]
        self._digest.update(found)
        self.read += length
        return found


async def _connect(dsn: str) -> Connection:
    with reaching():
        return await asyncpg.connect(dsn, timeout=10, server_settings=_SESSION, statement_cache_size=0)


_TABLES: Final = """
SELECT class.relname AS name, array_agg(quote_ident(attname) ORDER BY attnum) AS columns
FROM pg_class class JOIN pg_attribute ON attrelid = class.oid
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'migration'
  AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
GROUP BY class.relname ORDER BY class.relname
"""
_REFERENCES: Final = """
SELECT DISTINCT child.relname AS child, parent.relname AS parent
FROM pg_constraint JOIN pg_class child ON child.oid = conrelid JOIN pg_class parent ON parent.oid = confrelid
WHERE contype = 'f' AND NOT condeferrable AND conrelid <> confrelid
  AND child.relnamespace = 'public'::regnamespace
"""
_SEQUENCES: Final = """
SELECT sequencename AS name, coalesce(last_value, start_value) AS value, last_value IS NOT NULL AS called
FROM pg_sequences WHERE schemaname = 'public' AND sequencename <> 'migration_id_seq' ORDER BY sequencename
"""


async def _ordered(connection: Connection) -> dict[str, list[str]]:
    """Return the tables with their columns, those first that others refer to."""
    columns = {row["name"]: list(row["columns"]) for row in await connection.fetch(_TABLES)}
    sorter: TopologicalSorter[str] = TopologicalSorter({name: [] for name in columns})
    for row in await connection.fetch(_REFERENCES):
        sorter.add(row["child"], row["parent"])
    return {name: columns[name] for name in sorter.static_order() if name in columns}


async def write(owner_dsn: str, sink: Sink, facts: Mapping[str, object], progress: Progress) -> Dumped:
    """Write all rows of the database as of one moment; it goes on working meanwhile. ``facts`` join the head.

    Raises DatabaseUnavailable.
    """
    writer, rows = _Writer(sink), {}
    connection = await _connect(owner_dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            applied = await connection.fetch(
                "SELECT name FROM migration WHERE app_name = $1 ORDER BY name", APP_CONFIG.app_name
            )
            head = {
                "strata_backup": FORM,
                "made_at": datetime.now(UTC).isoformat(),
                **facts,
                "migrations": [row["name"] for row in applied],
            }
            writer.line(head)
            for table, columns in (await _ordered(connection)).items():
                rows[table] = await _write_table(connection, writer, table, columns, progress)
            sequences = await connection.fetch(_SEQUENCES)
        writer.line({"sequences": {row["name"]: [row["value"], row["called"]] for row in sequences}})
        writer.end()
    finally:
        await connection.close()
    return Dumped(head, rows)


async def _write_table(
    connection: Connection, writer: _Writer, table: str, columns: Iterable[str], progress: Progress
) -> int:
    writer.line({"table": table, "columns": list(columns)})

    async def take(chunk: bytes) -> None:
        writer.line({"bytes": len(chunk)})
        writer.raw(chunk)
        progress(table, writer.written)

    status = await connection.copy_from_query(f'SELECT {", ".join(columns)} FROM "{table}"', output=take, format="text")
    count = int(status.rsplit(" ", 1)[-1])
    writer.line({"rows": count})
    return count


def read_head(source: Source) -> tuple[Head, "Body"]:
    """Return what a backup says of itself, and what can be loaded. Raises DumpError."""
    reader = _Reader(source)
    head = reader.line()
    if "strata_backup" not in head:
        raise DumpError("This is no backup of Strata's.")
    if head["strata_backup"] != FORM or set(head["migrations"]).difference(known_migrations()):
        raise DumpError("The backup was made by a newer Strata; install that version or a later one.")
    return head, Body(head, reader)


class Body:
    """The rows of a backup whose head was read."""

    def __init__(self, head: Head, reader: _Reader) -> None:
        self._head = head
        self._reader = reader
        self._next: dict[str, Any] = {}

    async def load(self, owner_dsn: str, progress: Progress) -> Dumped:
        """Load all rows into a database that has none: all of them, or none. Then bring its tables up to date.

        Raises DumpError, MigrationFailed, DatabaseUnavailable.
        """
        connection = await _connect(owner_dsn)
        try:
            await _expect_empty(connection)
            await migrate(owner_dsn, until=max(self._head["migrations"]))
            async with connection.transaction():
                rows = await self._load(connection, progress)
        except asyncpg.PostgresError as error:
            raise DumpError(f"The rows do not fit this database ({type(error).__name__}).") from error
        finally:
            await connection.close()
        await migrate(owner_dsn)
        return Dumped(self._head, rows)

    async def _load(self, connection: Connection, progress: Progress) -> dict[str, int]:
        tables = await _ordered(connection)
        await _for_each(connection, tables, 'ALTER TABLE "{}" DISABLE TRIGGER USER')
        # What the first start makes, and migrations fill in, is in the backup as well.
        await connection.execute("TRUNCATE " + ", ".join(f'"{table}"' for table in tables))
        await connection.execute("SET CONSTRAINTS ALL DEFERRED")
        rows: dict[str, int] = {}
        while "table" in (announced := self._reader.line()):
            table, columns = announced["table"], announced["columns"]
            if table not in tables or not set(columns) <= set(tables[table]):
                raise DumpError(f"The backup has a table {table!r} that this version does not know.")
            rows[table] = await self._load_table(connection, table, columns, progress)
        for name, (value, called) in announced["sequences"].items():
            await connection.execute("SELECT setval(to_regclass($1), $2, $3)", f'"{name}"', value, called)
        if "sha256" not in self._reader.line():
            raise DumpError("The backup ends before it is whole.")
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        await _for_each(connection, tables, 'ALTER TABLE "{}" ENABLE TRIGGER USER')
        return rows

    async def _load_table(self, connection: Connection, table: str, columns: list[str], progress: Progress) -> int:
        async def chunks() -> AsyncIterator[bytes]:
            while "bytes" in (announced := self._reader.line()):
                yield self._reader.raw(announced["bytes"])
                progress(table, self._reader.read)
            self._next = announced

        names = [column.strip('"') for column in columns]
        status = await connection.copy_to_table(table, source=chunks(), columns=names, format="text")
        count = int(status.rsplit(" ", 1)[-1])
        if count != self._next.get("rows"):
            raise DumpError(f"The backup was damaged: {table} has {count} rows.")
        return count


async def _for_each(connection: Connection, tables: Iterable[str], statement: str) -> None:
    for table in tables:
        await connection.execute(statement.format(table))


async def _expect_empty(connection: Connection) -> None:
    for table in ("account", "project"):
        if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table) and await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM {table})"
        ):
            raise DumpError("The database holds accounts or projects; a backup is restored into an empty one.")
