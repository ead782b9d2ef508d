"""What the person who looks at a page may do, so that it offers nothing that would be refused."""

from dataclasses import dataclass

from app.domain import policy
from app.domain.errors import DomainError
from app.domain.members import Membership
from app.domain.model import Actor, Environment
from app.domain.policy import POLICY, Operation
from app.domain.project_settings import ProjectSettings


@dataclass(frozen=True, slots=True)
class Rights:
    """What an actor is in a project, asked by the same policy that the services ask."""

    actor: Actor
    membership: Membership | None
    settings: ProjectSettings

    def may(self, operation: str, environment: Environment | None = None) -> bool:
        """Return whether the actor may do the operation, in the environment if one is given."""
        asked = Operation(operation)
        try:
            policy.check(self.actor, self.membership, asked, environment.uuid if environment else None)
            if environment is not None and POLICY[asked].direct:
                policy.check_direct_write(self.membership, asked, environment, self.settings)
        except DomainError:
            return False
        return True
