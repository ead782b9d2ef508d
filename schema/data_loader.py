"""The DataLoader of this schema."""

import asyncio
from typing import TypeVar

import aiodataloader

K = TypeVar("K")
V = TypeVar("V")


class DataLoader(aiodataloader.DataLoader[K, V]):
    """A loader whose callers do not take from one another what they wait for.

    Where a field fails that cannot be null, the fields beside it are cancelled, and with each of them what it awaits:
    were that the loader's own future, all others who asked for the same key would be cancelled too, and the request.
    """

    def load(self, key: K) -> "asyncio.Future[V]":
        """Return what belongs to the key, as a future of the caller's own."""
        shared = super().load(key)
        shared.add_done_callback(_seen)
        own = asyncio.shield(shared)
        own.add_done_callback(_seen)
        return own


def _seen(future: "asyncio.Future[V]") -> None:
    # Whoever was cancelled in the moment of failure does not look at it, and the loop would log its text.
    if not future.cancelled():
        future.exception()
