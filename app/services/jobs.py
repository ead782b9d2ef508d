"""Promising work in the transaction that makes it necessary, and what became of what was promised.

A job runs after that transaction has committed, at least once and maybe twice at the same time: its function reads
what is to be done from the database under locks, and does nothing if it is done already.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from app.domain.jobs import JobKind
from app.domain.model import Environment
from app.storage import codec, queue
from app.storage.queue import DeadJob


async def enqueue(kind: JobKind, *, at: datetime | None = None, **arguments: int | str | UUID) -> None:
    """Promise a job in the current transaction; ``arguments`` are those of its function in ``app.worker.table``.

    Without ``at`` it runs as soon as it can, and one that waits with the same arguments already is enough: it
    cannot begin before this transaction has ended, and so sees what this one did.
    """
    payload = _payload(arguments)
    if at is not None:
        await queue.add(kind, payload, at)
    elif not await queue.hold_waiting(kind, payload):
        await queue.add(kind, payload)


async def enqueue_missing(kind: JobKind, **arguments: int | str | UUID) -> None:
    """Promise a job that should have been promised, in a transaction of its own, unless one is about to do the same.

    For what looks regularly for things that were forgotten: one that fails is not promised beside its next try.
    """
    payload = _payload(arguments)
    if not await queue.is_known(kind, payload):
        await queue.add(kind, payload)


async def enqueue_once(kind: JobKind, **arguments: int | str | UUID) -> None:
    """Promise a job about what has committed already, unless an equal one has yet to run, or was laid aside."""
    payload = _payload(arguments)
    if not await queue.unfinished(kind, payload):
        await queue.add(kind, payload)


async def archive_on_expiry(environment: Environment) -> None:
    """Promise that an environment which expires is archived then, unless its expiry is put off till then."""
    if environment.expires_at is not None:
        await enqueue(
            JobKind.ARCHIVE_EXPIRED,
            at=environment.expires_at,
            project_id=environment.project_id,
            env_uuid=environment.uuid,
        )


async def dead_jobs() -> list[DeadJob]:
    """Return the jobs that failed too often and were laid aside, the oldest first."""
    return await queue.dead()


async def revive() -> int:
    """Give every job that was laid aside all its tries again; return how many there were."""
    return await queue.revive()


async def clean_queue() -> None:
    """Forget what became of jobs that ended a day ago."""
    await queue.clean()


def _payload(arguments: Mapping[str, int | str | UUID]) -> bytes:
    return codec.encode_document({name: _plain(value) for name, value in arguments.items()})


def _plain(value: int | str | UUID) -> int | str:
    return str(value) if isinstance(value, UUID) else value
