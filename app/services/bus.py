"""The bus: tells everybody in this process who follows a project what happens there, from the table of events.

A wake says that there is something to read, never what; each project's events are read once for all who follow it.
A subscriber is a cursor: what it has not taken yet is kept once for all, and beyond that read from the table again,
so a burst of events costs no memory per subscriber and is no reason to lose one.
"""

import asyncio
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Final

from app.domain.errors import DatabaseUnavailable
from app.domain.events import Event, ResyncRequired, TooManySubscribers, TooSlow
from app.services import evaluation, routing
from app.services.failures import log_failure
from app.storage import changes, events
from app.storage.listening import Listener

POLL_SECONDS: Final = 1.0
KEPT: Final = 256
PAGE: Final = 200
MOST_WAITING: Final = 100
MOST_CONNECTIONS: Final = 1_000
SLOW_SECONDS: Final = 5.0
_CLOSING_SECONDS: Final = 3.0


class Channel:
    """What this process knows of one project's events: all from ``start`` to ``position``, exclusive to inclusive."""

    def __init__(self, project_id: int, version: int) -> None:
        self.project_id = project_id
        self.start = self.position = version
        self.counted = version
        self.subscribers: set[Subscriber] = set()
        self.connections: Counter[object] = Counter()
        self.news = asyncio.Event()
        self._recent: list[Event] = []
        self._wanted = asyncio.Event()
        self._reader = asyncio.get_running_loop().create_task(self._read(), context=Context())

    def wake(self) -> None:
        """Have new events read."""
        self._wanted.set()

    def after(self, version: int) -> list[Event]:
        """Return the events known that are newer than ``version``, which is not before ``start``."""
        return self._recent[bisect_right(self._recent, version, key=_version) :]

    def count_after(self, version: int) -> int:
        """Return how many there are, at least; more than can be kept for whoever has fallen behind that."""
        if version < self.start:
            return KEPT + 1
        return len(self._recent) - bisect_right(self._recent, version, key=_version)

    def tell(self) -> None:
        """Let the subscribers look."""
        self.news.set()
        self.news.clear()

    def close(self) -> None:
        """Read no more."""
        self._reader.cancel()

    async def _read(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                while await self._read_page():
                    pass
            except DatabaseUnavailable:
                await asyncio.sleep(POLL_SECONDS / 2)
                self._wanted.set()
            except Exception as error:
                log_failure(error, "bus")
                await asyncio.sleep(POLL_SECONDS)
                self._wanted.set()

    async def _read_page(self) -> bool:
        found = await events.page(self.project_id, self.position, PAGE)
        for event in found:
            self._recent.append(event)
            self.position = event.version
        if len(self._recent) > KEPT:
            self.start = self._recent[-KEPT - 1].version
            del self._recent[:-KEPT]
        if found:
            self.tell()
        return len(found) == PAGE


def _version(event: Event) -> int:
    return event.version


class Subscriber:
    """An iterator over a project's events after ``cursor``, without end; each exactly once and in order.

    Ends when the bus is closed; raises TooSlow if it was not asked while too many events came.
    """

    def __init__(self, channel: Channel, cursor: int) -> None:
        self.cursor = cursor
        self._channel = channel
        self._found: list[Event] = []
        self._reached = cursor
        self._busy_since: float | None = None
        self._ended = False
        self._reason: TooSlow | None = None

    def __aiter__(self) -> "Subscriber":
        return self

    async def __anext__(self) -> Event:
        self._busy_since = None
        while not self._ended:
            if self._found:
                event = self._found.pop()
                self.cursor = event.version
                self._busy_since = time.monotonic()
                return event
            self.cursor = max(self.cursor, self._reached)
            found, self._reached = await self._next()
            self._found = found[::-1]
        raise self._reason or StopAsyncIteration

    async def _next(self) -> tuple[list[Event], int]:
        """Return the next events, if there are any now, and the version up to which there are no others."""
        if self.cursor < self._channel.start:
            return await self._from_table()
        found = self._channel.after(self.cursor)
        if not found:
            await self._channel.news.wait()
        return found, self.cursor

    async def _from_table(self) -> tuple[list[Event], int]:
        # What the channel knows now was committed before the page is read.
        known = self._channel.position
        try:
            found = await events.page(self._channel.project_id, self.cursor, PAGE)
        except DatabaseUnavailable:
            await asyncio.sleep(POLL_SECONDS)
            return [], self.cursor
        return found, known if len(found) < PAGE else self.cursor

    def is_slow(self, now: float) -> bool:
        """Return whether it has left too many events waiting for too long."""
        busy = self._busy_since is not None and now - self._busy_since > SLOW_SECONDS
        return busy and self._channel.count_after(self.cursor) > MOST_WAITING

    def end(self, reason: TooSlow | None = None) -> None:
        """End the iteration, as if there were nothing more, or with ``reason``; ``tell`` the channel then."""
        self._ended = True
        self._reason = reason


class Bus:
    """All the channels of this process."""

    def __init__(self, dsn: str) -> None:
        self._channels: dict[int, Channel] = {}
        self._listener = Listener(dsn, self._wake, self._wake_all)
        self._tasks: list[asyncio.Task[None]] = []
        self.closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self) -> None:
        """Begin to listen."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._listener.run()), loop.create_task(self._look())]

    @property
    def listens(self) -> bool:
        """Whether wakes are heard at the moment; without them, it looks once a second."""
        return self._listener.listens

    def figures(self) -> tuple[int, int, int]:
        """Return how many subscribers there are, on how many connections, and how many known versions are unread."""
        channels = self._channels.values()
        return (
            sum(len(channel.subscribers) for channel in channels),
            len({connection for channel in channels for connection in channel.connections}),
            sum(max(0, channel.counted - channel.position) for channel in channels),
        )

    async def close(self) -> None:
        """End every subscription and wait a moment until those who have them are gone; listen no more."""
        self.closed = True
        for channel in self._channels.values():
            for subscriber in channel.subscribers:
                subscriber.end()
            channel.tell()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), _CLOSING_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @asynccontextmanager
    async def subscribed(self, project_id: int, after: int | None, connection: object) -> AsyncIterator[Subscriber]:
        """Give a subscriber to what happens after ``after``, a version; None means from now on.

        ``connection`` is what the subscriber belongs to; it may have several. Raises ResyncRequired if the project has
        not come to that version yet, TooManySubscribers if so many connections follow it.
        """
        now = await changes.current_version(project_id)
        if after is not None and after > now:
            raise ResyncRequired
        channel = self._channels.get(project_id)
        if channel is None:
            channel = self._channels[project_id] = Channel(project_id, now)
            self._idle.clear()
        if connection not in channel.connections and len(channel.connections) >= MOST_CONNECTIONS:
            raise TooManySubscribers(MOST_CONNECTIONS)
        subscriber = Subscriber(channel, now if after is None else after)
        channel.subscribers.add(subscriber)
        channel.connections[connection] += 1
        if self.closed:
            subscriber.end()
        try:
            yield subscriber
        finally:
            channel.subscribers.discard(subscriber)
            channel.connections[connection] -= 1
            if not channel.connections[connection]:
                del channel.connections[connection]
            if not channel.subscribers and self._channels.get(project_id) is channel:
                channel.close()
                del self._channels[project_id]
            if not self._channels:
                self._idle.set()

    def _wake(self, project_id: int) -> None:
        routing.kept.stale(project_id)
        evaluation.kept.stale(project_id)
        channel = self._channels.get(project_id)
        if channel is not None:
            channel.wake()

    def _wake_all(self) -> None:
        routing.kept.all_stale()
        evaluation.kept.all_stale()
        evaluation.named.all_stale()
        for channel in self._channels.values():
            channel.wake()

    async def _look(self) -> None:
        """Look by itself: for news whose wake got lost, and for subscribers that are too slow."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self._end_slow()
            if not self._channels:
                continue
            try:
                counted = await changes.current_versions(list(self._channels))
            except DatabaseUnavailable:
                continue
            except Exception as error:
                log_failure(error, "bus")
                continue
            for project_id, version in counted.items():
                channel = self._channels.get(project_id)
                if channel is not None and version > channel.counted:
                    channel.counted = version
                    channel.wake()

    def _end_slow(self) -> None:
        now = time.monotonic()
        for channel in self._channels.values():
            slow = [subscriber for subscriber in channel.subscribers if subscriber.is_slow(now)]
            for subscriber in slow:
                subscriber.end(TooSlow())
            if slow:
                channel.tell()
