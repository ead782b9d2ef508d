"""Publishing what happened, in the transaction in which it happened (the outbox of semantics §9)."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from app.domain.events import EventType
from app.domain.jobs import JobKind
from app.domain.model import Change, Origin
from app.domain.values import Value
from app.services import calls, jobs
from app.storage import events, webhooks


async def publish(
    project_id: int,
    type_: EventType,
    *,
    env_uuid: UUID | None = None,
    subject: UUID | None = None,
    data: Mapping[str, Value] | None = None,
    actor: str | None = None,
    covers: int | None = None,
) -> int:
    """Add an event to the current transaction and return its version, which is higher than all before it.

    To be called just before the trail's row is written, or after: the project's counter is locked from here until
    COMMIT. ``actor`` is who did the operation under way, unless one is named. ``covers`` is the version of the first
    change of documents in this transaction: the changes from there on are this one event to whoever listens, and
    none of their own. ``data`` must not hold values of documents.
    """
    version = await events.add(
        project_id,
        type_,
        env_uuid=env_uuid,
        subject=subject,
        data=data or {},
        actor=actor or calls.actor_name(),
        covers=covers,
    )
    # Asked while the counter is locked: a webhook that is not seen here begins after this event.
    if await webhooks.any_enabled(project_id):
        await jobs.enqueue(JobKind.FAN_OUT_EVENTS, project_id=project_id)
    return version


async def publish_documents(changes: Sequence[Change]) -> None:
    """Publish changes that one operation made at once as one event, instead of one for each; fewer than two, not."""
    if len(changes) < 2:
        return
    first = changes[0]
    await publish_many(first.entity.project_id, first.env_uuid, first.origin, (first.version, changes[-1].version))


async def publish_many(project_id: int, env_uuid: UUID, origin: Origin, versions: tuple[int, int]) -> None:
    """Publish the changes of documents from the first to the last version as one event."""
    first, last = versions
    data: dict[str, Value] = {
        "origin": origin.value,
        "count": last - first + 1,
        "first_version": first,
        "last_version": last,
    }
    await publish(project_id, EventType.DOCUMENTS_CHANGED, env_uuid=env_uuid, data=data, covers=first)
