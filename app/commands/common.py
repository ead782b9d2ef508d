"""What the commands of the command line share."""

import errno
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from typing import IO, Any, Final, TypeVar

import asyncpg
import click

from app import serving
from app.domain.errors import DatabaseUnavailable, DomainError
from app.settings import InvalidSetting, Settings
from app.storage import dump, migrations, tracing
from app.storage.embedded import EmbeddedError
from app.storage.master_key import MasterKeyError

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

REFUSED: Final = 1
UNREACHED: Final = 3
"""Exit codes; 2 is click's, for a command line that cannot be read."""

_UNREACHED: Final = (
    DatabaseUnavailable,
    EmbeddedError,
    # The server is there and lets nobody in, or has no such database.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
_FAILURES: Final = (
    DomainError,
    InvalidSetting,
    MasterKeyError,
    migrations.MigrationFailed,
    serving.CannotStart,
    dump.DumpError,
    tracing.TracingMissing,
)


class Failure(click.ClickException):
    """What went wrong, in one line of words on standard error, or as JSON for who asked for that."""

    exit_code = REFUSED

    def __init__(self, message: str, code: str, *, as_json: bool) -> None:
        super().__init__(message)
        self._body = {"error": code, "message": message} if as_json else None

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it."""
        if self._body is None:
            super().show(file)
        else:
            click.echo(json.dumps(self._body), file=file or sys.stderr)


class Unreached(Failure):
    """The database does not answer, or does not let Strata in."""

    exit_code = UNREACHED

    def __init__(self, message: str, *, as_json: bool) -> None:
        super().__init__(message, DatabaseUnavailable.code, as_json=as_json)


def in_words(command: F) -> F:
    """Turn the failures that we know into one line, and exit code 1; 3 if the database cannot be reached."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        as_json = bool(kwargs.get("as_json"))
        try:
            return command(*args, **kwargs)
        except _UNREACHED as error:
            raise Unreached(_words(error), as_json=as_json) from None
        except _FAILURES as error:
            raise Failure(_words(error), getattr(error, "code", "failed"), as_json=as_json) from None
        except asyncpg.PostgresError as error:
            raise Unreached(f"The database refuses Strata: {error}", as_json=as_json) from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            if error.filename is not None:
                raise Failure(f"{error.filename}: {error.strerror}", "failed", as_json=as_json) from None
            raise Unreached(f"The database cannot be reached: {error}", as_json=as_json) from None

    return run  # type: ignore[return-value]


def _words(error: Exception) -> str:
    return str(getattr(error, "message", error))


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
