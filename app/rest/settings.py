"""``/api/generations/{project_id}/settings``: what the project's owners decide about how it works."""

from typing import Any

from litestar import Router, get, patch
from litestar.params import JSONBody
from msgspec import UNSET, UnsetType, structs

from app.domain.model import Role, Strategy
from app.domain.project_settings import ApprovalMode, ProjectSettings
from app.rest.answers import Answer
from app.rest.body import Body
from app.rest.parameters import Caller, ProjectId
from app.services import settings


class SettingsChange(Body):
    """What to change; members left out stay as they are.

    `canary_error_rate_threshold` is a share of requests (0.05 is 5 percent), `canary_p99_latency_ms_threshold` a number
    of milliseconds; null guards nothing.
    """

    auto_generation_approval_mode: ApprovalMode | UnsetType = UNSET
    auto_generation_approval_min_count: int | UnsetType = UNSET
    auto_generation_approval_min_percent: int | UnsetType = UNSET
    auto_checkpoint_before_promote: bool | UnsetType = UNSET
    require_gates_passed_on_promote: bool | UnsetType = UNSET
    auto_promote_on_all_pass: bool | UnsetType = UNSET
    auto_promote_strategy: Strategy | UnsetType = UNSET
    direct_prod_roles: list[Role] | UnsetType = UNSET
    canary_auto_route: bool | UnsetType = UNSET
    canary_error_rate_threshold: Any = UNSET
    canary_p99_latency_ms_threshold: Any = UNSET
    canary_watchdog_interval_seconds: int | UnsetType = UNSET


class SettingsValues(Answer):
    """All settings. A threshold that is null guards nothing; roles not in `direct_prod_roles` promote instead."""

    auto_generation_approval_mode: ApprovalMode
    auto_generation_approval_min_count: int
    auto_generation_approval_min_percent: int
    auto_checkpoint_before_promote: bool
    require_gates_passed_on_promote: bool
    auto_promote_on_all_pass: bool
    auto_promote_strategy: Strategy
    direct_prod_roles: list[Role]
    canary_auto_route: bool
    canary_error_rate_threshold: Any
    canary_p99_latency_ms_threshold: Any
    canary_watchdog_interval_seconds: int


class SettingsAnswer(Answer):
    settings: SettingsValues

    @classmethod
    def of(cls, settings: ProjectSettings) -> "SettingsAnswer":
        """Return the answer for a project's settings."""
        values: dict[str, Any] = settings.to_json()
        return cls(settings=SettingsValues(**values))


@get("/{project_id:str}/settings")
async def get_settings(project_id: ProjectId, actor: Caller) -> SettingsAnswer:
    """Show the project's settings."""
    return SettingsAnswer.of(await settings.get(actor, project_id))


@patch("/{project_id:str}/settings")
async def update_settings(project_id: ProjectId, data: JSONBody[SettingsChange], actor: Caller) -> SettingsAnswer:
    """Change settings of the project. For owners and admins, and for API keys with the scope `admin`."""
    wanted = {name: value for name, value in structs.asdict(data).items() if value is not UNSET}
    return SettingsAnswer.of(await settings.update(actor, project_id, wanted))


def settings_routes() -> Router:
    """Return the routes of settings."""
    return Router("/api/generations", route_handlers=[get_settings, update_settings], tags=["Settings"])
