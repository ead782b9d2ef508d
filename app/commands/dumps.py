"""``strata backup`` and ``strata restore``: all of an installation in one file."""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import click

from app import serving
from app.commands.common import Progress, database_url_option, in_words, json_option, say, settings_of
from app.settings import Settings
from app.storage import dump, master_key
from app.storage.dump import Dumped, DumpError
from app.storage.master_key import MasterKey

_KEY_FACT = "master_key"


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@database_url_option
@json_option
@in_words
def backup(file: str, force: bool, database_url: str | None, as_json: bool) -> None:
    """Write everything that the database holds to FILE ('-' for standard output), as of one moment.

    Servers go on working meanwhile. The file is compressed, and only its owner may read it. Protected values in it are
    encrypted: keep the master key, too, and keep it apart; 'strata doctor' says where it is.

    \b
    strata backup strata-$(date +%F).backup
    strata backup - | ssh elsewhere 'cat > strata.backup'
    """
    settings, progress = settings_of(database_url), Progress()
    with serving.database(settings) as found, _sink(file, force=force) as sink:
        facts = {"strata": version("strata"), _KEY_FACT: master_key.current().name}
        done = asyncio.run(dump.write(found.owner_dsn, sink, facts, progress))
    progress.end()
    if file == "-":
        click.echo(f"{sum(done.rows.values())} rows.", err=True)
        return
    size = Path(file).stat().st_size
    text = f"{_counted(done)} in {file}, {size / 1e6:,.1f} MB. It takes the master key {done.head[_KEY_FACT]}."
    say(text, {"file": file, "bytes": size, "rows": dict(done.rows), _KEY_FACT: done.head[_KEY_FACT]}, as_json)


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--any-key", is_flag=True, help="Restore without the master key: no key, login or protected value works.")
@database_url_option
@json_option
@in_words
def restore(file: BinaryIO, any_key: bool, database_url: str | None, as_json: bool) -> None:
    """Read a backup from FILE ('-' for standard input) into a database that holds no accounts and projects.

    All of it is restored, or nothing. A backup of an older version is brought up to date. Give it the master key that
    the backup was made with, in STRATA_MASTER_KEY or as the file 'master.key' in its place, before.

    \b
    STRATA_DATA_DIR=/srv/strata strata restore strata-2026-11-24.backup
    """
    settings, progress = settings_of(database_url), Progress()
    head, body = dump.read_head(file)
    if not any_key:
        _expect_key(settings, head)
    with serving.database(settings, migrate=False) as found:
        done = asyncio.run(body.load(found.owner_dsn, progress))
    progress.end()
    say(f"{_counted(done)} restored, as of {head['made_at']}.", {"rows": dict(done.rows), "head": dict(head)}, as_json)


def _counted(done: Dumped) -> str:
    return f"{done.rows.get('project', 0)} projects, {sum(done.rows.values())} rows"


def _expect_key(settings: Settings, head: Mapping[str, object]) -> None:
    folder = master_key.folder_of(settings.database_url, settings.data_dir)
    key = MasterKey(settings.master_key) if settings.master_key else master_key.read_file(folder)
    if key is not None and key.name == head.get(_KEY_FACT):
        return
    there = "There is none" if key is None else f"The one here is {key.name}"
    raise DumpError(
        f"The backup takes the master key {head.get(_KEY_FACT)}. {there}: set STRATA_MASTER_KEY, or put its file at "
        f"{folder / master_key.FILE_NAME}. With --any-key it is restored all the same."
    )


@contextmanager
def _sink(file: str, *, force: bool) -> Iterator[BinaryIO]:
    """Give a file that is there under its name only when it is whole."""
    if file == "-":
        yield sys.stdout.buffer
        return
    path = Path(file)
    if path.exists() and not force:
        raise DumpError(f"{path} is there already; --force writes over it.")
    part = path.with_name(f"{path.name}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        part.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            part.unlink()
        raise
