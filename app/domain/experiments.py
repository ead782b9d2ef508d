"""A/B tests: two environments of a project, users dealt to them for good, and an end (semantics §5, §11.23)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.domain import bucketing
from app.domain.bucketing import Variant
from app.domain.errors import EnvironmentArchived, ValidationFailed
from app.domain.json_text import unstorable_text
from app.domain.model import Environment, EnvStatus
from app.domain.names import check_label
from app.domain.values import Value

MAX_SEED: Final = 200
MAX_REASON: Final = 2_000


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
            "promotion_id": str(self.promotion_uuid) if self.promotion_uuid else None,
            "reason": self.reason,
        }


def check_sides(control: Environment, tried: Environment) -> None:
    """Let two environments of a project be sides A and B, or raise ValidationFailed, EnvironmentArchived."""
    if control.uuid == tried.uuid:
        raise ValidationFailed("A test compares two environments; these are one.", field="env_b_uuid")
    if tried.is_production:
        raise ValidationFailed("Production may be the control, side A; side B is what is tried.", field="env_b_uuid")
    for side in (control, tried):
        if side.status is EnvStatus.ARCHIVED:
            raise EnvironmentArchived(side.uuid)


def check_design(split_pct: int, metric: str, ab_seed: str) -> None:
    """Let the split, the metric's name and the seed of a test pass, or raise ValidationFailed."""
    if not 0 <= split_pct <= bucketing.BUCKETS:
        raise ValidationFailed("split_pct is the share of users on side B, 0 to 100 percent.", field="split_pct")
    check_label(metric, "metric")
    if not 1 <= len(ab_seed) <= MAX_SEED or unstorable_text(ab_seed):
        raise ValidationFailed(f"A seed has 1 to {MAX_SEED} characters that can be stored.", field="ab_seed")


def check_reason(reason: str) -> str:
    """Return why a test is stopped, if that can be stored. Raises ValidationFailed."""
    if not reason.strip() or len(reason) > MAX_REASON or unstorable_text(reason):
        raise ValidationFailed(f"A reason has 1 to {MAX_REASON:,} characters that can be stored.", field="reason")
    return reason
