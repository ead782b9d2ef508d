"""Reading the audit trail: for owners and admins, and for keys with the scope ``admin``."""

from dataclasses import replace
from datetime import UTC, datetime

from app.domain.audit import Action, Filter, Recorded
from app.domain.errors import ValidationFailed
from app.domain.model import Actor
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.policy import Operation
from app.services import access
from app.services.operation import operation
from app.storage import audit


@operation(Action.READ_AUDIT, once=False)
async def list_entries(
    actor: Actor, project_id: int, wanted: Filter | None = None, *, limit: int = 50, cursor: str | None = None
) -> Page[Recorded]:
    """Return the rows that meet the filter, newest first. Raises ProjectNotFound, Forbidden, ValidationFailed."""
    await access.authorize(actor, project_id, Operation.READ_AUDIT)
    check_limit(limit)
    wanted = wanted or Filter()
    wanted = replace(wanted, since=_moment("since", wanted.since), until=_moment("until", wanted.until))
    before = int(decode_cursor(cursor, int)[0]) if cursor else None
    found = await audit.list_page(project_id, wanted, limit + 1, before)
    return Page(found[:limit], encode_cursor(found[limit - 1].number) if len(found) > limit else None)


def _moment(name: str, time: datetime | None) -> datetime | None:
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValidationFailed("A time needs an offset, as in 2030-01-31T12:00:00Z.", field=name)
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValidationFailed("The time lies beyond the calendar.", field=name) from None


@operation(Action.READ_AUDIT, once=False)
async def first_broken(actor: Actor, project_id: int) -> int | None:
    """Return the number at which the trail is no longer what was written; None if it is whole and true."""
    await access.authorize(actor, project_id, Operation.READ_AUDIT)
    return await audit.first_broken(project_id)
