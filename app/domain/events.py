"""Events: what happened to a project, in one order for everybody (semantics §9).

Events and changes of documents take their numbers from one counter, so the project's version is their order, which
is that of the commits. A change of a document is an event of its own, unless an event ``covers`` it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.domain.errors import DomainError, Kind
from app.domain.model import Origin
from app.domain.paging import decode_cursor, encode_cursor
from app.domain.values import Value


class EventType(StrEnum):
    """Everything that can happen, as clients and webhooks see it. None is ever taken off the list."""

    DOCUMENT_CHANGED = "document.changed"
    DOCUMENTS_CHANGED = "documents.changed"
    GENERATION_CREATED = "generation.created"
    GENERATION_DELETED = "generation.deleted"
    GENERATION_GATES_PASSED = "generation.gates_passed"
    GENERATION_GATES_FAILED = "generation.gates_failed"
    GENERATION_PROMOTED = "generation.promoted"
    GENERATION_ROLLED_BACK = "generation.rolled_back"
    GENERATION_NOTIFY_MANUAL = "generation.notify_manual"
    ROLLOUT_STARTED = "rollout.started"
    ROLLOUT_ADVANCED = "rollout.advanced"
    ROLLOUT_HELD = "rollout.held"
    ROLLOUT_HEALTH_REPORTED = "rollout.health_reported"
    ROLLOUT_ABORTED = "rollout.aborted"
    ROLLOUT_COMPLETED = "rollout.completed"
    ENVIRONMENT_UPDATED = "environment.updated"
    ENVIRONMENT_STATUS_CHANGED = "environment.status_changed"
    ENVIRONMENT_REBASED = "environment.rebased"
    ENVIRONMENT_ARCHIVED = "environment.archived"
    PROMOTION_REQUESTED = "promotion.requested"
    PROMOTION_APPROVED = "promotion.approved"
    PROMOTION_REJECTED = "promotion.rejected"
    PROMOTION_EXPIRED = "promotion.expired"
    FREEZE_STARTED = "freeze.started"
    FREEZE_LIFTED = "freeze.lifted"
    EXPERIMENT_STARTED = "experiment.started"
    EXPERIMENT_STOPPED = "experiment.stopped"
    EXPERIMENT_DECLARED = "experiment.declared"
    SEGMENT_CHANGED = "segment.changed"
    MEMBER_INVITED = "member.invited"
    MEMBER_INVITATION_REVOKED = "member.invitation_revoked"
    MEMBER_ADDED = "member.added"
    MEMBER_CHANGED = "member.changed"
    MEMBER_REMOVED = "member.removed"
    API_KEY_CREATED = "api_key.created"
    API_KEY_REVOKED = "api_key.revoked"
    WEBHOOK_CHANGED = "webhook.changed"
    SETTINGS_CHANGED = "settings.changed"
    PLAN_CHANGED = "plan.changed"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. ``subject`` is what it happened to, if that is not the environment.

    ``version`` is the project's, and rises from event to event with gaps. ``data`` has no values of documents.
    ``actor`` is None where the server acted by itself.
    """

    project_id: int
    version: int
    type: EventType
    env_uuid: UUID | None
    subject: UUID | None
    data: Mapping[str, Value]
    actor: str | None
    created_at: datetime


ROLLOUT_TYPES: Final = frozenset(type_ for type_ in EventType if type_.startswith("rollout."))


def document_data(
    *, kind: str, key: str, entity_version: int, generation_uuid: UUID, origin: Origin
) -> dict[str, Value]:
    """Return what an event says of a change of a document; its subject is the entity."""
    return {
        "kind": kind,
        "key": key,
        "entity_version": entity_version,
        "generation_uuid": str(generation_uuid),
        "origin": origin.value,
    }


class ResyncRequired(DomainError):
    """The cursor is none of this project's history as the database has it now; what was missed cannot be told."""

    code, kind = "resync_required", Kind.CONFLICT

    def __init__(self) -> None:
        super().__init__("The project's history does not go on from this cursor: read its state anew, then follow it.")


class TooSlow(DomainError):
    """A subscriber did not take its events."""

    code, kind = "too_slow", Kind.TOO_MANY

    def __init__(self) -> None:
        super().__init__("Events came faster than they were taken; go on from the last cursor.", retry_after=1)


class TooManySubscribers(DomainError):
    code, kind = "too_many_subscribers", Kind.TOO_MANY

    def __init__(self, most: int) -> None:
        super().__init__(f"{most:,} connections follow this project already; try again later.", retry_after=10)


class ServerStopping(DomainError):
    code, kind = "server_stopping", Kind.UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("This server is about to stop; connect again.", retry_after=1)


def cursor_at(project_id: int, version: int) -> str:
    """Return the cursor that stands behind the event of that version."""
    return encode_cursor(project_id, version)


def version_of(project_id: int, cursor: str) -> int:
    """Return the version that a cursor stands behind. Raises BadRequest, ResyncRequired for one of another project."""
    project, version = decode_cursor(cursor, int, int)
    if project != project_id:
        raise ResyncRequired
    return int(version)
