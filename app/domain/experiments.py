"""A/B tests: two environments of a project, users dealt to them for good, and an end (semantics §5, §11.23)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.domain import bucketing
from app.domain.bucketing import Variant
from app.domain.values import Value


class ExperimentStatus(StrEnum):
    """``active`` until it is stopped, or completed by a winner."""

    ACTIVE = "active"
    STOPPED = "stopped"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Experiment:
    """A test. ``split_pct`` is the share of users, in percent, that sees side B; it and the seed never change.

    ``winner`` is set when it is completed. ``declared`` is the side that ``promotion_uuid`` was asked to make
    production for; ``reason`` is why it was stopped.
    """

    project_id: int
    uuid: UUID
    env_a_uuid: UUID
    env_b_uuid: UUID
    split_pct: int
    ab_seed: str
    metric: str
    status: ExperimentStatus
    winner: Variant | None
    declared: Variant | None
    promotion_uuid: UUID | None
    reason: str | None
    created_by: str
    created_at: datetime
    ended_at: datetime | None

    @property
    def is_active(self) -> bool:
        return self.status is ExperimentStatus.ACTIVE

    def variant_of(self, user: str) -> Variant:
        """Return the side that a user is dealt to, whether the test runs or not."""
        return bucketing.variant(user, self.ab_seed, self.split_pct)

    def side(self, variant: Variant) -> UUID:
        """Return the environment of a side."""
        return self.env_a_uuid if variant is Variant.A else self.env_b_uuid

    def facts(self) -> dict[str, Value]:
        """Return what its owners decide about it, and what became of it."""
        return {
            "env_a_uuid": str(self.env_a_uuid),
            "env_b_uuid": str(self.env_b_uuid),
            "split_pct": self.split_pct,
            "metric": self.metric,
            "status": self.status.value,
            "winner": self.winner.value if self.winner else None,
            "declared": self.declared.value if self.declared else None,
            "promotion_id": str(self.promotion_uuid) if self.promotion_uuid else None,
            "reason": self.reason,
        }
