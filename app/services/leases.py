"""Points that this process has leased out of the shared buckets, so that most requests need no statement."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from contextvars import Context
from math import ceil
from typing import Final, TypeAlias
from uuid import UUID

from app.domain.errors import DatabaseUnavailable, RateLimited
from app.domain.model import Plan
from app.domain.rates import BURST_SECONDS, CHUNK_SECONDS, Payer
from app.storage import db, rate_buckets
from app.storage.rate_buckets import Bucket

MAX_HELD: Final = 10_000
# By then the bucket is full again without what was not used of the lease.
_GOOD_SECONDS: Final = float(BURST_SECONDS)
# Of its rate, what may be spent inside a transaction before it is leased.
_CREDIT_SECONDS: Final = 1.0

PayerKey: TypeAlias = tuple[Payer, int | UUID | str, bool]
"""Who pays, and whether out of the bucket for what is asked often."""


class _Held:
    """What is known of one bucket: points at hand, and at the latest lease what was left in it."""

    __slots__ = ("closed_until", "good_until", "leased_at", "leasing", "left", "per_second", "tokens")

    def __init__(self, per_second: float) -> None:
        self.tokens = 0.0
        self.good_until = 0.0
        self.closed_until = 0.0
        self.left = per_second * BURST_SECONDS
        self.per_second = per_second
        self.leased_at = 0.0
        self.leasing: asyncio.Task[None] | None = None

    @property
    def size(self) -> float:
        return self.per_second * BURST_SECONDS

    def left_at(self, now: float) -> float:
        return min(self.size - max(self.tokens, 0), self.left + (now - self.leased_at) * self.per_second)

    def seconds_until(self, points: float, now: float) -> float:
        """Return how long it takes until the bucket grants the points, if nobody else takes any."""
        needed = min(points - min(self.tokens, 0), self.size)
        return max(0.0, (needed - self.left_at(now)) / self.per_second)


class Leases:
    """The buckets that this process has to do with. ``rates`` are the points a second of each plan."""

    def __init__(self, rates: dict[Plan, float], bucket_of: Callable[[PayerKey], Bucket]) -> None:
        self._rates = rates
        self._bucket_of = bucket_of
        self._held: OrderedDict[PayerKey, _Held] = OrderedDict()

    def take(self, key: PayerKey, points: float) -> bool:
        """Spend points that are at hand; return False if they are not."""
        held = self._held.get(key)
        if held is None or held.tokens < points or held.good_until < time.monotonic():
            return False
        held.tokens -= points
        return True

    async def obtain(self, key: PayerKey, points: float) -> None:
        """Spend points that have yet to be leased. Raises RateLimited."""
        held = self._held.get(key) or self._add(key)
        if db.is_in_transaction():
            # Waiting here for another connection, with one in hand, could be waiting for ever.
            self._borrow(key, held, points)
            return
        while not self.take(key, points):
            now = time.monotonic()
            if now < held.closed_until:
                raise RateLimited(key[0].value, max(1, ceil(held.seconds_until(points, now))))
            await asyncio.shield(self._begin_leasing(key, held, points))

    def adjust(self, key: PayerKey, points: float) -> None:
        """Give points back that were spent for nothing, or owe more (a negative number)."""
        held = self._held.get(key)
        if held is not None:
            held.tokens += points

    def standing(self, key: PayerKey) -> tuple[int, int, int] | None:
        """Return the bucket's size, what is left of it, and the seconds until it is full again."""
        held = self._held.get(key)
        if held is None:
            return None
        left = max(0.0, held.tokens + held.left_at(time.monotonic()))
        return int(held.size), int(left), ceil((held.size - left) / held.per_second)

    def _add(self, key: PayerKey) -> _Held:
        held = self._held[key] = _Held(self._rates[Plan.FREE])
        if len(self._held) > MAX_HELD:
            self._held.popitem(last=False)
        return held

    def _borrow(self, key: PayerKey, held: _Held, points: float) -> None:
        now = time.monotonic()
        if now < held.closed_until or held.tokens < -held.per_second * _CREDIT_SECONDS:
            raise RateLimited(key[0].value, max(1, ceil(held.seconds_until(points, now))))
        held.tokens -= points
        if held.tokens < 0:
            self._begin_leasing(key, held, 0)

    def _begin_leasing(self, key: PayerKey, held: _Held, points: float) -> "asyncio.Task[None]":
        if held.leasing is None or held.leasing.done():
            # Beside the caller's transaction, which must not keep the bucket locked.
            work = self._lease(self._bucket_of(key), held, points)
            held.leasing = asyncio.get_running_loop().create_task(work, context=Context())
        return held.leasing

    async def _lease(self, bucket: Bucket, held: _Held, points: float) -> None:
        if held.good_until < time.monotonic():
            held.tokens = min(held.tokens, 0)
        needed = points - held.tokens
        try:
            lease = await rate_buckets.lease(bucket, needed, self._rates)
        except (DatabaseUnavailable, *db.RETRIABLE):
            # Limits protect what works; whoever needs the database will hear of it there.
            held.tokens, held.good_until = held.tokens + needed, time.monotonic() + CHUNK_SECONDS
            return
        now = time.monotonic()
        held.left, held.per_second, held.leased_at = lease.left, lease.per_second, now
        held.tokens += lease.granted
        if lease.granted:
            held.good_until = now + _GOOD_SECONDS
        else:
            held.closed_until = now + min(held.seconds_until(points, now), CHUNK_SECONDS)
