"""``strata doctor``: what is wrong with this installation, in words."""

import asyncio
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import asyncpg

from app.services import jobs, tokens
from app.settings import Settings
from app.storage import master_key, migrations, queue
from app.storage.audit import FIRST_BROKEN
from app.storage.embedded import EmbeddedError, default_data_dir, find_binaries
from app.storage.master_key import MasterKey, MasterKeyError

LEAST_FREE_BYTES: Final = 500_000_000
TRAIL_SECONDS: Final = 20
LATE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; ``message`` says what is so and, if it is wrong, what to do."""

    level: Literal["ok", "warning", "problem"]
    message: str


def _ok(message: str) -> Finding:
    return Finding("ok", message)


def _warning(message: str) -> Finding:
    return Finding("warning", message)


def _problem(message: str) -> Finding:
    return Finding("problem", message)


def look_at_machine(settings: Settings) -> Iterator[Finding]:
    """Look at what must be right before there is a database."""
    yield _ok(f"Python {sys.version.split()[0]}.")
    yield _where_the_master_key_is(settings)
    if settings.database_url:
        return
    folder = settings.data_dir or default_data_dir()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    size = f"{free / 1e9:.1f} GB free where the data folder {folder} is"
    yield _ok(f"{size}.") if free > LEAST_FREE_BYTES else _problem(f"Only {size}: make room or move the folder.")
    try:
        yield _ok(f"PostgreSQL's binaries are in {find_binaries()}.")
    except EmbeddedError as error:
        yield _problem(str(error))


async def look_inside(settings: Settings) -> list[Finding]:
    """Look at what an installation with this version's tables has in them; a pool is open."""
    return [await _master_key_opens(settings), *await _background_work()]


async def _background_work() -> list[Finding]:
    dead, late = await jobs.dead_jobs(), await queue.late(LATE_SECONDS)
    findings = [
        _problem(
            f"{found.count} jobs {found.kind!r} failed for good, the first one made {found.since:%Y-%m-%d %H:%M} UTC"
            f" ({found.failure}). The log says where; 'strata jobs retry' has them tried again."
        )
        for found in dead
    ]
    if late:
        findings.append(
            _warning(f"{late} jobs wait for over {LATE_SECONDS} s: no 'strata serve' or 'strata worker' does them.")
        )
    return findings or [_ok("All background work that was due is done.")]


async def _master_key_opens(settings: Settings) -> Finding:
    folder = master_key.folder_of(settings.database_url, settings.data_dir)
    key = MasterKey(settings.master_key) if settings.master_key else master_key.read_file(folder)
    if key is None:
        return _warning("There is no master key yet.")
    try:
        count = await tokens.count_readable(key)
    except MasterKeyError as error:
        lost = "If it is lost, 'strata key rotate --at-once' begins anew: all API keys have to be made again."
        return _problem(f"{error} {lost}")
    return _ok(f"The master key opens the database's signing keys ({count}).")


def _where_the_master_key_is(settings: Settings) -> Finding:
    if settings.master_key is not None:
        return _ok("The master key is in STRATA_MASTER_KEY.")
    path = master_key.folder_of(settings.database_url, settings.data_dir) / master_key.FILE_NAME
    try:
        found = master_key.read_file(path.parent)
    except MasterKeyError as error:
        return _problem(str(error))
    where = f"The master key is in {path}" if found else f"The first start will make a master key in {path}"
    if settings.database_url:
        return _warning(f"{where}. Strata on other machines and of other users needs the same: set STRATA_MASTER_KEY.")
    return _ok(f"{where}. Keep a copy apart from the database's backups: neither is of use without the other.")


async def look_at_database(dsn: str, *, external: bool) -> list[Finding]:
    """Look at a database that should be usable: connection, version, schema, safety, rights."""
    try:
        missing = await migrations.missing_migrations(dsn)
    except migrations.MigrationFailed as error:
        return [_problem(str(error))]
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        reason = str(error) or type(error).__name__
        return [_problem(f"The database cannot be reached: {reason}. Check STRATA_DATABASE_URL and the server.")]
    findings = [
        _warning("The database lacks tables of this version; 'strata serve' and 'strata migrate' make them.")
        if missing
        else _ok("The database has this version's tables.")
    ]
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        facts = await connection.fetch(_FACTS)
        if not missing:
            findings.append(await _trail(connection))
    finally:
        await connection.close()
    return findings + [check(facts[0], external) for check in _CHECKS]


async def unsafe(dsn: str, *, external: bool) -> list[str]:
    """Return what is wrong with a database that a hardened server is to work on; warnings count, too."""
    found = await look_at_database(dsn, external=external)
    return [finding.message for finding in found if finding.level != "ok"]


async def _trail(connection: "asyncpg.Connection[asyncpg.Record]") -> Finding:
    try:
        async with asyncio.timeout(TRAIL_SECONDS):
            for (project_id,) in await connection.fetch("SELECT project_id FROM audit_head ORDER BY project_id"):
                number = await connection.fetchval(FIRST_BROKEN, project_id)
                if number is not None:
                    return _problem(
                        f"The audit trail of project {project_id} is not what was written, from entry {number} on:"
                        " it was altered by somebody who may change the schema."
                    )
    except TimeoutError:
        return _warning(f"The audit trail is too long to be checked in {TRAIL_SECONDS} s; nothing was found so far.")
    return _ok("The audit trail is what was written.")


_FACTS: Final = """
SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('full_page_writes') AS full_page_writes, current_setting('server_encoding') AS encoding,
       (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS privileged,
       (SELECT pg_get_userbyid(relowner) = current_user FROM pg_class WHERE oid = to_regclass('project')) AS owner
"""
Check = Callable[["asyncpg.Record", bool], Finding]


def _version(facts: "asyncpg.Record", _: bool) -> Finding:
    return _ok(f"PostgreSQL {facts['version']}.")


def _durable(facts: "asyncpg.Record", _: bool) -> Finding:
    weak = [name for name in ("fsync", "synchronous_commit", "full_page_writes") if facts[name] == "off"]
    if weak:
        return _problem(f"{' and '.join(weak)} is off: a crash can lose what was acknowledged. Switch it on.")
    return _ok("Acknowledged writes survive a crash (fsync, synchronous_commit, full_page_writes are on).")


def _encoding(facts: "asyncpg.Record", _: bool) -> Finding:
    if facts["encoding"] != "UTF8":
        return _problem(f"The database's encoding is {facts['encoding']}; make one with ENCODING 'UTF8'.")
    return _ok("The database's encoding is UTF8.")


def _rights(facts: "asyncpg.Record", external: bool) -> Finding:
    if not external:
        return _ok("The server works with a role that owns nothing.")
    if facts["privileged"]:
        return _warning("Strata connects as a superuser; give it a role of its own that is none.")
    if facts["owner"]:
        return _warning("Strata connects as the owner of its tables; a role that only reads and writes is safer.")
    return _ok("Strata connects with a role that owns nothing.")


_CHECKS: Final[tuple[Check, ...]] = (_version, _durable, _encoding, _rights)
