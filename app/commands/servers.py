"""``strata serve`` and ``strata demo``."""

import asyncio
from dataclasses import replace

import click

from app import demo as sample
from app import doctor, serving
from app.commands.common import database_url_option, in_words, settings_of
from app.setting_values import read_trusted_documents
from app.settings import Settings
from app.storage.embedded import default_data_dir


@click.command()
@click.option("--host", default=None, help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), default=None, help="Port to listen on.  [default: 8000]")
@click.option(
    "--trusted-documents",
    envvar="STRATA_TRUSTED_DOCUMENTS",
    metavar="FILE",
    help="JSON with GraphQL documents by id, or a manifest of Apollo's: only these run.",
)
@click.option(
    "--workers", type=click.IntRange(1, 256), default=None, help="Processes that serve the same address.  [default: 1]"
)
@click.option(
    "--hardened",
    is_flag=True,
    help="Offer nothing that production does without: no GraphiQL, no schema without a token, no queries by GET, no"
    " suggestions; and start on no database that is set up unsafely.",
)
@database_url_option
@in_words
def serve(
    host: str | None,
    port: int | None,
    trusted_documents: str | None,
    workers: int | None,
    hardened: bool,
    database_url: str | None,
) -> None:
    """Serve the API until stopped by Ctrl-C or SIGTERM; requests under way are answered first, for ten seconds.

    \b
    strata serve --port 8080
    strata serve --database-url postgresql://strata@db/strata --workers 4 --hardened
    """
    settings = replace(settings_of(database_url), trusted_documents=read_trusted_documents(trusted_documents))
    settings = replace(settings, workers=workers or settings.workers)
    if hardened:
        settings = settings.hardened_form()
    address = host or settings.host
    listening = serving.listening_socket(address, settings.port if port is None else port)
    with serving.database(settings, own=True) as found:
        if settings.hardened:
            _refuse_what_is_unsafe(settings, found)
        url = serving.url_of(listening, address)
        serving.serve(settings, listening, found, lambda: click.echo(f"Strata serves {url}"))


@click.command()
@click.option("--host", default=None, help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), default=None, help="Port; the next free one if it is taken.")
@database_url_option
@in_words
def demo(host: str | None, port: int | None, database_url: str | None) -> None:
    """Serve a sample project: a shop with users, orders, two environments and a checkpoint.

    Its data lie in a folder of their own; login and API key are new at each start.

    \b
    strata demo
    """
    settings = settings_of(database_url)
    if settings.data_dir is None:
        settings = replace(settings, data_dir=default_data_dir().with_name("strata-demo"))
    address = host or settings.host
    listening = serving.listening_socket(address, settings.port if port is None else port, search=port is None)
    with serving.database(settings, own=True) as found:
        prepared = serving.run_at(found, sample.prepare)
        url = serving.url_of(listening, address)
        serving.serve(settings, listening, found, lambda: click.echo(sample.welcome(url, prepared)))


def _refuse_what_is_unsafe(settings: Settings, found: serving.Database) -> None:
    """Raises CannotStart."""
    wrong = asyncio.run(doctor.unsafe(found.direct_dsn, external=settings.database_url is not None))
    if wrong:
        raise serving.CannotStart("A hardened server does not start here. " + " ".join(wrong))
