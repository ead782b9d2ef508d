"""How an environment's status moves (semantics §3): one table, and the one question about writes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from app.domain.errors import InvalidTransition, WriteWhileRollingOut
from app.domain.model import Environment, EnvStatus

MOVES: Final[Mapping[EnvStatus, frozenset[EnvStatus]]] = {
    EnvStatus.DRAFT: frozenset({EnvStatus.VALIDATING, EnvStatus.ARCHIVED}),
    EnvStatus.VALIDATING: frozenset({EnvStatus.READY, EnvStatus.DRAFT, EnvStatus.ARCHIVED}),
    EnvStatus.READY: frozenset({EnvStatus.ROLLING_OUT, EnvStatus.LIVE, EnvStatus.DRAFT, EnvStatus.ARCHIVED}),
    EnvStatus.ROLLING_OUT: frozenset({EnvStatus.LIVE, EnvStatus.READY, EnvStatus.ARCHIVED}),
    EnvStatus.LIVE: frozenset({EnvStatus.VALIDATING, EnvStatus.DRAFT, EnvStatus.ARCHIVED}),
    EnvStatus.ARCHIVED: frozenset(),
}


def allowed_moves(environment: Environment) -> frozenset[EnvStatus]:
    """Return where the environment may go from its status; production never goes anywhere."""
    return frozenset() if environment.is_production else MOVES[environment.status]


def check_move(environment: Environment, to: EnvStatus) -> None:
    """Raise InvalidTransition unless the environment may become ``to``."""
    if to not in allowed_moves(environment):
        raise InvalidTransition(
            f"An environment that is {environment.status.value} cannot become {to.value}.",
            status=environment.status.value,
            requested=to.value,
            allowed=sorted(allowed_moves(environment)),
        )


def through(environment: Environment, *statuses: EnvStatus) -> Environment:
    """Return the environment after it moved through ``statuses`` one by one. Raises InvalidTransition."""
    for status in statuses:
        check_move(environment, status)
        environment = replace(environment, status=status)
    return environment


def status_after_write(environment: Environment) -> EnvStatus:
    """Return the status that a write leaves behind: what was checked before no longer is.

    Raises WriteWhileRollingOut.
    """
    if environment.status is EnvStatus.ROLLING_OUT:
        raise WriteWhileRollingOut
    if environment.is_production or environment.status is EnvStatus.DRAFT:
        return environment.status
    check_move(environment, EnvStatus.DRAFT)
    return EnvStatus.DRAFT
