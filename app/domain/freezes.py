"""Freezes: times in which nothing is promoted, for a reason and by somebody's word (semantics §3)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from app.domain.errors import DomainError, Kind, ValidationFailed
from app.domain.json_text import unstorable_text
from app.domain.names import check_label
from app.domain.values import Value

MAX_REASON: Final = 500
MAX_LIVING: Final = 100
_FOR_EVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Freeze:
    """A freeze from ``starts_at`` to before ``ends_at``, or with None until it is lifted.

    ``owner`` is whom to ask; ``created_by`` and ``lifted_by`` are the names of actors.
    """

    project_id: int
    uuid: UUID
    reason: str
    owner: str
    starts_at: datetime
    ends_at: datetime | None
    created_by: str
    created_at: datetime
    lifted_by: str | None = None
    lifted_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Return whether it will never be in force again."""
        return self.lifted_at is not None or (self.ends_at is not None and self.ends_at <= now)

    def is_in_force(self, now: datetime) -> bool:
        """Return whether nothing is to be promoted now because of it."""
        return self.starts_at <= now and not self.is_over(now)

    def facts(self) -> dict[str, Value]:
        """Return what is to be known of it, as JSON."""
        return {
            "reason": self.reason,
            "owner": self.owner,
            "starts_at": self.starts_at.isoformat(),
            "ends_at": self.ends_at.isoformat() if self.ends_at else None,
            "lifted_at": self.lifted_at.isoformat() if self.lifted_at else None,
        }


class ProductionFrozen(DomainError):
    """Nothing is promoted at the moment; ``ends_at`` is None where the freeze has to be lifted."""

    code, kind = "production_frozen", Kind.CONFLICT

    def __init__(self, freeze: Freeze) -> None:
        until = f"until {freeze.ends_at.isoformat()}" if freeze.ends_at else "until it is lifted"
        super().__init__(
            f"Production is frozen {until}, says {freeze.owner}: {freeze.reason}",
            freeze_uuid=str(freeze.uuid),
            reason=freeze.reason,
            owner=freeze.owner,
            starts_at=freeze.starts_at.isoformat(),
            ends_at=freeze.ends_at.isoformat() if freeze.ends_at else None,
        )


def freeze_in_force(freezes: Iterable[Freeze], now: datetime) -> Freeze | None:
    """Return the freeze that is in force now, of several the one that ends last; None if there is none."""
    found = [freeze for freeze in freezes if freeze.is_in_force(now)]
    return max(found, key=lambda freeze: freeze.ends_at or _FOR_EVER, default=None)


def check_reason(reason: str) -> str:
    """Return the reason of a freeze without the white space around it. Raises ValidationFailed."""
    text = reason.strip()
    if not 1 <= len(text) <= MAX_REASON:
        raise ValidationFailed(f"A freeze needs a reason of 1 to {MAX_REASON} characters.", field="reason")
    if unstorable := unstorable_text(text):
        raise ValidationFailed(f"The reason cannot be used: {unstorable}.", field="reason")
    return text


def check_owner(owner: str) -> str:
    """Return the owner of a freeze. Raises ValidationFailed."""
    return check_label(owner.strip(), "owner")


def check_window(
    starts_at: datetime | None, ends_at: datetime | None, now: datetime
) -> tuple[datetime, datetime | None]:
    """Return when a freeze starts and ends; without a start it is now. Raises ValidationFailed."""
    for name, moment in (("starts_at", starts_at), ("ends_at", ends_at)):
        if moment is not None and moment.tzinfo is None:
            raise ValidationFailed("A time needs an offset, as in 2030-01-31T12:00:00Z.", field=name)
    start = starts_at or now
    if ends_at is not None and ends_at <= now:
        raise ValidationFailed("The end of the freeze lies in the past.", field="ends_at")
    if ends_at is not None and ends_at <= start:
        raise ValidationFailed("A freeze ends after it starts.", field="ends_at")
    return start, ends_at
