"""Telling clients that flags may have another value now (OFREP 0.3, ``eventStreams``)."""

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime

from app.domain.events import cursor_at
from app.domain.policy import Operation
from app.services import access, evaluation, live
from app.services.passes import Pass


@dataclass(frozen=True, slots=True)
class FlagsChanged:
    """That flags changed. ``tag`` is that of all that they are made of, ``cursor`` where to go on after a break."""

    cursor: str
    tag: str
    at: datetime


async def follow(
    bearer: Pass, project_id: int, after: str | None = None, *, seen: str | None = None
) -> AsyncGenerator[FlagsChanged]:
    """Return each change of what flags are made of, from now on.

    There is one at once for whoever comes back with the cursor ``after``, or has ``seen`` another tag. Documents of
    users are none of it. To be awaited, and raising, as ``live.events``.
    """
    await access.authorize(bearer.actor, project_id, Operation.EVALUATE)
    live.opened()
    version = None if after is None else await live.known_version(project_id, after)
    return _changes(bearer, project_id, version, seen)


async def _changes(bearer: Pass, project_id: int, after: int | None, seen: str | None) -> AsyncGenerator[FlagsChanged]:
    async with live.joined(bearer, project_id, None) as happening:
        found = await evaluation.kept.get_newer(project_id, time.monotonic())
        told = found.tag(time.monotonic())
        if after < found.version if after is not None else seen not in (None, told):
            yield FlagsChanged(cursor_at(project_id, found.version), told, datetime.now(UTC))
        async for event in happening:
            bearer.check(event)
            if event.version <= found.version:
                continue
            found = await evaluation.kept.get_newer(project_id, time.monotonic())
            tag = found.tag(time.monotonic())
            if tag != told:
                told = tag
                yield FlagsChanged(cursor_at(project_id, found.version), tag, event.created_at)
