"""Whether this process can do its work, and what it lacks."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass
from typing import Final

from app.domain.errors import DatabaseUnavailable
from app.storage.probe import Probe

KNOWN_SECONDS: Final = 0.5
"""How long a look is good for: whoever asks more often is told the same."""

_LOOKING_SECONDS: Final = 1.8


@dataclass(frozen=True, slots=True)
class Health:
    """``parts`` says of each whether it is there, as far as one can tell; ``ready`` whether requests can be answered.

    Without its listener a server hears of news by looking once a second, and jobs wait for another process: both are
    told, neither is a reason to send requests elsewhere.
    """

    parts: Mapping[str, bool]

    @property
    def ready(self) -> bool:
        return self.parts["database"] and self.parts.get("migrations", False)

    @property
    def missing(self) -> list[str]:
        return [name for name, there in self.parts.items() if not there]


class Watch:
    """Looks at the database of ``dsn`` and at ``parts`` of this process, once for all who ask at the same time."""

    def __init__(self, dsn: str, parts: Mapping[str, Callable[[], bool]]) -> None:
        self._probe = Probe(dsn)
        self._parts = parts
        self._migrated = False
        self._looking: asyncio.Task[Health] | None = None
        self._looked_at = 0.0

    async def look(self) -> Health:
        """Return how things stand, after two seconds at the most."""
        looking = self._looking
        if looking is None or (looking.done() and time.monotonic() - self._looked_at > KNOWN_SECONDS):
            looking = self._looking = asyncio.get_running_loop().create_task(self._look(), context=Context())
        return await asyncio.shield(looking)

    async def _look(self) -> Health:
        reached = False
        try:
            async with asyncio.timeout(_LOOKING_SECONDS):
                if self._migrated:
                    await self._probe.reach()
                else:
                    self._migrated = not await self._probe.missing_migrations()
                reached = True
        except (DatabaseUnavailable, TimeoutError):
            pass
        finally:
            self._looked_at = time.monotonic()
        own = {name: there() for name, there in self._parts.items()}
        migrations = {"migrations": self._migrated} if reached else {}
        return Health({"database": reached} | migrations | own)

    def close(self) -> None:
        """Look no more."""
        self._probe.close()
