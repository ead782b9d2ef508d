"""What the commands of the command line share."""

import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

import click

from app import serving
from app.domain.errors import DomainError
from app.settings import InvalidSetting, Settings
from app.storage import dump, migrations, tracing
from app.storage.embedded import EmbeddedError
from app.storage.master_key import MasterKeyError

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_FAILURES = (
    DomainError,
    EmbeddedError,
    InvalidSetting,
    MasterKeyError,
    migrations.MigrationFailed,
    serving.CannotStart,
    dump.DumpError,
    tracing.TracingMissing,
)


def in_words(command: F) -> F:
    """Turn the failures that we know into one line and exit code 1."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except _FAILURES as error:
            raise click.ClickException(getattr(error, "message", str(error))) from None
        except OSError as error:
            raise click.ClickException(f"The database cannot be reached: {error}") from None

    return run  # type: ignore[return-value]


database_url_option = click.option(
    "--database-url", envvar="STRATA_DATABASE_URL", help="PostgreSQL 15 or newer. Default: an embedded one."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def settings_of(database_url: str | None) -> Settings:
    """Return the environment's settings, with the database that the command line names. Raises InvalidSetting."""
    found = Settings.from_env()
    if found.database_url == (database_url or None):
        return found
    return replace(found, database_url=database_url or None, direct_database_url=None)


def run(database_url: str | None, work: Callable[[], Awaitable[R]]) -> R:
    """Run ``work`` on the database."""
    return serving.run_on(settings_of(database_url), work)


class Progress:
    """A line on standard error that says how far long work has come; none where nobody looks at it."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, what: str, count: int) -> None:
        """Say that ``count`` bytes are done, and with what it goes on."""
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.1
            click.echo(f"\r\x1b[K{count / 1e6:,.1f} MB  {what}", nl=False, err=True)

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            click.echo("\r\x1b[K", nl=False, err=True)


def say(text: str, value: object, as_json: bool) -> None:
    """Print ``text`` for people, or ``value`` for scripts."""
    click.echo(json.dumps(value) if as_json else text)
