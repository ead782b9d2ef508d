"""Webhooks: which events they want, what is sent and how it is signed, and when it is tried again.

Messages are those of Standard Webhooks: ``webhook-id``, ``webhook-timestamp``, ``webhook-signature``.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

from app.domain.audit import Object, ObjectType
from app.domain.errors import ValidationFailed
from app.domain.events import Event, EventType
from app.domain.values import Value

MAX_WEBHOOKS: Final = 20
MAX_PATTERNS: Final = 50
SECRET_PREFIX: Final = "whsec_"  # noqa: S105
SECRET_BYTES: Final = 32
OLD_SECRET_LIFE: Final = timedelta(hours=24)
PROBE: Final = "webhook.test"
"""Type of the message that is sent to try a webhook; it is no event."""

LIFECYCLE: Final = ("environment.*", "generation.*", "promotion.*", "rollout.*")
"""What a webhook gets that names no events."""

RETRIED_FOR: Final = timedelta(days=3)
_DELAYS: Final = tuple(
    timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200)
)
_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(minutes=10)
_DOWN: Final = frozenset({429, 502, 503, 504})


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class DisabledReason(StrEnum):
    """Why a webhook gets nothing: a member's wish, three days without success, or an answer 410."""

    BY_MEMBER = "by_member"
    FAILING = "failing"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that gets a project's events. ``cursor`` is the version up to which they were handed to it.

    ``failing_since`` is None while the last delivery went well; ``old_secret_until`` is when signatures with the
    secret before the present one end.
    """

    project_id: int
    uuid: UUID
    url: str
    description: str
    events: tuple[str, ...]
    enabled: bool
    disabled_reason: DisabledReason | None
    failing_since: datetime | None
    old_secret_until: datetime | None
    cursor: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one webhook, and how its last attempt went.

    ``version`` is the event's, None for a probe. ``error`` says what kept an answer from coming; ``duration`` is in
    milliseconds; ``response_text`` is how the answer began.
    """

    project_id: int
    uuid: UUID
    webhook_uuid: UUID
    message_id: str
    version: int | None
    type: str
    body: str
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    response_code: int | None
    duration: int | None
    error: str | None
    response_text: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt went: an answer, or the reason why there was none."""

    duration: int
    response_code: int | None = None
    response_text: str | None = None
    error: str | None = None

    @property
    def delivered(self) -> bool:
        return self.response_code is not None and 200 <= self.response_code < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more messages."""
        return self.response_code == 410

    @property
    def down(self) -> bool:
        """Whether it is the receiver that is in trouble, and not this message."""
        return self.response_code is None or self.response_code in _DOWN


def webhook_object(webhook: Webhook) -> Object:
    """Return a webhook as the trail names it. What follows a ``?`` in the URL can be a secret of its receiver."""
    return Object(ObjectType.WEBHOOK, str(webhook.uuid), webhook.url.partition("?")[0])


def webhook_facts(webhook: Webhook) -> dict[str, Value]:
    """Return what a webhook's owners decide about it, and whether it works."""
    url, _, query = webhook.url.partition("?")
    return {
        "url": f"{url}?…" if query else url,
        "description": webhook.description,
        "events": list(webhook.events),
        "enabled": webhook.enabled,
        "disabled_reason": webhook.disabled_reason.value if webhook.disabled_reason else None,
    }


def check_events(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the types and ``prefix.*`` patterns, each once. Raises ValidationFailed for one that means nothing."""
    if not 1 <= len(patterns) <= MAX_PATTERNS:
        raise ValidationFailed(f"A webhook names 1 to {MAX_PATTERNS} events.", field="events")
    for pattern in patterns:
        if not any(_matches(pattern, type_) for type_ in EventType):
            raise ValidationFailed(
                f"There is no event {pattern[:100]!r}; name events, all of a kind as 'rollout.*', or all as '*'.",
                field="events",
                known=sorted(EventType),
            )
    return tuple(dict.fromkeys(patterns))


def wants(patterns: Sequence[str], type_: str) -> bool:
    """Return whether one of the patterns is, or covers, the type of an event."""
    return any(_matches(pattern, type_) for pattern in patterns)


def wants_documents(patterns: Sequence[str]) -> bool:
    """Return whether changes of single documents are wanted, which stand in the history only."""
    return wants(patterns, EventType.DOCUMENT_CHANGED)


def _matches(pattern: str, type_: str) -> bool:
    return pattern in ("*", type_) or (pattern.endswith(".*") and type_.startswith(pattern[:-1]))


def message_id(event: Event) -> str:
    """Return the id of an event's message: the same at each attempt, and rising with the project's version."""
    return f"evt_{event.project_id}_{event.version:012}"


def message(event: Event) -> dict[str, Value]:
    """Return what is sent of an event."""
    return {
        "type": event.type.value,
        "timestamp": _utc(event.created_at),
        "project_id": event.project_id,
        "version": event.version,
        "env_uuid": str(event.env_uuid) if event.env_uuid else None,
        "subject": str(event.subject) if event.subject else None,
        "actor": event.actor,
        "data": dict(event.data),
    }


def probe(project_id: int, webhook_uuid: UUID, now: datetime, actor: str) -> dict[str, Value]:
    """Return what is sent to try a webhook."""
    return {
        "type": PROBE,
        "timestamp": _utc(now),
        "project_id": project_id,
        "version": None,
        "env_uuid": None,
        "subject": str(webhook_uuid),
        "actor": actor,
        "data": {},
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def shown_secret(secret: bytes) -> str:
    """Return a secret as its owner gets it."""
    return SECRET_PREFIX + b64encode(secret).decode()


def secret_of(shown: str) -> bytes:
    """Return the key of the HMAC that ``shown_secret`` shows. Raises ValueError."""
    return b64decode(shown.removeprefix(SECRET_PREFIX), validate=True)


def headers(secrets: Sequence[bytes], id_: str, body: bytes, now: datetime) -> Mapping[str, str]:
    """Return the headers that prove a message: one signature for each secret that is good, the newest first."""
    timestamp = str(int(now.timestamp()))
    signed = b".".join((id_.encode(), timestamp.encode(), body))
    signatures = (b64encode(hmac.digest(secret, signed, sha256)).decode() for secret in secrets)
    return {
        "webhook-id": id_,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def delay_after(attempts: int) -> timedelta:
    """Return how long to wait after ``attempts`` attempts, 1 or more."""
    return _DELAYS[min(attempts, len(_DELAYS)) - 1]


def pause_after(failures: int) -> timedelta:
    """Return how long a receiver that is down is left alone after ``failures`` failures in a row, 1 or more."""
    return min(_FIRST_PAUSE * (1 << min(failures - 1, 20)), _LONGEST_PAUSE)
