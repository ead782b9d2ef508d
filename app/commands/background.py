"""``strata worker`` and ``strata jobs``: background work apart from a server, and what became of it."""

import json

import click

from app import serving
from app.commands.common import database_url_option, in_words, json_option, run, say, settings_of
from app.services import jobs as service


@click.command()
@database_url_option
@in_words
def worker(database_url: str | None) -> None:
    """Do background work until stopped by Ctrl-C or SIGTERM.

    'strata serve' does it, too, unless STRATA_WORKER is 'apart'; any number of both may run.

    \b
    strata worker --database-url postgresql://strata@db/strata
    """
    settings = settings_of(database_url)
    with serving.database(settings) as found:
        serving.work(settings, found, lambda: click.echo("Strata works"))


@click.group()
def jobs() -> None:
    """Look at background work that failed, and have it tried again."""


@jobs.command("failed")
@database_url_option
@json_option
@in_words
def failed(database_url: str | None, as_json: bool) -> None:
    """List the jobs that failed so often that they were laid aside.

    \b
    strata jobs failed --json
    """
    found = run(database_url, service.dead_jobs)
    if as_json:
        rows = [
            {"kind": dead.kind, "count": dead.count, "since": dead.since.isoformat(), "failure": dead.failure}
            for dead in found
        ]
        click.echo(json.dumps(rows))
        return
    for dead in found:
        click.echo(f"{dead.count:6}  {dead.kind:24}  since {dead.since:%Y-%m-%d %H:%M}  {dead.failure or ''}")


@jobs.command("retry")
@database_url_option
@json_option
@in_words
def retry(database_url: str | None, as_json: bool) -> None:
    """Put the jobs that were laid aside back into the queue.

    \b
    strata jobs retry
    """
    count = run(database_url, service.revive)
    say(f"{count} jobs will be tried again.", {"jobs": count}, as_json)
