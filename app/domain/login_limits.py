"""How many wrong passwords are borne before nobody is let try for a while (hardening §3).

Failures in a row lock the pair of e-mail address and client address, so a stranger elsewhere cannot lock the user
out. Guesses spread over many addresses are bounded by what one e-mail address bears from all of them together.
That limit a stranger with enough addresses can exhaust, so it does not hold for an address from which the user has
logged in before. The price: whoever shares the user's own address can lock the user out there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 3_600.0
# An attempt under way is decided within moments; one that never ends counts as failed.
PENDING_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class LoginLimits:
    """Failures that an e-mail address and a client address bear each, and how many in a row lock the pair."""

    per_minute: int = 10
    per_hour: int = 100
    in_a_row: int = 5
    lock_seconds: int = 900


@dataclass(frozen=True, slots=True)
class Failures:
    """How long ago the failures of the last hour were, in seconds, latest first; and attempts under way."""

    ages: Sequence[float] = ()
    pending: int = 0


@dataclass(frozen=True, slots=True)
class LoginHistory:
    """What is known of an attempt's e-mail address, its client address, and both together since their last success.

    ``familiar``: the user has logged in from there before.
    """

    pair: Failures
    email: Failures
    address: Failures
    familiar: bool = False


def seconds_to_wait(limits: LoginLimits, history: LoginHistory) -> float:
    """Return for how long no further attempt is let through; 0 if this one is."""
    wait = _wait(limits, history, with_pending=False)
    if wait == 0 and _wait(limits, history, with_pending=True) > 0:
        return PENDING_SECONDS
    return wait


def _wait(limits: LoginLimits, history: LoginHistory, *, with_pending: bool) -> float:
    def ages(failures: Failures) -> list[float]:
        return [0.0] * (failures.pending if with_pending else 0) + list(failures.ages)

    bounded = [history.address] if history.familiar else [history.address, history.email]
    waits = [_locked(ages(history.pair), limits)]
    for failures in bounded:
        waits.append(_full(ages(failures), limits.per_minute, MINUTE))
        waits.append(_full(ages(failures), limits.per_hour, HOUR))
    return max(waits)


def _locked(ages: Sequence[float], limits: LoginLimits) -> float:
    """Return what is left of the lock that the latest of enough failures in a row began."""
    if not ages or ages[0] >= limits.lock_seconds:
        return 0.0
    in_a_row = sum(age < ages[0] + limits.lock_seconds for age in ages)
    return limits.lock_seconds - ages[0] if in_a_row >= limits.in_a_row else 0.0


def _full(ages: Sequence[float], limit: int, seconds: float) -> float:
    """Return how long it takes until fewer than ``limit`` failures lie within the last ``seconds``."""
    return max(0.0, seconds - ages[limit - 1]) if len(ages) >= limit else 0.0


def network_of(address: str) -> str:
    """Return what counts as one client address: an IPv4 address, but a /64 of IPv6, which one household has."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
    return str(found)
