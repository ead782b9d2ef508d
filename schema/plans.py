"""What a project's plan allows, and what of it is in use."""

import strawberry

from app.domain import plans
from app.domain.plans import Limit, Usage


@strawberry.type(description="One limit of a project's plan.")
class LimitUsage:
    limit: Limit = strawberry.field(description="What is limited.")
    current: int | None = strawberry.field(
        description="How much of it is in use; the largest number, of generations; null for days: they are not used up."
    )
    max: int | None = strawberry.field(description="How much the plan allows; null: as much as you like.")

    @classmethod
    def all_of(cls, usage: Usage) -> "list[LimitUsage]":
        """Return every limit of a project's plan."""
        return [cls(limit=limit, current=usage.of(limit), max=plans.maximum(usage.plan, limit)) for limit in Limit]
