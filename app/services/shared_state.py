"""What all processes agree on within a second: which tokens are revoked, which keys sign and verify."""

import asyncio
import time
from contextvars import Context
from typing import Final
from uuid import UUID

from app.storage import revocations

TRUSTED_SECONDS: Final = 1.0
# Read anew from then on, but still trusted: under load no request waits for the reading.
_AHEAD_SECONDS: Final = 0.5


class SharedState:
    """The revoked tokens that may still be presented, and the keys in use; read again as it is asked for."""

    def __init__(self) -> None:
        self.keys: frozenset[tuple[str, bool]] = frozenset()
        self._revoked: dict[UUID, float] = {}
        self._since = revocations.ALWAYS
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    def is_recent(self) -> bool:
        """Return whether nothing needs to be read yet."""
        return time.monotonic() - self._read_at < _AHEAD_SECONDS

    async def catch_up(self) -> None:
        """See to it that what is known is no older than a second. Raises DatabaseUnavailable."""
        needed = time.monotonic() - TRUSTED_SECONDS
        self._begin_reading()
        while self._read_at < needed:
            await asyncio.shield(self._begin_reading())

    def _begin_reading(self) -> "asyncio.Task[None]":
        if self._reading is None or self._reading.done():
            # Beside the caller's transaction, in which its statement would see an older moment.
            self._reading = asyncio.get_running_loop().create_task(self._read(), context=Context())
            self._reading.add_done_callback(_seen)
        return self._reading

    async def _read(self) -> None:
        began = time.monotonic()
        news = await revocations.news(self._since)
        if news.revoked.keys() - self._revoked.keys():
            now = time.time()
            known = {**self._revoked, **news.revoked}
            self._revoked = {uuid: until for uuid, until in known.items() if until > now}
        self.keys, self._since, self._read_at = news.keys, news.read_at, began

    def is_revoked(self, token_id: UUID, session_uuid: UUID | None) -> bool:
        """Return whether the token, or the session it belongs to, is revoked."""
        return token_id in self._revoked or session_uuid in self._revoked

    async def revoke(self, uuids: list[UUID], seconds: float) -> None:
        """Revoke tokens or sessions, none of whose tokens lives longer than ``seconds``: at once here, and within
        a second in every other process."""
        await revocations.revoke(uuids, seconds)
        until = time.time() + seconds
        self._revoked.update(dict.fromkeys(uuids, until))


def _seen(task: "asyncio.Task[None]") -> None:
    # A failed reading that nobody waited for is no loss: whoever needs it will read again.
    if not task.cancelled():
        task.exception()
