"""``strata sweep`` and ``strata secrets``: protected values behind the scenes."""

import asyncio

import click

from app import serving
from app.commands.common import database_url_option, in_words, json_option, run, say, settings_of
from app.services import rotation, sweeping
from app.storage.scrub import scrub


@click.command()
@click.option(
    "--scrub",
    "scrubs",
    is_flag=True,
    help="Write the tables anew afterwards, so that their files keep no old row versions; each is locked meanwhile.",
)
@database_url_option
@json_option
@in_words
def sweep(scrubs: bool, database_url: str | None, as_json: bool) -> None:
    """Take protected values out of all that was stored before their place was protected.

    Servers do so by themselves; this waits until it is done.

    \b
    strata sweep --scrub
    """

    async def work() -> list[int]:
        found = await sweeping.unswept()
        for project_id in found:
            while await sweeping.sweep(project_id):
                pass
        return found

    settings = settings_of(database_url)
    with serving.database(settings) as found:
        swept = serving.run_at(found, work)
        if scrubs:
            asyncio.run(scrub(found.owner_dsn))
    text = f"{len(swept)} projects swept." if swept else "Nothing to sweep."
    say(text + (" The tables are written anew." if scrubs else ""), {"projects": swept, "scrubbed": scrubs}, as_json)


@click.group()
def secrets() -> None:
    """Replace the keys that protected values are encrypted with."""


@secrets.command("rotate")
@database_url_option
@json_option
@in_words
def rotate(database_url: str | None, as_json: bool) -> None:
    """Encrypt all protected values with new keys, one for each project.

    One that was interrupted goes on where it stopped. Old keys are destroyed within the hour after the next.

    \b
    strata secrets rotate
    """
    done = run(database_url, rotation.rotate_all)
    count = sum(done.values())
    say(
        f"{count} values of {len(done)} projects are encrypted with new keys.",
        {"projects": {str(project_id): number for project_id, number in done.items()}},
        as_json,
    )
