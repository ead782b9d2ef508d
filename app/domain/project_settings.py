"""What a project's owners decide about how it works."""

from dataclasses import dataclass
from typing import Final

from app.domain.model import Role
from app.domain.values import Value

_DIRECT_WRITERS: Final = frozenset({Role.OWNER, Role.ADMIN, Role.EDITOR})


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """``direct_prod_roles`` are those that may write to production without a promotion."""

    direct_prod_roles: frozenset[Role] = _DIRECT_WRITERS

    @classmethod
    def of(cls, stored: Value) -> "ProjectSettings":
        """Return the settings that are stored as JSON; what is not said there is as by default."""
        roles = stored.get("direct_prod_roles") if isinstance(stored, dict) else None
        if not isinstance(roles, list):
            return cls()
        return cls(direct_prod_roles=frozenset(role for role in Role if role.value in roles))
