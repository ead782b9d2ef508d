"""The ``strata`` command."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from app import demo as sample
from app import doctor as diagnosis
from app import serving
from app.domain.errors import DomainError
from app.domain.model import Plan, Project, Scope
from app.services import api_keys, identity, operator, projects, transfer
from app.settings import InvalidSetting, Settings
from app.storage import migrations
from app.storage.embedded import EmbeddedError, default_data_dir
from schema.root import schema_text

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_FAILURES = (
    DomainError,
    EmbeddedError,
    InvalidSetting,
    migrations.MigrationFailed,
    serving.CannotStart,
)


def _in_words(command: F) -> F:
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


_database_url = click.option(
    "--database-url", envvar="STRATA_DATABASE_URL", help="PostgreSQL 15 or newer. Default: an embedded one."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def _settings(database_url: str | None) -> Settings:
    return replace(Settings.from_env(), database_url=database_url or None)


def _run(database_url: str | None, work: Callable[[], Awaitable[R]]) -> R:
    return serving.run_on(_settings(database_url), work)


def _say(text: str, value: dict[str, Any], as_json: bool) -> None:
    click.echo(json.dumps(value) if as_json else text)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="strata", prog_name="strata")
def main() -> None:
    """Environments for JSON data: fork, edit, compare, checkpoint and roll back.

    'strata demo' shows it with a sample project; 'strata serve' is the server.
    """


@main.command()
@click.option("--host", default=None, help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), default=None, help="Port to listen on.  [default: 8000]")
@_database_url
@_in_words
def serve(host: str | None, port: int | None, database_url: str | None) -> None:
    """Serve the API until stopped by Ctrl-C or SIGTERM."""
    settings = _settings(database_url)
    address = host or settings.host
    listening = serving.listening_socket(address, settings.port if port is None else port)
    with serving.database(settings, own=True) as found:
        url = serving.url_of(listening, address)
        serving.serve(settings, listening, found.app_dsn, lambda: click.echo(f"Strata serves {url}"))


@main.command()
@click.option("--host", default=None, help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), default=None, help="Port; the next free one if it is taken.")
@_database_url
@_in_words
def demo(host: str | None, port: int | None, database_url: str | None) -> None:
    """Serve a sample project: a shop with users, orders, two environments and a checkpoint.

    Its data lie in a folder of their own; login and API key are new at each start.
    """
    settings = _settings(database_url)
    if settings.data_dir is None:
        settings = replace(settings, data_dir=default_data_dir().with_name("strata-demo"))
    address = host or settings.host
    listening = serving.listening_socket(address, settings.port if port is None else port, search=port is None)
    with serving.database(settings, own=True) as found:
        prepared = serving.run_at(found, sample.prepare)
        url = serving.url_of(listening, address)
        serving.serve(settings, listening, found.app_dsn, lambda: click.echo(sample.welcome(url, prepared)))


@main.command()
@_database_url
@_as_json
@_in_words
def migrate(database_url: str | None, as_json: bool) -> None:
    """Bring the database up to date; safe when several processes do so at once."""
    with serving.database(_settings(database_url), migrate=False) as found:
        applied = asyncio.run(migrations.migrate(found.owner_dsn))
    _say(f"{len(applied)} migrations applied." if applied else "Nothing to do.", {"applied": applied}, as_json)


@main.command()
@_database_url
@_as_json
@_in_words
def doctor(database_url: str | None, as_json: bool) -> None:
    """Say in words what is wrong with this installation. Exit code 1 if something is."""
    settings = _settings(database_url)
    findings = list(diagnosis.look_at_machine(settings))
    if all(finding.level != "problem" for finding in findings):
        try:
            with serving.database(settings, migrate=False) as found:
                findings += asyncio.run(
                    diagnosis.look_at_database(found.app_dsn, external=settings.database_url is not None)
                )
        except EmbeddedError as error:
            findings.append(diagnosis.Finding("problem", str(error)))
    bad = any(finding.level == "problem" for finding in findings)
    if as_json:
        click.echo(json.dumps([{"level": finding.level, "message": finding.message} for finding in findings]))
    else:
        for finding in findings:
            click.echo(f"{finding.level:8} {finding.message}")
    sys.exit(int(bad))


@main.command("export-schema")
def export_schema() -> None:
    """Print the GraphQL schema."""
    click.echo(schema_text(), nl=False)


@main.group()
def project() -> None:
    """Make and list projects, and set their plan."""


def _project_value(found: Project) -> dict[str, Any]:
    return {"id": found.id, "name": found.name, "plan": found.plan, "production_uuid": str(found.production_uuid)}


@project.command("create")
@click.argument("name")
@click.option("--owner", required=True, help="E-mail address of the account that will own it.")
@_database_url
@_as_json
@_in_words
def project_create(name: str, owner: str, database_url: str | None, as_json: bool) -> None:
    """Make a project."""

    async def work() -> Project:
        return await projects.create(await operator.actor(owner), name, Settings.from_env().default_plan)

    found = _run(database_url, work)
    _say(f"Project {found.id}: {found.name}", _project_value(found), as_json)


@project.command("list")
@_database_url
@_as_json
@_in_words
def project_list(database_url: str | None, as_json: bool) -> None:
    """List all projects of this installation."""
    found = _run(database_url, operator.list_projects)
    if as_json:
        click.echo(json.dumps([_project_value(item) for item in found]))
        return
    for item in found:
        click.echo(f"{item.id:6}  {item.plan:10}  {item.name}")


@project.command("set-plan")
@click.argument("project_id", type=int)
@click.argument("plan", type=click.Choice([plan.value for plan in Plan]))
@_database_url
@_as_json
@_in_words
def project_set_plan(project_id: int, plan: str, database_url: str | None, as_json: bool) -> None:
    """Set the plan of a project."""
    found = _run(database_url, lambda: operator.set_plan(project_id, Plan(plan)))
    _say(f"Project {found.id} has the plan {found.plan}.", _project_value(found), as_json)


@main.group()
def account() -> None:
    """Make accounts."""


@account.command("create")
@click.argument("email")
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True, envvar="STRATA_PASSWORD")
@_database_url
@_as_json
@_in_words
def account_create(email: str, password: str, database_url: str | None, as_json: bool) -> None:
    """Make an account; asks for the password unless STRATA_PASSWORD has it."""
    found = _run(database_url, lambda: identity.register(email, password))
    _say(f"Account {found.email}", {"uuid": str(found.uuid), "email": found.email}, as_json)


@main.command()
@click.argument("email")
@_database_url
@_as_json
@_in_words
def token(email: str, database_url: str | None, as_json: bool) -> None:
    """Print an access token of an account, for trying things out."""
    seconds = Settings.from_env().token_seconds
    text = _run(database_url, lambda: operator.token(email, seconds))
    _say(text, {"access_token": text, "token_type": "bearer", "expires_in": seconds}, as_json)


@main.group()
def key() -> None:
    """Make and revoke project API keys."""


@key.command("create")
@click.argument("project_id", type=int)
@click.argument("name")
@click.option("--owner", required=True, help="E-mail address of an owner or admin of the project.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    default=["read"],
    show_default=True,
)
@_database_url
@_as_json
@_in_words
def key_create(
    project_id: int, name: str, owner: str, scopes: tuple[str, ...], database_url: str | None, as_json: bool
) -> None:
    """Make an API key of a project and print it, this once."""

    async def work() -> api_keys.CreatedKey:
        return await api_keys.create(await operator.actor(owner), project_id, name, [Scope(item) for item in scopes])

    created = _run(database_url, work)
    assert created.secret is not None
    value = {"uuid": str(created.key.uuid), "prefix": created.key.prefix, "key": created.secret}
    _say(created.secret, value, as_json)


@main.command("import")
@click.argument("project_id", type=int)
@click.argument("file", type=click.File("rb"))
@click.option("--as", "email", required=True, help="E-mail address of the account that imports.")
@click.option("--env", default=None, help="Environment to import into.  [default: production]")
@_database_url
@_as_json
@_in_words
def import_(
    project_id: int, file: BinaryIO, email: str, env: str | None, database_url: str | None, as_json: bool
) -> None:
    """Import NDJSON lines {"kind", "key", "data"} from FILE ('-' for standard input): all, or none."""

    async def chunks() -> AsyncIterator[bytes]:
        read = 0
        while chunk := file.read(1 << 20):
            yield chunk
            read += len(chunk)
            if sys.stderr.isatty():
                click.echo(f"\r{read / 1e6:,.0f} MB read", nl=False, err=True)

    async def work() -> transfer.Imported:
        return await transfer.import_documents(await operator.actor(email), project_id, env, chunks())

    done = _run(database_url, work)
    value = {"lines": done.lines, "created": done.created, "changed": done.changed, "unchanged": done.unchanged}
    text = f"{done.lines} lines: {done.created} created, {done.changed} changed, {done.unchanged} unchanged."
    _say(text, value, as_json)


@main.command()
@click.argument("project_id", type=int)
@click.option("--as", "email", required=True, help="E-mail address of the account that exports.")
@click.option("--env", default=None, help="Environment to export.  [default: production]")
@click.option("--kind", default=None, help="Only documents of this kind.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File.  [default: standard output]")
@_database_url
@_in_words
def export(
    project_id: int, email: str, env: str | None, kind: str | None, output: Path | None, database_url: str | None
) -> None:
    """Export all documents that an environment shows, as NDJSON."""

    async def work() -> None:
        stream = await transfer.export_documents(await operator.actor(email), project_id, env, kind=kind)
        with output.open("wb") if output else nullcontext(sys.stdout.buffer) as file:
            async for chunk in stream:
                file.write(chunk)

    _run(database_url, work)
