"""Answers of ``/api/generations/{project_id}``."""

from collections.abc import Sequence
from uuid import UUID

from app.domain.model import Environment, EnvStatus
from app.domain.promotion import Check
from app.rest.answers import Answer
from app.rest.environment_answers import EnvironmentAnswer
from app.rest.promotion_answers import PromotionAnswer
from app.services.checking import Checked
from app.services.promoting import Validated


class Gate(Answer):
    name: str
    passed: bool
    reason: str | None


class GateAnswers(Answer):
    """The checks of an environment."""

    env_uuid: UUID
    passed: bool
    gates: list[Gate]

    @classmethod
    def of(cls, checked: Checked | Validated) -> "GateAnswers":
        """Return the checks as gates."""
        checks = checked.checks
        gates = [
            Gate(name=check.value, passed=checks.passed[check.value], reason=checks.reasons.get(check.value))
            for check in Check
        ]
        return cls(env_uuid=checked.environment.uuid, passed=checks.all_passed, gates=gates)


class QueuedEnvironment(Answer):
    environment: EnvironmentAnswer
    gates: GateAnswers


class Queue(Answer):
    queue: list[QueuedEnvironment]
    next_cursor: str | None


class Timeline(Answer):
    timeline: list[PromotionAnswer]


class EnvironmentName(Answer):
    env_uuid: UUID
    env_name: str
    traffic_weight: int

    @classmethod
    def of(cls, environment: Environment) -> "EnvironmentName":
        """Return an environment by name."""
        return cls(env_uuid=environment.uuid, env_name=environment.name, traffic_weight=environment.traffic_weight)


class GenerationStatus(Answer):
    """What serves the project's users; `traffic_weight` is the percentage that the rollout has, 0 without one."""

    production_uuid: UUID | None
    live: EnvironmentName | None
    rolling_out: EnvironmentName | None
    traffic_weight: int

    @classmethod
    def of(cls, found: Sequence[Environment]) -> "GenerationStatus":
        """Return the status that the living and rolling environments of a project give."""
        production = next((item.uuid for item in found if item.is_production), None)
        live = next((item for item in found if item.status is EnvStatus.LIVE and not item.is_production), None)
        rolling = next((item for item in found if item.status is EnvStatus.ROLLING_OUT), None)
        return cls(
            production_uuid=production,
            live=EnvironmentName.of(live) if live else None,
            rolling_out=EnvironmentName.of(rolling) if rolling else None,
            traffic_weight=rolling.traffic_weight if rolling else 0,
        )
