"""Settings of a project, and the trail of who did what."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.dashboard.forms import Form
from app.dashboard.parameters import Cursor, Here, ProjectId, Text
from app.dashboard.visit import Problem, Visit
from app.domain.audit import Filter
from app.domain.errors import DomainError, ValidationFailed
from app.domain.model import Role, Strategy
from app.domain.project_settings import ApprovalMode
from app.domain.values import Value
from app.services import audit, settings

PAGE = 50


def _number(form: Form, name: str) -> Value:
    text = form.given(name)
    if text is None:
        return None
    try:
        number = Decimal(text)
    except ArithmeticError:
        raise ValidationFailed(f"{text[:40]!r} is not a number.", field=name) from None
    if not number.is_finite():
        raise ValidationFailed(f"{text[:40]!r} is not a number.", field=name)
    return int(number) if number == number.to_integral_value() else number


def _text(form: Form, name: str) -> Value:
    return form.text(name)


def _flag(form: Form, name: str) -> Value:
    return form.text(name) == "on"


def _several(form: Form, name: str) -> Value:
    return list(form.all(name))


_READERS: Final[Mapping[str, Callable[[Form, str], Value]]] = {
    "auto_generation_approval_mode": _text,
    "auto_generation_approval_min_count": _number,
    "auto_generation_approval_min_percent": _number,
    "auto_checkpoint_before_promote": _flag,
    "require_gates_passed_on_promote": _flag,
    "auto_promote_on_all_pass": _flag,
    "auto_promote_strategy": _text,
    "direct_prod_roles": _several,
    "canary_auto_route": _flag,
    "canary_error_rate_threshold": _number,
    "canary_p99_latency_ms_threshold": _number,
    "canary_watchdog_interval_seconds": _number,
}


@get("/projects/{project_id:int}/settings")
async def settings_page(visit: Here, project_id: ProjectId) -> Response[bytes]:
    """Show the settings of a project."""
    return await _settings_page(visit, project_id)


async def _settings_page(visit: Visit, project_id: int, problem: Problem | None = None) -> Response[bytes]:
    return visit.page(
        "settings.html",
        shell=await visit.shell(project_id),
        section="settings",
        settings=await settings.get(visit.actor, project_id),
        modes=[(mode.value, mode.value.replace("_", " ")) for mode in ApprovalMode],
        strategies=[(strategy.value, strategy.value.replace("_", "-")) for strategy in Strategy],
        writers=[role for role in Role if role is not Role.VIEWER],
        problem=problem,
    )


@post("/projects/{project_id:int}/settings")
async def save_settings(visit: Here, project_id: ProjectId) -> Response[bytes]:
    """Change the settings of a project."""
    form = visit.form
    try:
        wanted = {name: read(form, name) for name, read in _READERS.items()}
        before = (await settings.get(visit.actor, project_id)).to_json()
        changes = {name: value for name, value in wanted.items() if before[name] != value}
        await settings.update(visit.actor, project_id, changes)
    except DomainError as error:
        return await _settings_page(visit, project_id, Problem("settings", error, form))
    return visit.to(f"/projects/{project_id}/settings", "The settings are saved.")


@get("/projects/{project_id:int}/audit")
async def audit_page(visit: Here, project_id: ProjectId, only: Text = "", cursor: Cursor = None) -> Response[bytes]:
    """List what was done and what was refused, the newest first."""
    wanted = Filter(refused={"refused": True, "done": False}.get(only))
    page = await audit.list_entries(visit.actor, project_id, wanted, limit=PAGE, cursor=cursor)
    return visit.page(
        "audit.html",
        shell=await visit.shell(project_id),
        section="audit",
        page=page,
        only=only,
        broken=await audit.first_broken(visit.actor, project_id) if only == "check" else None,
    )


def governing_pages() -> list[HTTPRouteHandler]:
    """Return the pages of settings and the trail."""
    return [settings_page, save_settings, audit_page]
