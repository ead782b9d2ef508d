"""Work that is promised and done later: its kinds, and how often a failing one is tried (semantics §9)."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final


class JobKind(StrEnum):
    """Every kind of job, by the name that the queue knows it by. A name is never used again for something else."""

    FIND_EXPIRED = "find_expired"
    ARCHIVE_EXPIRED = "archive_expired"
    CLEAN_QUEUE = "clean_queue"
    FIND_ROLLOUTS = "find_rollouts"
    TEND_ROLLOUT = "tend_rollout"
    FIND_WEBHOOK_WORK = "find_webhook_work"
    FAN_OUT_EVENTS = "fan_out_events"
    SEND_TO_WEBHOOK = "send_to_webhook"
    FORGET_DELIVERIES = "forget_deliveries"
    FIND_OVERDUE_PROMOTIONS = "find_overdue_promotions"
    EXPIRE_PROMOTION = "expire_promotion"
    SWEEP_PROTECTED = "sweep_protected"
    FIND_UNSWEPT = "find_unswept"
    MIRROR_PRODUCTION = "mirror_production"
    MIRROR_INTO = "mirror_into"
    FIND_UNMIRRORED = "find_unmirrored"


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a failing job is tried again, and after how long: twice as long each time."""

    times: int = 12
    first: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(minutes=10)

    def delay(self, failures: int) -> timedelta | None:
        """Return how long to wait after ``failures`` failures, 1 or more; None if it is not tried again."""
        if failures > self.times:
            return None
        # Beyond that power the product is longer than any limit, and soon than any timedelta.
        return min(self.first * (1 << min(failures - 1, 20)), self.longest)


PATIENT: Final = Retries()
ONCE: Final = Retries(times=0)
