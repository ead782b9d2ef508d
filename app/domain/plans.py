"""What each plan allows: the guide's "Subscription Limits" as one table (semantics §8, §11.22)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import Final

from app.domain.errors import DomainError, Kind
from app.domain.model import Plan


class Limit(StrEnum):
    """What a plan limits, by the names that clients know from ``GET /api/sandbox/limits``."""

    ENVIRONMENT_COUNT = "sandbox_environment_count"
    GENERATION_DEPTH = "sandbox_generation_depth"
    CHECKPOINT_COUNT = "sandbox_checkpoint_count"
    AB_TEST_COUNT = "sandbox_ab_test_count"
    SHADOW_WRITES = "sandbox_shadow_writes"
    ENV_TTL_DAYS = "sandbox_env_ttl_days"


# Columns in the order of ``Plan``; None is no limit. Of shadow writes it is how many environments may have them.
_TABLE: Final[Mapping[Limit, tuple[int | None, ...]]] = {
    Limit.ENVIRONMENT_COUNT: (0, 1, 3, 10, 30, None),
    Limit.GENERATION_DEPTH: (0, 3, 5, 10, 20, None),
    Limit.CHECKPOINT_COUNT: (0, 1, 3, 10, 30, None),
    Limit.AB_TEST_COUNT: (0, 0, 1, 5, 20, None),
    Limit.SHADOW_WRITES: (0, 0, 0, None, None, None),
    Limit.ENV_TTL_DAYS: (0, 7, 14, 30, 90, None),
}
_MAXIMA: Final = {(limit, plan): row[index] for limit, row in _TABLE.items() for index, plan in enumerate(Plan)}
_WORDS: Final[Mapping[Limit, str]] = {
    Limit.ENVIRONMENT_COUNT: "Environments beside production",
    Limit.GENERATION_DEPTH: "Generations above production",
    Limit.CHECKPOINT_COUNT: "Checkpoints",
    Limit.AB_TEST_COUNT: "Active A/B tests",
    Limit.SHADOW_WRITES: "Shadow writes",
    Limit.ENV_TTL_DAYS: "Days until an environment expires",
}


class SandboxLimitExceeded(DomainError):
    """The project's plan does not allow so many. ``current`` is what there is, or what was asked for at once."""

    code, kind = "sandbox_limit_exceeded", Kind.FORBIDDEN

    def __init__(self, message: str, limit: Limit, current: int, maximum: int, available_from: Plan) -> None:
        super().__init__(message, limit_type=limit, current=current, max=maximum, available_from=available_from)


class SandboxNotAvailable(SandboxLimitExceeded):
    """The project's plan does not have this at all."""

    code = "sandbox_not_available"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a project has in use of what its plan limits (semantics §11.22).

    ``depth`` is the largest generation number, the one above a checkpoint included; ``shadow_writes`` the number
    of environments that have them; ``beyond_limit`` how many of the environments are rollbacks made at the limit.
    """

    plan: Plan
    environments: int
    depth: int
    checkpoints: int
    ab_tests: int
    shadow_writes: int
    beyond_limit: int

    def of(self, limit: Limit) -> int | None:
        """Return how much is in use; None for a limit that is not used up."""
        return {
            Limit.ENVIRONMENT_COUNT: self.environments,
            Limit.GENERATION_DEPTH: self.depth,
            Limit.CHECKPOINT_COUNT: self.checkpoints,
            Limit.AB_TEST_COUNT: self.ab_tests,
            Limit.SHADOW_WRITES: self.shadow_writes,
        }.get(limit)


def maximum(plan: Plan, limit: Limit) -> int | None:
    """Return how much a plan allows; None is no limit."""
    return _MAXIMA[limit, plan]


def has(plan: Plan, limit: Limit) -> bool:
    """Return whether a plan has any of it."""
    return maximum(plan, limit) != 0


def check(plan: Plan, limit: Limit, *, current: int, wanted: int) -> None:
    """Let ``wanted`` pass, or raise SandboxNotAvailable or SandboxLimitExceeded."""
    allowed = maximum(plan, limit)
    if allowed is None or wanted <= allowed:
        return
    enough = _smallest(limit, wanted)
    what, mine, larger = _WORDS[limit], plan.value, enough.value
    if allowed == 0:
        message = f"{what} are no part of the plan {mine!r}; they are from {larger!r} on."
        raise SandboxNotAvailable(message, limit, current, allowed, enough)
    message = (
        f"{what}: this would be {wanted}, and the plan {mine!r} allows {allowed}. It is possible from {larger!r} on."
    )
    raise SandboxLimitExceeded(message, limit, current, allowed, enough)


def _smallest(limit: Limit, wanted: int) -> Plan:
    maxima = ((plan, maximum(plan, limit)) for plan in Plan)
    return next(plan for plan, allowed in maxima if allowed is None or wanted <= allowed)


def check_environment(usage: Usage) -> None:
    """Let one more environment pass, or raise SandboxNotAvailable or SandboxLimitExceeded."""
    check(usage.plan, Limit.ENVIRONMENT_COUNT, current=usage.environments, wanted=usage.environments + 1)


def may_exceed(usage: Usage) -> bool:
    """Return whether a rollback may go beyond the limit of environments (once per checkpoint, semantics §8).

    Not where the plan has none, or where the environments were more than it allows before any such rollback: a
    smaller plan refuses growth.
    """
    allowed = maximum(usage.plan, Limit.ENVIRONMENT_COUNT)
    return allowed is None or (allowed > 0 and usage.environments - usage.beyond_limit <= allowed)


def check_depth(plan: Plan, number: int) -> None:
    """Let an environment begin with the generation ``number``, or raise SandboxLimitExceeded."""
    check(plan, Limit.GENERATION_DEPTH, current=number - 1, wanted=number)


def check_checkpoint(usage: Usage, head_number: int) -> None:
    """Let one more checkpoint pass, on top of a head: the generation above a checkpoint counts with it.

    Raises SandboxNotAvailable, SandboxLimitExceeded.
    """
    check(usage.plan, Limit.CHECKPOINT_COUNT, current=usage.checkpoints, wanted=usage.checkpoints + 1)
    check(usage.plan, Limit.GENERATION_DEPTH, current=head_number, wanted=head_number + 2)


def check_experiment(usage: Usage) -> None:
    """Let one more A/B test run, or raise SandboxNotAvailable, SandboxLimitExceeded."""
    check(usage.plan, Limit.AB_TEST_COUNT, current=usage.ab_tests, wanted=usage.ab_tests + 1)


def check_shadow_writes(usage: Usage) -> None:
    """Let one more environment have shadow writes, or raise SandboxNotAvailable."""
    check(usage.plan, Limit.SHADOW_WRITES, current=usage.shadow_writes, wanted=usage.shadow_writes + 1)


def expiry(plan: Plan, wanted: datetime | None, now: datetime) -> datetime | None:
    """Return when an environment expires: when ``wanted``, else as late as the plan allows; None is never.

    Raises SandboxNotAvailable, SandboxLimitExceeded.
    """
    days = maximum(plan, Limit.ENV_TTL_DAYS)
    if days is None:
        return wanted
    asked = max(days, 1) if wanted is None else ceil((wanted - now) / timedelta(days=1))
    check(plan, Limit.ENV_TTL_DAYS, current=asked, wanted=asked)
    return now + timedelta(days=days) if wanted is None else wanted
