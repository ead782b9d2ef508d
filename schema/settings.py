"""What a project's owners decide about how it works."""

from dataclasses import fields
from decimal import Decimal
from typing import Annotated, TypeAlias

import strawberry

from app.domain.model import Role, Strategy
from app.domain.project_settings import ApprovalMode, ProjectSettings
from app.domain.values import Value
from app.services import settings as service
from schema.context import Info
from schema.describe import mutation
from schema.errors import Forbidden, NotFound, ValidationFailed
from schema.inputs import MutationInput

_MODE = "How many approvals a promotion needs; on Enterprise one at least, whatever stands here."
_COUNT = "With MIN_COUNT: how many, 1 to 100."
_PERCENT = "With MIN_PERCENT: what share of those who may approve, percent, 1 to 100, rounded up to whole people."
_CHECKPOINT = "Whether a promotion takes a backup of production before it changes it."
_GATES = "Whether an environment has to be READY before it is promoted; else promoting runs the checks itself."
_AUTO = "Whether an environment is promoted by itself as soon as all its checks pass."
_AUTO_STRATEGY = "How it is promoted then."
_DIRECT = (
    "Roles that may write to production directly, out of OWNER, ADMIN, EDITOR; the others promote. API keys count as"
    " EDITOR."
)
_ROUTE = "Whether reads of documents that name a user are answered from the environment which serves that user."
_ERRORS = "Share of failed requests above which a rollout is aborted, 0 to below 1; null: not guarded."
_LATENCY = "99th percentile of latency above which a rollout is aborted, milliseconds; null: not guarded."
_INTERVAL = "Seconds between two looks at a rollout, 5 to 3600."


@strawberry.type(name="ProjectSettings", description="What a project's owners decide about how it works.")
class ProjectSettingsNode:
    auto_generation_approval_mode: ApprovalMode = strawberry.field(description=_MODE)
    auto_generation_approval_min_count: int = strawberry.field(description=_COUNT)
    auto_generation_approval_min_percent: int = strawberry.field(description=_PERCENT)
    auto_checkpoint_before_promote: bool = strawberry.field(description=_CHECKPOINT)
    require_gates_passed_on_promote: bool = strawberry.field(description=_GATES)
    auto_promote_on_all_pass: bool = strawberry.field(description=_AUTO)
    auto_promote_strategy: Strategy = strawberry.field(description=_AUTO_STRATEGY)
    direct_prod_roles: list[Role] = strawberry.field(description=_DIRECT)
    canary_auto_route: bool = strawberry.field(description=_ROUTE)
    canary_error_rate_threshold: Decimal | None = strawberry.field(description=_ERRORS)
    canary_p99_latency_ms_threshold: Decimal | None = strawberry.field(description=_LATENCY)
    canary_watchdog_interval_seconds: int = strawberry.field(description=_INTERVAL)

    @classmethod
    def of(cls, settings: ProjectSettings) -> "ProjectSettingsNode":
        return cls(
            auto_generation_approval_mode=settings.auto_generation_approval_mode,
            auto_generation_approval_min_count=settings.auto_generation_approval_min_count,
            auto_generation_approval_min_percent=settings.auto_generation_approval_min_percent,
            auto_checkpoint_before_promote=settings.auto_checkpoint_before_promote,
            require_gates_passed_on_promote=settings.require_gates_passed_on_promote,
            auto_promote_on_all_pass=settings.auto_promote_on_all_pass,
            auto_promote_strategy=settings.auto_promote_strategy,
            direct_prod_roles=[role for role in Role if role in settings.direct_prod_roles],
            canary_auto_route=settings.canary_auto_route,
            canary_error_rate_threshold=_decimal(settings.canary_error_rate_threshold),
            canary_p99_latency_ms_threshold=_decimal(settings.canary_p99_latency_ms_threshold),
            canary_watchdog_interval_seconds=settings.canary_watchdog_interval_seconds,
        )


def _decimal(value: int | Decimal | None) -> Decimal | None:
    return None if value is None else Decimal(value)


@strawberry.input(description="The settings to change; those left out stay as they are.")
class UpdateSettingsInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    auto_generation_approval_mode: ApprovalMode | None = strawberry.field(default=strawberry.UNSET, description=_MODE)
    auto_generation_approval_min_count: int | None = strawberry.field(default=strawberry.UNSET, description=_COUNT)
    auto_generation_approval_min_percent: int | None = strawberry.field(default=strawberry.UNSET, description=_PERCENT)
    auto_checkpoint_before_promote: bool | None = strawberry.field(default=strawberry.UNSET, description=_CHECKPOINT)
    require_gates_passed_on_promote: bool | None = strawberry.field(default=strawberry.UNSET, description=_GATES)
    auto_promote_on_all_pass: bool | None = strawberry.field(default=strawberry.UNSET, description=_AUTO)
    auto_promote_strategy: Strategy | None = strawberry.field(default=strawberry.UNSET, description=_AUTO_STRATEGY)
    direct_prod_roles: list[Role] | None = strawberry.field(default=strawberry.UNSET, description=_DIRECT)
    canary_auto_route: bool | None = strawberry.field(default=strawberry.UNSET, description=_ROUTE)
    canary_error_rate_threshold: Decimal | None = strawberry.field(default=strawberry.UNSET, description=_ERRORS)
    canary_p99_latency_ms_threshold: Decimal | None = strawberry.field(default=strawberry.UNSET, description=_LATENCY)
    canary_watchdog_interval_seconds: int | None = strawberry.field(default=strawberry.UNSET, description=_INTERVAL)

    def wanted(self) -> dict[str, Value]:
        """Return the settings that are named, as JSON."""
        given = {each.name: getattr(self, each.name) for each in fields(ProjectSettings)}
        return {name: _json(value) for name, value in given.items() if value is not strawberry.UNSET}


def _json(value: object) -> Value:
    if isinstance(value, list):
        return [_json(item) for item in value]
    assert value is None or isinstance(value, str | int | Decimal)
    return value


@strawberry.type(description="The settings are as asked for.")
class UpdateSettingsPayload:
    settings: ProjectSettingsNode = strawberry.field(description="All settings of the project.")


UpdateSettingsResult: TypeAlias = Annotated[
    UpdateSettingsPayload | NotFound | Forbidden | ValidationFailed,
    strawberry.union("UpdateSettingsResult", description="The settings, or why they stay as they are."),
]


@strawberry.type
class SettingsMutation:
    @mutation
    async def update_settings(self, info: Info, input: UpdateSettingsInput) -> UpdateSettingsResult:  # noqa: A002
        """Change settings of a project. For owners and admins."""
        settings = await service.update(info.context.actor, input.project_id, input.wanted())
        return UpdateSettingsPayload(settings=ProjectSettingsNode.of(settings))
