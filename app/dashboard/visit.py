"""One request of a browser: who asks, what was filled in, and the answers that a page can be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_urlsafe
from typing import Any, Final
from urllib.parse import quote, unquote
from uuid import UUID

from litestar import Request, Response
from litestar.types import Scope

from app.dashboard import sessions
from app.dashboard.door import Door
from app.dashboard.forms import EMPTY, Form
from app.dashboard.rendering import render
from app.dashboard.rights import Rights
from app.dashboard.sessions import Session
from app.domain.errors import DomainError, Unauthenticated
from app.domain.freezes import Freeze, freeze_in_force
from app.domain.model import Actor, Environment, EnvStatus, Project
from app.services import access, environments, freezes, project_settings, projects

SESSION_COOKIE: Final = "strata_session"
VISITOR_COOKIE: Final = "strata_visitor"
NOTICE_COOKIE: Final = "strata_notice"
THEME_COOKIE: Final = "strata_theme"
THEMES: Final = ("auto", "light", "dark")
NOTICE_SECONDS: Final = 60
REFUSAL: Final = b"data-refusal"
"""What the templates mark a refusal with."""
SWITCHABLE: Final = 100
"""Environments that can be switched to from every page; the project's page lists all."""
LIVING: Final = tuple(status for status in EnvStatus if status is not EnvStatus.ARCHIVED)
_STATE_KEY: Final = "dashboard_visit"

PAGE_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A form that was refused: which one, why, and what was filled in."""

    form_name: str
    error: DomainError
    form: Form


@dataclass(frozen=True, slots=True)
class Shell:
    """What stands around every page of a project."""

    project: Project
    rights: Rights
    environments: list[Environment]
    more_environments: bool
    freeze: Freeze | None

    def may(self, operation: str, environment: Environment | None = None) -> bool:
        """Return whether the person who looks may do this."""
        return self.rights.may(operation, environment)

    def name_of(self, env_uuid: UUID | None) -> str:
        """Return the name of an environment, as far as it is known here."""
        known = (item.name for item in self.environments if item.uuid == env_uuid)
        return next(known, "an archived environment" if env_uuid else "")


@dataclass(slots=True)
class Visit:
    """A request with its session, if it has one, and its form, if it sends one."""

    door: Door
    request: Request[Any, Any, Any]
    session: Session | None = None
    form: Form = EMPTY
    visitor: str = ""
    cookies: list[bytes] = field(default_factory=list)

    @property
    def actor(self) -> Actor:
        """Who asks. Raises Unauthenticated."""
        if self.session is None:
            raise Unauthenticated("Log in first.")
        return self.session.actor

    @property
    def theme(self) -> str:
        """The chosen colours: ``auto`` follows the system."""
        chosen = self.request.cookies.get(THEME_COOKIE, "")
        return chosen if chosen in THEMES else THEMES[0]

    @property
    def form_token(self) -> str:
        """What forms have to carry to be taken."""
        return sessions.form_token(self.session.binding if self.session else f"visitor {self.visitor}")

    @property
    def path(self) -> str:
        """The address of this page on this server."""
        path = self.request.url.path
        return f"{path}?{self.request.url.query}" if self.request.url.query else path

    def set_cookie(self, name: str, value: str, seconds: int) -> None:
        """Have the answer set a cookie that no script can read; with 0 seconds, take it away."""
        secure = "; Secure" if _is_secure(self.request.scope) else ""
        text = f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
        self.cookies.append(text.encode())

    def known_visitor(self) -> None:
        """See to it that who is not logged in can be told from others by a cookie."""
        if not self.visitor:
            self.visitor = token_urlsafe(18)
            self.set_cookie(VISITOR_COOKIE, self.visitor, self.door.settings.session_seconds)

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response[bytes]:
        """Answer with a page; a problem in it is its status."""
        problem: Problem | None = context.setdefault("problem", None)
        if problem is not None:
            status = self.door.statuses[problem.error.kind]
        notice = unquote(self.request.cookies.get(NOTICE_COOKIE, ""))[:500]
        if notice:
            self.set_cookie(NOTICE_COOKIE, "", 0)
        surroundings = {"visit": self, "notice": notice, "shell": None, "environment": None}
        content = render(template, {**surroundings, **context})
        if problem is not None and REFUSAL not in content:
            # The page does not offer what was asked for, so it has no place to say why not.
            content = render("refused.html", {**surroundings, "error": problem.error})
        return Response(content, status_code=status, media_type="text/html", headers=dict(PAGE_HEADERS))

    def to(self, path: str, notice: str = "") -> Response[bytes]:
        """Send the browser to another page, which begins with a notice."""
        if notice:
            self.set_cookie(NOTICE_COOKIE, quote(notice), NOTICE_SECONDS)
        headers = {"location": path, "cache-control": "no-store"}
        return Response(b"", status_code=303, media_type="text/plain", headers=headers)

    async def shell(self, project_id: int) -> Shell:
        """Return what stands around a project's page. Raises ProjectNotFound."""
        project = await projects.get(self.actor, project_id)
        listed = await environments.list_environments(self.actor, project_id, limit=SWITCHABLE, statuses=LIVING)
        membership = await access.membership_in(self.actor, project_id)
        rights = Rights(self.actor, membership, await project_settings.of(project_id))
        frozen = freeze_in_force(await freezes.living(self.actor, project_id), datetime.now(UTC))
        return Shell(project, rights, list(listed.items), listed.next_cursor is not None, frozen)


def keep(scope: Scope, visit: Visit) -> None:
    """Note the visit that a request is."""
    scope["state"][_STATE_KEY] = visit


def visit_of(scope: Scope) -> Visit:
    """Return the visit that a request is."""
    found: Visit = scope["state"][_STATE_KEY]
    return found


def _is_secure(scope: Scope) -> bool:
    # A proxy may say so for itself: it can only make cookies safer.
    forwarded = next((value for name, value in scope["headers"] if name == b"x-forwarded-proto"), b"")
    return scope["scheme"] == "https" or forwarded.split(b",")[0].strip().lower() == b"https"
