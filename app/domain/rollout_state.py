"""Where a rollout stands, as whoever follows it is told: at first as it is, then at each event."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from app.domain.events import ROLLOUT_TYPES, Event, EventType
from app.domain.model import Environment, EnvStatus
from app.domain.values import Value

_ENDS: Final = frozenset({EventType.ROLLOUT_ABORTED, EventType.ROLLOUT_COMPLETED, EventType.ENVIRONMENT_ARCHIVED})
_OVER: Final = frozenset({EnvStatus.LIVE, EnvStatus.ARCHIVED})


@dataclass(frozen=True, slots=True)
class RolloutState:
    """Weights are percent; ``step`` counts from 1, 0 before the first, of ``steps``.

    ``type`` is the event's, None for the state at the beginning. ``next_step_at`` is None where a step does not wait
    for time. ``health`` is what was reported of both sides, by side.
    """

    project_id: int
    version: int
    env_uuid: UUID
    type: EventType | None
    status: EnvStatus
    weight: int
    previous_weight: int
    step: int
    steps: int
    next_step_at: datetime | None
    reason: str | None
    health: Value


def is_over(status: EnvStatus) -> bool:
    """Return whether an environment of that status has its rollout behind it."""
    return status in _OVER


def ends(event: Event) -> bool:
    """Return whether no rollout goes on after an event."""
    return event.type in _ENDS


def concerns(event: Event, state: RolloutState) -> bool:
    """Return whether an event tells of the rollout, or of a promotion that needs none."""
    if event.env_uuid != state.env_uuid:
        return False
    at_once = event.type is EventType.GENERATION_PROMOTED and state.status is not EnvStatus.ROLLING_OUT
    return event.type in ROLLOUT_TYPES or event.type in _ENDS or at_once


def state_of(environment: Environment, version: int) -> RolloutState:
    """Return where the environment's rollout stands, as its row says, at a project version."""
    weights = [int(str(step["weight"])) for step in environment.rollout_steps if isinstance(step, dict)]
    rolling = environment.status is EnvStatus.ROLLING_OUT
    reached = [weight for weight in weights if rolling and weight <= environment.traffic_weight]
    return RolloutState(
        project_id=environment.project_id,
        version=version,
        env_uuid=environment.uuid,
        type=None,
        status=environment.status,
        weight=environment.traffic_weight,
        previous_weight=reached[-2] if len(reached) > 1 else 0,
        step=len(reached),
        steps=len(weights),
        next_step_at=None,
        reason=None,
        health=None,
    )


def state_at(event: Event, before: RolloutState) -> RolloutState:
    """Return where the rollout stands at one of its events; what the event does not say is as it was ``before``."""
    known = replace(before, version=event.version, type=event.type)
    if event.type is EventType.ENVIRONMENT_ARCHIVED:
        return replace(known, status=EnvStatus.ARCHIVED, weight=0, previous_weight=before.weight, next_step_at=None)
    if event.type is EventType.GENERATION_PROMOTED:
        status = EnvStatus.DRAFT if event.data.get("partial") else EnvStatus.LIVE
        return replace(known, status=status, weight=100, previous_weight=before.weight)
    return as_told(event.data, known)


def as_told(data: Mapping[str, Value], before: RolloutState) -> RolloutState:
    """Return ``before`` with what the data of an event says of a rollout."""
    return replace(
        before,
        status=EnvStatus(str(data["status"])) if "status" in data else before.status,
        weight=_number(data, "traffic_weight", before.weight),
        previous_weight=_number(data, "previous_traffic_weight", before.weight),
        step=_number(data, "step", before.step),
        steps=_number(data, "steps", before.steps),
        next_step_at=_time(data.get("next_step_at")),
        reason=_text(data.get("reason")),
        health=data.get("health"),
    )


def _number(data: Mapping[str, Value], name: str, otherwise: int) -> int:
    value = data.get(name)
    if isinstance(value, list):
        return len(value)
    return value if isinstance(value, int) else otherwise


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None


def _time(value: Value) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None
