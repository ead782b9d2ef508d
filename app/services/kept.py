"""What this process knows of things that others change: never more than a second old, and read by nobody's request.

What is asked for again and again is read anew ahead of time, and at once when there are news of it.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from app.domain.errors import NotFound

TRUSTED_SECONDS: Final = 1.0
# Read anew from then on, but still trusted: no request waits for the reading.
AHEAD_SECONDS: Final = 0.4
# News that come one upon the other are read together.
_TOGETHER_SECONDS: Final = 0.05

Key = TypeVar("Key", bound=Hashable)
Seen = TypeVar("Seen")


@dataclass(slots=True)
class _Entry(Generic[Seen]):
    seen: Seen | None = None
    # Of this process's clock, before the reading began.
    read_at: float = 0.0
    # When it is to be read anew at the latest.
    due: float = 0.0
    reading: "asyncio.Task[None] | None" = None


class Kept(Generic[Key, Seen]):
    """Things by their keys, as ``read`` returns them, which is given the key and what was read before.

    At most ``limit`` of them: those that were asked for first go first.
    """

    def __init__(self, read: Callable[[Key, Seen | None], Awaitable[Seen]], limit: int) -> None:
        self._read = read
        self._limit = limit
        self._entries: OrderedDict[Key, _Entry[Seen]] = OrderedDict()

    def at_hand(self, key: Key, now: float) -> Seen | None:
        """Return the thing if nothing has to be done for it at ``now``, a time of ``monotonic``: nearly always."""
        entry = self._entries.get(key)
        return entry.seen if entry is not None and now < entry.due else None

    async def get(self, key: Key) -> Seen:
        """Return the thing as it was at most a second ago. Raises what ``read`` raises."""
        now = time.monotonic()
        entry = self._entry(key)
        known = entry.seen
        if known is not None:
            if now < entry.due:
                return known
            if now - entry.read_at < TRUSTED_SECONDS:
                self._begin_reading(key, entry)
                return known
        return await self._newer(key, entry, now - TRUSTED_SECONDS)

    async def get_newer(self, key: Key, than: float) -> Seen:
        """Return the thing as it was after ``than``, a time of ``monotonic``. Raises what ``read`` raises."""
        return await self._newer(key, self._entry(key), than)

    def age(self, key: Key) -> float:
        """Return how many seconds ago what ``get`` returns was read."""
        entry = self._entries.get(key)
        return 0.0 if entry is None else time.monotonic() - entry.read_at

    def stale(self, key: Key) -> None:
        """Read it anew when it is asked for next; for whoever hears of news."""
        entry = self._entries.get(key)
        if entry is not None and entry.seen is not None:
            entry.due = min(entry.due, entry.read_at + _TOGETHER_SECONDS)

    def all_stale(self) -> None:
        """Read everything anew; for whoever may have missed news."""
        for key in self._entries:
            self.stale(key)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def _entry(self, key: Key) -> _Entry[Seen]:
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
            if len(self._entries) > self._limit:
                self._entries.popitem(last=False)
        return entry

    async def _newer(self, key: Key, entry: _Entry[Seen], needed: float) -> Seen:
        while entry.seen is None or entry.read_at < needed:
            await asyncio.shield(self._begin_reading(key, entry))
        return entry.seen

    def _begin_reading(self, key: Key, entry: _Entry[Seen]) -> "asyncio.Task[None]":
        if entry.reading is None or entry.reading.done():
            # Beside the caller's transaction, in which its statements would see an older moment.
            reading = asyncio.get_running_loop().create_task(self._renew(key, entry), context=Context())
            reading.add_done_callback(_seen)
            entry.reading = reading
        return entry.reading

    async def _renew(self, key: Key, entry: _Entry[Seen]) -> None:
        began = time.monotonic()
        try:
            entry.seen = await self._read(key, entry.seen)
        except NotFound:
            self._entries.pop(key, None)
            raise
        entry.read_at = began
        entry.due = began + AHEAD_SECONDS


def _seen(task: "asyncio.Task[None]") -> None:
    # A failed reading that nobody waited for is no loss: whoever needs it will read again.
    if not task.cancelled():
        task.exception()
