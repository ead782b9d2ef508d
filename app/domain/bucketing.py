"""Which variant of an A/B test a user sees: a function of the user and the test's seed alone (semantics §5)."""

from enum import StrEnum
from hashlib import sha256
from typing import Final

BUCKETS: Final = 100


class Variant(StrEnum):
    """A side of a test: A is the control, B what is tried."""

    A = "A"
    B = "B"


def bucket(user: str, seed: str) -> int:
    """Return the user's bucket, 0 to 99: the same on every machine and after every restart.

    ``seed`` belongs to the test and never changes; another seed deals all users anew. Source: semantics §5, the first
    8 bytes of SHA-256 over the UTF-8 of user and seed, big-endian, modulo 100; the built-in ``hash`` differs from
    process to process. Raises ValueError on an empty seed.
    """
    if not seed:
        raise ValueError("a seed must not be empty")
    return int.from_bytes(sha256(f"{user}{seed}".encode()).digest()[:8], "big") % BUCKETS


def variant(user: str, seed: str, split_pct: int) -> Variant:
    """Return the user's side of a test that gives ``split_pct`` percent of all users variant B."""
    return Variant.B if bucket(user, seed) < split_pct else Variant.A
