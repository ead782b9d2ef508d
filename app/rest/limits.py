"""``/api/sandbox/limits``: what the project's plan allows, and what of it is in use."""

from litestar import Router, get

from app.domain import plans
from app.domain.model import Plan
from app.domain.plans import Limit, Usage
from app.rest.answers import Answer
from app.rest.context import implied_project
from app.rest.parameters import Caller, ImpliedProjectId
from app.services import plan_limits


class PlanMaxima(Answer):
    """``null`` is no limit."""

    sandbox_environment_count: int | None
    sandbox_generation_depth: int | None
    sandbox_checkpoint_count: int | None
    sandbox_ab_test_count: int | None
    sandbox_shadow_writes: bool
    sandbox_env_ttl_days: int | None


class PlanUsage(Answer):
    environment_count: int
    checkpoint_count: int
    ab_test_count: int


class PlanFeatures(Answer):
    canary: bool
    shadow_writes: bool
    ab_test: bool


class Limits(Answer):
    tier: Plan
    limits: PlanMaxima
    usage: PlanUsage
    features: PlanFeatures

    @classmethod
    def of(cls, usage: Usage) -> "Limits":
        """Return the answer for what a project uses of its plan."""
        plan = usage.plan
        return cls(
            tier=plan,
            limits=PlanMaxima(
                sandbox_environment_count=plans.maximum(plan, Limit.ENVIRONMENT_COUNT),
                sandbox_generation_depth=plans.maximum(plan, Limit.GENERATION_DEPTH),
                sandbox_checkpoint_count=plans.maximum(plan, Limit.CHECKPOINT_COUNT),
                sandbox_ab_test_count=plans.maximum(plan, Limit.AB_TEST_COUNT),
                sandbox_shadow_writes=plans.has(plan, Limit.SHADOW_WRITES),
                sandbox_env_ttl_days=plans.maximum(plan, Limit.ENV_TTL_DAYS),
            ),
            usage=PlanUsage(
                environment_count=usage.environments,
                checkpoint_count=usage.checkpoints,
                ab_test_count=usage.ab_tests,
            ),
            features=PlanFeatures(
                canary=plans.has(plan, Limit.ENVIRONMENT_COUNT),
                shadow_writes=plans.has(plan, Limit.SHADOW_WRITES),
                ab_test=plans.has(plan, Limit.AB_TEST_COUNT),
            ),
        )


@get("/limits")
async def get_limits(actor: Caller, project_id: ImpliedProjectId = None) -> Limits:
    """Show what the project's plan allows, and what of it is in use.

    Archived environments and their checkpoints free their place; pins and backups take none.
    """
    return Limits.of(await plan_limits.usage(actor, implied_project(actor, project_id)))


def limit_routes() -> Router:
    """Return the routes of plans."""
    return Router("/api/sandbox", route_handlers=[get_limits], tags=["Plans"])
