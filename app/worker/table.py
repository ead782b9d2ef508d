"""What each kind of job is: the one place where work that is promised meets the function that does it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.domain.jobs import PATIENT, JobKind, Retries
from app.services import ending, environments, jobs, shadow, sweeping, tending, webhook_sending


@dataclass(frozen=True, slots=True)
class Job:
    """How a kind of job is done. ``function`` takes what ``jobs.enqueue`` was given, by name and as annotated.

    It is idempotent, and correct when it runs twice at once. ``seconds`` is the longest it may take;
    ``at_once`` is how many may run at one time in all processes together, 0 for as many as there are.
    """

    function: Callable[..., Awaitable[None]]
    retries: Retries = PATIENT
    seconds: int = 60
    at_once: int = 0


JOBS: Final[Mapping[JobKind, Job]] = {
    JobKind.FIND_EXPIRED: Job(environments.find_expired),
    JobKind.ARCHIVE_EXPIRED: Job(environments.archive_expired, seconds=90),
    JobKind.CLEAN_QUEUE: Job(jobs.clean_queue),
    JobKind.FIND_ROLLOUTS: Job(tending.find_rollouts),
    JobKind.TEND_ROLLOUT: Job(tending.tend, seconds=330),
    JobKind.FIND_WEBHOOK_WORK: Job(webhook_sending.find_work),
    JobKind.FAN_OUT_EVENTS: Job(webhook_sending.fan_out),
    JobKind.SEND_TO_WEBHOOK: Job(webhook_sending.send, at_once=8),
    JobKind.FORGET_DELIVERIES: Job(webhook_sending.forget_old),
    JobKind.FIND_OVERDUE_PROMOTIONS: Job(ending.find_overdue),
    JobKind.EXPIRE_PROMOTION: Job(ending.expire_promotion),
    JobKind.SWEEP_PROTECTED: Job(sweeping.sweep_project, seconds=120),
    JobKind.FIND_UNSWEPT: Job(sweeping.find_unswept),
    JobKind.MIRROR_PRODUCTION: Job(shadow.mirror_soon, at_once=64),
    JobKind.MIRROR_INTO: Job(shadow.mirror_into, seconds=90),
    JobKind.FIND_UNMIRRORED: Job(shadow.find_unmirrored),
}

SCHEDULES: Final[Mapping[JobKind, str]] = {
    JobKind.FIND_EXPIRED: "* * * * *",
    JobKind.FIND_ROLLOUTS: "* * * * *",
    JobKind.CLEAN_QUEUE: "17 * * * *",
    JobKind.FIND_WEBHOOK_WORK: "* * * * *",
    JobKind.FORGET_DELIVERIES: "37 * * * *",
    JobKind.FIND_OVERDUE_PROMOTIONS: "* * * * *",
    JobKind.FIND_UNSWEPT: "*/5 * * * *",
    JobKind.FIND_UNMIRRORED: "* * * * *",
}
"""When jobs without arguments are promised, once for all processes; no finer than a minute."""

NEWS: Final[Sequence[Callable[[Sequence[int]], Awaitable[None]]]] = (webhook_sending.on_news,)
"""Told of the projects in which something has changed, soon after; a word can get lost, so a schedule looks, too."""
