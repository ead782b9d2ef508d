"""What a project's owners decide about how it works: the keys of its settings, their ranges and defaults."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from app.domain.errors import ValidationFailed
from app.domain.model import Role, Strategy
from app.domain.values import Value

MAX_APPROVERS: Final = 100
MAX_LATENCY_MS: Final = 600_000
MIN_INTERVAL_SECONDS: Final = 5
MAX_INTERVAL_SECONDS: Final = 3600
DIRECT_WRITERS: Final = frozenset({Role.OWNER, Role.ADMIN, Role.EDITOR})


class ApprovalMode(StrEnum):
    """How many of those who may approve a promotion have to, before it reaches production."""

    OFF = "off"
    AT_LEAST_ONE = "at_least_one"
    MIN_COUNT = "min_count"
    MIN_PERCENT = "min_percent"
    MANUAL_ONLY = "manual_only"


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """A project's settings, by the names that clients give them.

    ``canary_error_rate_threshold`` is a share of requests, from 0 to below 1; with either threshold None nothing of
    the kind is guarded, and rollouts do not wait for reports. ``direct_prod_roles`` are those that may write to
    production without a promotion.
    """

    auto_generation_approval_mode: ApprovalMode = ApprovalMode.OFF
    auto_generation_approval_min_count: int = 1
    auto_generation_approval_min_percent: int = 50
    auto_checkpoint_before_promote: bool = False
    require_gates_passed_on_promote: bool = False
    auto_promote_on_all_pass: bool = False
    auto_promote_strategy: Strategy = Strategy.IMMEDIATE
    direct_prod_roles: frozenset[Role] = field(default=DIRECT_WRITERS)
    canary_auto_route: bool = False
    canary_error_rate_threshold: int | Decimal | None = None
    canary_p99_latency_ms_threshold: int | Decimal | None = None
    canary_watchdog_interval_seconds: int = 60

    @classmethod
    def of(cls, stored: Value) -> "ProjectSettings":
        """Return the settings that ``to_json`` made; what is not said there, or no longer means anything, is as by
        default."""
        settings = cls()
        for name, value in stored.items() if isinstance(stored, dict) else ():
            try:
                settings = settings.changed({name: value})
            except ValidationFailed:
                continue
        return settings

    def changed(self, wanted: Mapping[str, Value]) -> "ProjectSettings":
        """Return the settings with those of ``wanted`` in their place.

        Raises ValidationFailed that names the first key which is unknown or cannot have that value.
        """
        for name in wanted:
            if name not in _READERS:
                raise ValidationFailed(
                    f"There is no setting {name[:100]!r}; there are {', '.join(_READERS)}.",
                    field=name[:100],
                    known=list(_READERS),
                )
        return replace(self, **{name: _READERS[name](name, value) for name, value in wanted.items()})

    def to_json(self) -> dict[str, Value]:
        """Return all settings as JSON, in the order of their definition."""
        return {each.name: _written(getattr(self, each.name)) for each in fields(self)}


def _written(value: object) -> Value:
    if isinstance(value, frozenset):
        return [role.value for role in Role if role in value]
    if isinstance(value, StrEnum):
        return value.value
    assert value is None or isinstance(value, bool | int | Decimal)
    return value


def _refused(name: str, expected: str) -> ValidationFailed:
    return ValidationFailed(f"{name} is {expected}.", field=name)


def _flag(name: str, value: Value) -> bool:
    if not isinstance(value, bool):
        raise _refused(name, "true or false")
    return value


def _one_of(choices: type[StrEnum]) -> Callable[[str, Value], StrEnum]:
    def read(name: str, value: Value) -> StrEnum:
        for choice in choices:
            if choice.value == value:
                return choice
        raise _refused(name, f"one of {', '.join(choices)}")

    return read


def _whole(low: int, high: int) -> Callable[[str, Value], int]:
    def read(name: str, value: Value) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _refused(name, f"a whole number from {low} to {high}")
        return value

    return read


def _share(name: str, value: Value) -> int | Decimal | None:
    if value is None:
        return None
    if not isinstance(value, int | Decimal) or isinstance(value, bool) or not 0 <= value < 1:
        raise _refused(name, "a share of requests, from 0 to below 1: 0.05 is 5 percent; or null for no guard")
    return value


def _milliseconds(name: str, value: Value) -> int | Decimal | None:
    if value is None:
        return None
    if not isinstance(value, int | Decimal) or isinstance(value, bool) or not 0 < value <= MAX_LATENCY_MS:
        raise _refused(name, f"a number of milliseconds above 0, at most {MAX_LATENCY_MS}; or null for no guard")
    return value


def _roles(name: str, value: Value) -> frozenset[Role]:
    if not isinstance(value, list) or any(not isinstance(role, str) or role not in DIRECT_WRITERS for role in value):
        writers = ", ".join(role for role in Role if role in DIRECT_WRITERS)
        raise _refused(name, f"an array of roles out of {writers}; an empty one leaves promotion as the only way")
    return frozenset(role for role in Role if role.value in value)


_READERS: Final[Mapping[str, Callable[[str, Value], Any]]] = {
    "auto_generation_approval_mode": _one_of(ApprovalMode),
    "auto_generation_approval_min_count": _whole(1, MAX_APPROVERS),
    "auto_generation_approval_min_percent": _whole(1, 100),
    "auto_checkpoint_before_promote": _flag,
    "require_gates_passed_on_promote": _flag,
    "auto_promote_on_all_pass": _flag,
    "auto_promote_strategy": _one_of(Strategy),
    "direct_prod_roles": _roles,
    "canary_auto_route": _flag,
    "canary_error_rate_threshold": _share,
    "canary_p99_latency_ms_threshold": _milliseconds,
    "canary_watchdog_interval_seconds": _whole(MIN_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS),
}
