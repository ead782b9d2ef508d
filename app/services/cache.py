"""A cache of merged documents that cannot be stale.

An entry is used only if the statement that would read the layers finds their versions unchanged, so it needs
no invalidation and works with any number of processes on one database.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final
from uuid import UUID

OVERHEAD_BYTES: Final = 600

CacheKey = tuple[int, str | None, str, str]
"""Project, environment reference as the request gave it, kind, key."""


@dataclass(frozen=True, slots=True)
class Merged:
    """A document as it is sent, the layers it was merged from, and how often lists of protected fields had changed."""

    generation_uuid: UUID
    layer_versions: list[int]
    list_version: int
    version: str
    content: bytes


class MergeCache:
    """Least recently used entries go first once ``limit`` bytes are held."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self.hits = 0
        self.misses = 0
        self._entries: OrderedDict[CacheKey, Merged] = OrderedDict()

    def get(self, key: CacheKey) -> Merged | None:
        """Return the entry of ``key``, yet to be validated."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: CacheKey, entry: Merged) -> None:
        """Hold ``entry`` unless it alone would fill more than an eighth of the cache."""
        self.discard(key)
        size = self._size(key, entry)
        if size * 8 > self.limit:
            return
        self._entries[key] = entry
        self.held += size
        while self.held > self.limit:
            oldest, dropped = self._entries.popitem(last=False)
            self.held -= self._size(oldest, dropped)

    def discard(self, key: CacheKey) -> None:
        """Drop the entry of ``key``, if there is one."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.held -= self._size(key, entry)

    @staticmethod
    def _size(key: CacheKey, entry: Merged) -> int:
        return OVERHEAD_BYTES + len(entry.content) + 8 * len(entry.layer_versions) + 2 * len(key[3])
