"""What is told of the users of an A/B test: that they saw their variant, and what came of it (semantics §5, §11.23)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final

from app.domain.bucketing import Variant
from app.domain.errors import DomainError, ValidationFailed
from app.domain.experiment_errors import UserNotExposed
from app.domain.experiments import Experiment
from app.domain.routing import MAX_USER, check_user

MAX_BATCH: Final = 1_000
MAX_VALUE: Final = 10**15
MAX_DECIMALS: Final = 15


class Outcome(StrEnum):
    """What can come of a user."""

    CONVERTED = "converted"


@dataclass(frozen=True, slots=True)
class Told:
    """A user who was exposed, or converted with a ``value``. ``variant`` is the one seen, None where nobody says."""

    user: str
    value: int | Decimal | None = None
    variant: Variant | None = None


@dataclass(frozen=True, slots=True)
class RefusedItem:
    """An item of a batch that nothing was done for: its position from 0, and the refusal."""

    index: int
    user_uuid: str
    code: str
    message: str

    @classmethod
    def of(cls, index: int, item: Told, error: DomainError) -> "RefusedItem":
        return cls(index, item.user[:MAX_USER], error.code, error.message)


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch. ``accepted`` users count from now on; of ``repeated`` items the user did already.

    ``quarantined`` users are in quarantine since this batch: they were seen in both variants.
    """

    accepted: int = 0
    repeated: int = 0
    quarantined: int = 0
    refused: list[RefusedItem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class UserTold:
    """All that a batch tells of one user: how often, the first value, and whether a variant is not the one dealt."""

    user: str
    variant: Variant
    times: int
    value: Decimal | None
    contradicted: bool


def check_batch(items: Sequence[Told]) -> None:
    """Let a batch pass that is not too large, or raise ValidationFailed."""
    if not 1 <= len(items) <= MAX_BATCH:
        raise ValidationFailed(f"A batch has 1 to {MAX_BATCH:,} items; this one has {len(items):,}.", field="batch")


def check_value(value: int | Decimal | None) -> Decimal | None:
    """Return a value as it is stored. Raises ValidationFailed beyond 10^15 either way, or 15 decimals."""
    if value is None:
        return None
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -MAX_DECIMALS or abs(number) > MAX_VALUE:
        raise ValidationFailed(
            f"A value is a number of at most {MAX_DECIMALS} decimals from -10^{MAX_DECIMALS} to 10^{MAX_DECIMALS}.",
            field="value",
        )
    return number


def read_batch(experiment: Experiment, items: Iterable[Told]) -> tuple[list[UserTold], dict[int, DomainError]]:
    """Return what a batch tells of each user, in the order of users, and by position what cannot be."""
    users: dict[str, UserTold] = {}
    refused: dict[int, DomainError] = {}
    for index, item in enumerate(items):
        try:
            value = check_value(item.value)
            known = users.get(item.user)
            users[item.user] = _joined(known, item) if known else _first(experiment, item, value)
        except DomainError as error:
            refused[index] = error
    return [users[user] for user in sorted(users)], refused


def _first(experiment: Experiment, item: Told, value: Decimal | None) -> UserTold:
    dealt = experiment.variant_of(check_user(item.user))
    return UserTold(item.user, dealt, 1, value, item.variant is not None and item.variant is not dealt)


def _joined(known: UserTold, item: Told) -> UserTold:
    contradicted = known.contradicted or (item.variant is not None and item.variant is not known.variant)
    return replace(known, times=known.times + 1, contradicted=contradicted)


def refuse_unknown(items: Sequence[Told], known: frozenset[str], refused: dict[int, DomainError]) -> None:
    """Add to ``refused`` the items of users whom nobody exposed."""
    for index, item in enumerate(items):
        if item.user not in known:
            refused.setdefault(index, UserNotExposed(item.user))
