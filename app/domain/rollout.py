"""Rollout steps: the default ones, and what steps may look like (reference guide, "Canary Rollout")."""

from decimal import Decimal
from typing import Final

from app.domain.errors import ValidationFailed
from app.domain.values import Value

MAX_STEPS: Final = 20
MAX_PAUSE_MINUTES: Final = 525_600
DEFAULT_STEPS: Final[list[Value]] = [
    {"weight": 5, "pause_minutes": 30},
    {"weight": 20, "pause_minutes": 60},
    {"weight": 50, "pause_minutes": 120},
    {"weight": 100, "pause_minutes": 0},
]
_OPTIONS: Final = {"weight", "pause_minutes", "auto_advance", "min_sample", "approval"}


def check_steps(steps: list[Value]) -> list[Value]:
    """Return ``steps`` if they are rollout steps: weights 1 to 100 rising, pauses of 0 minutes to a year.

    Raises ValidationFailed with the position of the first step that is none.
    """
    if not 1 <= len(steps) <= MAX_STEPS:
        raise ValidationFailed(f"A rollout has 1 to {MAX_STEPS} steps.", field="rollout_steps")
    previous = 0
    for position, step in enumerate(steps):
        previous = _check_step(position, step, previous)
    return steps


def _check_step(position: int, step: Value, previous: int) -> int:
    if not isinstance(step, dict) or not {"weight"} <= set(step) <= _OPTIONS:
        raise _invalid(position, f"it is an object with 'weight' and any of {', '.join(sorted(_OPTIONS - {'weight'}))}")
    weight, pause = step["weight"], step.get("pause_minutes", 0)
    if not isinstance(weight, int) or isinstance(weight, bool) or not previous < weight <= 100:
        raise _invalid(position, "weights are whole numbers from 1 to 100, each larger than the one before")
    if not isinstance(pause, int | Decimal) or isinstance(pause, bool) or not 0 <= pause <= MAX_PAUSE_MINUTES:
        raise _invalid(position, f"'pause_minutes' is a number from 0 to {MAX_PAUSE_MINUTES:,}")
    for option in ("auto_advance", "approval"):
        if not isinstance(step.get(option, False), bool):
            raise _invalid(position, f"{option!r} is true or false")
    sample = step.get("min_sample", 0)
    if not isinstance(sample, int) or isinstance(sample, bool) or sample < 0:
        raise _invalid(position, "'min_sample' is a whole number of 0 or more")
    return weight


def _invalid(position: int, reason: str) -> ValidationFailed:
    return ValidationFailed(f"Step {position} of the rollout: {reason}.", field="rollout_steps", step=position)
