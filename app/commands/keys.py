"""``strata key``: API keys of projects, and the key that signs access tokens."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from app.commands.common import database_url_option, in_words, json_option, run, say
from app.domain.model import Scope
from app.services import api_keys, operator
from app.storage.accounts import ApiKey


@click.group()
def key() -> None:
    """Make, list and revoke API keys; replace the key that signs users' tokens."""


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
@click.option("--days", type=click.IntRange(1, 366), default=None, help="Days that it works.  [default: for good]")
@database_url_option
@json_option
@in_words
def create(
    project_id: int,
    name: str,
    owner: str,
    scopes: tuple[str, ...],
    days: int | None,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Make an API key of a project and print it, this once.

    \b
    strata key create 1 ci --owner ada@example.com --scope read --scope write --days 90
    """
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)

    async def work() -> api_keys.CreatedKey:
        actor = await operator.actor(owner)
        return await api_keys.create(actor, project_id, name, [Scope(item) for item in scopes], expires_at)

    created = run(database_url, work)
    assert created.secret is not None
    say(created.secret, {**_value(created.key), "key": created.secret}, as_json)


@key.command("list")
@click.argument("project_id", type=int)
@database_url_option
@json_option
@in_words
def list_(project_id: int, database_url: str | None, as_json: bool) -> None:
    """List the API keys of a project, newest first.

    \b
    strata key list 1
    """
    found = run(database_url, lambda: operator.list_keys(project_id))
    lines = [f"{item.prefix}  {_state(item):22}  {','.join(item.scopes):12}  {item.name}" for item in found]
    say("\n".join(lines) or "None.", [_value(item) for item in found], as_json)


@key.command("revoke")
@click.argument("prefix_or_uuid", metavar="KEY")
@database_url_option
@json_option
@in_words
def revoke(prefix_or_uuid: str, database_url: str | None, as_json: bool) -> None:
    """Revoke the API key with this prefix or UUID for good. Servers refuse it within a second.

    \b
    strata key revoke sk_4f1d2c9a
    """
    revoked = run(database_url, lambda: operator.revoke_key(prefix_or_uuid))
    say(f"{revoked.prefix} is revoked.", _value(revoked), as_json)


@key.command("rotate")
@click.option("--at-once", is_flag=True, help="Take no token of the old keys any more: they leaked, or are lost.")
@database_url_option
@json_option
@in_words
def rotate(at_once: bool, database_url: str | None, as_json: bool) -> None:
    """Replace the key that signs users' access tokens.

    Tokens that the old key signed are taken until they expire. Running servers need no restart.

    \b
    strata key rotate
    strata key rotate --at-once
    """
    kid = run(database_url, lambda: operator.rotate_signing_key(at_once=at_once))
    say(f"New tokens are signed with {kid} from now on.", {"kid": kid}, as_json)


def _value(item: ApiKey) -> dict[str, Any]:
    return {
        "uuid": str(item.uuid),
        "project_id": item.project_id,
        "name": item.name,
        "prefix": item.prefix,
        "scopes": list(item.scopes),
        "created_at": item.created_at.isoformat(),
        "expires_at": _iso(item.expires_at),
        "revoked_at": _iso(item.revoked_at),
        "last_used_at": _iso(item.last_used_at),
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _state(item: ApiKey) -> str:
    if item.revoked_at is not None:
        return "revoked"
    if item.expires_at is not None and item.expires_at <= datetime.now(UTC):
        return "expired"
    return f"used {item.last_used_at:%Y-%m-%d %H:%M}" if item.last_used_at else "never used"
