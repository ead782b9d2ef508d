"""Coming in and leaving: logging in, making an account, choosing colours."""

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.dashboard import sessions
from app.dashboard.parameters import Here, Text
from app.dashboard.visit import SESSION_COOKIE, THEME_COOKIE, THEMES, Problem, Visit
from app.domain.errors import DomainError
from app.services import identity, login

THEME_SECONDS = 365 * 86_400


@get("/login")
async def login_page(visit: Here, next: Text = "/") -> Response[bytes]:  # noqa: A002
    """Ask who it is."""
    if visit.session is not None:
        return visit.to(_local(next))
    return _login_page(visit, _local(next))


def _login_page(visit: Visit, following: str, problem: Problem | None = None) -> Response[bytes]:
    visit.known_visitor()
    return visit.page("login.html", following=following, problem=problem)


@post("/login")
async def log_in(visit: Here) -> Response[bytes]:
    """Begin a session."""
    following = _local(visit.form.text("next"))
    try:
        return await _begin(visit, following)
    except DomainError as error:
        return _login_page(visit, following, Problem("login", error, visit.form))


@post("/register")
async def register(visit: Here) -> Response[bytes]:
    """Make an account, and begin a session of it."""
    following = _local(visit.form.text("next"))
    try:
        await identity.register(visit.form.text("email"), visit.form.text("password"))
        return await _begin(visit, following)
    except DomainError as error:
        return _login_page(visit, following, Problem("register", error, visit.form))


async def _begin(visit: Visit, following: str) -> Response[bytes]:
    address = visit.door.client_address(visit.request.scope)
    given = login.Credentials(visit.form.text("email"), visit.form.text("password"), address)
    tokens = await login.log_in(given, visit.door.lifetimes, visit.door.settings.login_limits)
    visit.set_cookie(SESSION_COOKIE, sessions.cookie_of(tokens), visit.door.settings.session_seconds)
    return visit.to(following)


@post("/logout")
async def log_out(visit: Here) -> Response[bytes]:
    """End the session, in this browser and at the server."""
    if visit.session is not None:
        await login.log_out(visit.actor, visit.session.authorization)
    visit.set_cookie(SESSION_COOKIE, "", 0)
    return visit.to("/login", "You are logged out.")


@post("/theme")
async def choose_theme(visit: Here) -> Response[bytes]:
    """Choose light or dark colours, or those of the system."""
    chosen = visit.form.text("theme")
    if chosen in THEMES:
        visit.set_cookie(THEME_COOKIE, chosen, THEME_SECONDS)
    return visit.to(_local(visit.form.text("next")))


def _local(path: str) -> str:
    """Return ``path`` if it leads to this server and nowhere else, else the first page."""
    plain = path.startswith("/") and not path.startswith("//") and path.isprintable() and path.isascii()
    return path if plain and "\\" not in path else "/"


def entry_pages() -> list[HTTPRouteHandler]:
    """Return the pages of those who are not logged in."""
    return [login_page, log_in, register]


def own_pages() -> list[HTTPRouteHandler]:
    """Return what somebody does with his own session."""
    return [log_out, choose_theme]
