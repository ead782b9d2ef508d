"""The ``strata`` command."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import click

from app import doctor as diagnosis
from app import serving
from app.commands.background import jobs, worker
from app.commands.common import Progress, database_url_option, in_words, json_option, run, say, settings_of
from app.commands.completion import completion
from app.commands.dumps import backup, restore
from app.commands.keys import key
from app.commands.protected import secrets, sweep
from app.commands.servers import demo, serve
from app.domain.model import Plan, Project
from app.services import identity, operator, projects, transfer
from app.settings import Settings
from app.storage import migrations
from app.storage.embedded import EmbeddedError
from schema.root import schema_text


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="strata", prog_name="strata")
def main() -> None:
    """Environments for JSON data: fork, edit, compare, checkpoint and roll back.

    'strata demo' shows it with a sample project; 'strata serve' is the server. Settings come from STRATA_* variables.

    Exit codes: 0 done, 1 refused or something is wrong, 2 the command line cannot be read, 3 the database cannot be
    reached.
    """


main.add_command(serve)
main.add_command(demo)
main.add_command(key)
main.add_command(worker)
main.add_command(jobs)
main.add_command(secrets)
main.add_command(sweep)
main.add_command(backup)
main.add_command(restore)
main.add_command(completion)


@main.command()
@database_url_option
@json_option
@in_words
def migrate(database_url: str | None, as_json: bool) -> None:
    """Bring the database up to date; safe when several processes do so at once.

    \b
    strata migrate --database-url postgresql://strata@db/strata
    """
    with serving.database(settings_of(database_url), migrate=False) as found:
        applied = asyncio.run(migrations.migrate(found.owner_dsn))
    say(f"{len(applied)} migrations applied." if applied else "Nothing to do.", {"applied": applied}, as_json)


@main.command()
@database_url_option
@json_option
@in_words
def doctor(database_url: str | None, as_json: bool) -> None:
    """Say in words what is wrong with this installation. Exit code 1 if something is.

    \b
    strata doctor
    strata doctor --json
    """
    settings = settings_of(database_url)
    findings = list(diagnosis.look_at_machine(settings))
    if all(finding.level != "problem" for finding in findings):
        try:
            with serving.database(settings, migrate=False) as found:
                external = settings.database_url is not None
                looked = asyncio.run(diagnosis.look_at_database(found.direct_dsn, external=external))
                findings += looked
                if looked[0].level == "ok":
                    findings += serving.run_at(found, lambda: diagnosis.look_inside(settings))
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
    """Print the GraphQL schema.

    \b
    strata export-schema > schema.graphql
    """
    click.echo(schema_text(), nl=False)


@main.group()
def project() -> None:
    """Make and list projects, and set their plan."""


def _project_value(found: Project) -> dict[str, Any]:
    return {"id": found.id, "name": found.name, "plan": found.plan, "production_uuid": str(found.production_uuid)}


@project.command("create")
@click.argument("name")
@click.option("--owner", required=True, help="E-mail address of the account that will own it.")
@database_url_option
@json_option
@in_words
def project_create(name: str, owner: str, database_url: str | None, as_json: bool) -> None:
    """Make a project.

    \b
    strata project create Shop --owner ada@example.com
    """

    async def work() -> Project:
        return await projects.create(await operator.actor(owner), name, Settings.from_env().default_plan)

    found = run(database_url, work)
    say(f"Project {found.id}: {found.name}", _project_value(found), as_json)


@project.command("list")
@database_url_option
@json_option
@in_words
def project_list(database_url: str | None, as_json: bool) -> None:
    """List all projects of this installation.

    \b
    strata project list --json
    """
    found = run(database_url, operator.list_projects)
    if as_json:
        click.echo(json.dumps([_project_value(item) for item in found]))
        return
    for item in found:
        click.echo(f"{item.id:6}  {item.plan:10}  {item.name}")


@project.command("set-plan")
@click.argument("project_id", type=int)
@click.argument("plan", type=click.Choice([plan.value for plan in Plan]))
@database_url_option
@json_option
@in_words
def project_set_plan(project_id: int, plan: str, database_url: str | None, as_json: bool) -> None:
    """Set the plan of a project.

    \b
    strata project set-plan 1 premium
    """
    found = run(database_url, lambda: operator.set_plan(project_id, Plan(plan)))
    say(f"Project {found.id} has the plan {found.plan}.", _project_value(found), as_json)


@main.group()
def account() -> None:
    """Make accounts, and give them new passwords."""


@account.command("create")
@click.argument("email")
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True, envvar="STRATA_PASSWORD")
@database_url_option
@json_option
@in_words
def account_create(email: str, password: str, database_url: str | None, as_json: bool) -> None:
    """Make an account; asks for the password unless STRATA_PASSWORD has it.

    \b
    strata account create ada@example.com
    """
    found = run(database_url, lambda: identity.register(email, password))
    say(f"Account {found.email}", {"uuid": str(found.uuid), "email": found.email}, as_json)


@account.command("password")
@click.argument("email")
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True, envvar="STRATA_PASSWORD")
@database_url_option
@json_option
@in_words
def account_password(email: str, password: str, database_url: str | None, as_json: bool) -> None:
    """Give an account a new password, and end its sessions; asks for it unless STRATA_PASSWORD has it.

    \b
    strata account password ada@example.com
    """

    async def work() -> None:
        await identity.set_password((await operator.actor(email)).account_uuid, password)

    run(database_url, work)
    say(f"{email} has a new password.", {"email": email}, as_json)


@main.command()
@click.argument("email")
@database_url_option
@json_option
@in_words
def token(email: str, database_url: str | None, as_json: bool) -> None:
    """Print an access token of an account, for trying things out.

    \b
    curl -H "Authorization: Bearer $(strata token ada@example.com)" http://127.0.0.1:8000/api/auth/me
    """
    seconds = Settings.from_env().token_seconds
    text = run(database_url, lambda: operator.token(email, seconds))
    say(text, {"access_token": text, "token_type": "bearer", "expires_in": seconds}, as_json)


@main.command("import")
@click.argument("project_id", type=int)
@click.argument("file", type=click.File("rb"))
@click.option("--as", "email", required=True, help="E-mail address of the account that imports.")
@click.option("--env", default=None, help="Environment to import into.  [default: production]")
@database_url_option
@json_option
@in_words
def import_(
    project_id: int, file: BinaryIO, email: str, env: str | None, database_url: str | None, as_json: bool
) -> None:
    """Import NDJSON lines {"kind", "key", "data"} from FILE ('-' for standard input): all, or none.

    \b
    strata import 1 shop.ndjson --as ada@example.com
    zcat shop.ndjson.gz | strata import 1 - --as ada@example.com --env staging
    """

    async def chunks() -> AsyncIterator[bytes]:
        read, progress = 0, Progress()
        while chunk := file.read(1 << 20):
            yield chunk
            read += len(chunk)
            progress("read", read)
        progress.end()

    async def work() -> transfer.Imported:
        return await transfer.import_documents(await operator.actor(email), project_id, env, chunks())

    done = run(database_url, work)
    value = {"lines": done.lines, "created": done.created, "changed": done.changed, "unchanged": done.unchanged}
    text = f"{done.lines} lines: {done.created} created, {done.changed} changed, {done.unchanged} unchanged."
    say(text, value, as_json)


@main.command()
@click.argument("project_id", type=int)
@click.option("--as", "email", required=True, help="E-mail address of the account that exports.")
@click.option("--env", default=None, help="Environment to export.  [default: production]")
@click.option("--kind", default=None, help="Only documents of this kind.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File.  [default: standard output]")
@database_url_option
@in_words
def export(
    project_id: int, email: str, env: str | None, kind: str | None, output: Path | None, database_url: str | None
) -> None:
    """Export all documents that an environment shows, as NDJSON.

    \b
    strata export 1 --as ada@example.com --output shop.ndjson
    strata export 1 --as ada@example.com --env staging --kind user | gzip > users.ndjson.gz
    """

    async def work() -> None:
        stream = await transfer.export_documents(await operator.actor(email), project_id, env, kind=kind)
        with output.open("wb") if output else nullcontext(sys.stdout.buffer) as file:
            written, progress = 0, Progress()
            async for chunk in stream:
                file.write(chunk)
                written += len(chunk)
                progress("written", written)
            progress.end()

    run(database_url, work)
