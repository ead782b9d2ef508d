"""Tickets for event streams of flags: browsers' streams cannot send a token, so the address has to let them in.

A ticket is good for one project and for nothing but to be told that flags have changed, as long as the API key is that
it was made for, and for two days at most. It is the same all day, so that clients keep their stream.
"""

import hmac
import re
from functools import lru_cache
from typing import Final
from uuid import UUID

from app.domain.errors import Unauthenticated
from app.domain.model import Actor, Scope
from app.services import digests
from app.services.passes import Pass
from app.storage import passes

DAY: Final = 24 * 60 * 60
_PURPOSE: Final = "tickets for event streams of flags"
_NOBODY: Final = UUID(int=0)
_parts: Final = re.compile(r"([1-9][0-9]{0,9})-([0-9a-f]{32})-([0-9]{1,7})-([0-9a-f]{64})", re.ASCII).fullmatch


def issue(holder: Actor, now: float) -> str | None:
    """Return the ticket of an API key at ``now``, in epoch seconds; None for a user."""
    if holder.key_uuid is None or holder.project_id is None:
        return None
    return _ticket(holder.project_id, holder.key_uuid, int(now) // DAY)


@lru_cache(maxsize=1_024)
def _ticket(project_id: int, key_uuid: UUID, day: int) -> str:
    said = f"{project_id}-{key_uuid.hex}-{day}"
    return f"{said}-{digests.keyed(_PURPOSE, said.encode()).hex()}"


async def admit(ticket: str, now: float) -> Pass:
    """Return the pass of who comes with a ticket. Raises Unauthenticated."""
    parts = _parts(ticket)
    if parts is None:
        raise _refused()
    project_id, key_uuid, day = int(parts[1]), UUID(parts[2]), int(parts[3])
    if not hmac.compare_digest(ticket, _ticket(project_id, key_uuid, day)):
        raise _refused()
    if not 0 <= int(now) // DAY - day <= 1 or not await passes.usable_among([(project_id, key_uuid)]):
        raise _refused()
    actor = Actor(_NOBODY, "event stream", key_uuid, project_id, frozenset({Scope.EVALUATE}))
    return Pass("", actor, ends_at=float((day + 2) * DAY))


def _refused() -> Unauthenticated:
    return Unauthenticated("This address is not good, or not any more: evaluate flags, and take the one you are given.")
