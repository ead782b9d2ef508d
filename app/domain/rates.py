"""How much may be asked for: points a second by plan, and what a request costs (hardening §3).

A bucket holds ten seconds of its rate and is refilled all the time. What reads costs a point, what changes something
five; a GraphQL operation costs what it may have to compute.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.domain.model import Plan

BURST_SECONDS: Final = 10
CHUNK_SECONDS: Final = 0.1
"""A process takes a tenth of a second's points at once, so that most requests need no statement."""
OFTEN_FACTOR: Final = 10
"""How much more may be asked of what is made to be asked all the time; that has buckets of its own."""

PER_SECOND: Final[Mapping[Plan, int]] = {
    Plan.FREE: 20,
    Plan.STARTER: 50,
    Plan.BASIC: 100,
    Plan.PRO: 200,
    Plan.PREMIUM: 1_000,
    Plan.ENTERPRISE: 2_000,
}
WITHOUT_PLAN: Final = Plan.FREE
"""Whose rate a client address without a token has, and an account that is in no project."""


class RateClass(StrEnum):
    """What kind of request a route takes.

    ``OFTEN`` is evaluation and the like. ``CONDITIONAL`` is a read that can say that nothing is new: it counts as
    often asked if the caller names what it knows, and as any read if the answer is news. ``STREAM`` is a read that
    does not end: it takes no place among the requests that are answered at once.
    """

    READ = "read"
    WRITE = "write"
    OFTEN = "often"
    CONDITIONAL = "conditional"
    STREAM = "stream"


READ_POINTS: Final = 1
WRITE_POINTS: Final = 5


class Payer(StrEnum):
    """Whose bucket it is: a project's, an account's over all its projects, or that of a client address."""

    PROJECT = "project"
    ACCOUNT = "account"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class RateLimits:
    """``factor`` multiplies all rates; ``concurrent`` is how many requests of a project a process answers at once."""

    factor: float = 1.0
    concurrent: int = 100

    @property
    def per_second(self) -> dict[Plan, float]:
        """Points a second of each plan."""
        return {plan: rate * self.factor for plan, rate in PER_SECOND.items()}
