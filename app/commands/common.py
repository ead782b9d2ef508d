"""What the commands of the command line share."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

import click

from app import serving
from app.domain.errors import DomainError
from app.settings import InvalidSetting, Settings
from app.storage import migrations
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
    return replace(Settings.from_env(), database_url=database_url or None)


def run(database_url: str | None, work: Callable[[], Awaitable[R]]) -> R:
    """Run ``work`` on the database."""
    return serving.run_on(settings_of(database_url), work)


def say(text: str, value: object, as_json: bool) -> None:
    """Print ``text`` for people, or ``value`` for scripts."""
    click.echo(json.dumps(value) if as_json else text)
