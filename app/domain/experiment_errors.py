"""The refusals of A/B tests (semantics §5, §10, §11.23)."""

from uuid import UUID

from app.domain.errors import DomainError, Kind, NotFound


class ExperimentNotFound(NotFound):
    code = "ab_test_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such A/B test.")


class ExperimentNotActive(DomainError):
    """The test has ended: nothing is counted any more, and it is neither stopped nor won again."""

    code, kind = "ab_test_not_active", Kind.CONFLICT

    def __init__(self, status: str) -> None:
        super().__init__(f"This A/B test is {status}.", status=status)


class UserNotExposed(NotFound):
    """Results are of users who have seen their variant."""

    code = "user_not_exposed"

    def __init__(self, user: str) -> None:
        super().__init__("This user was not exposed to the test: a result comes after an exposure.", user_uuid=user)


class ExperimentRunning(DomainError):
    """While a test runs, its sides reach production by declaring a winner."""

    code, kind = "ab_test_running", Kind.CONFLICT

    def __init__(self, test_uuid: UUID) -> None:
        super().__init__(
            "The environment is a side of an A/B test that runs: declare that side the winner, or stop the test.",
            test_id=str(test_uuid),
        )


class EnvironmentUnderWay(DomainError):
    """What is on its way to production cannot be a side of a test."""

    code, kind = "environment_under_way", Kind.CONFLICT

    def __init__(self, env_uuid: UUID) -> None:
        super().__init__(
            "A promotion of this environment rolls out or waits for approval; end that first.", env_uuid=str(env_uuid)
        )
