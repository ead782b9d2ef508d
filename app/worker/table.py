"""What each kind of job is: the one place where work that is promised meets the function that does it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from app.domain.jobs import PATIENT, JobKind, Retries
from app.services import environments, jobs, tending


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
}

SCHEDULES: Final[Mapping[JobKind, str]] = {
    JobKind.FIND_EXPIRED: "* * * * *",
    JobKind.FIND_ROLLOUTS: "* * * * *",
    JobKind.CLEAN_QUEUE: "17 * * * *",
}
"""When jobs without arguments are promised, once for all processes; no finer than a minute."""
