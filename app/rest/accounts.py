"""``/api/auth``: accounts and tokens."""

from litestar import Router, get, post
from litestar.params import JSONBody

from app.rest.answers import AccountAnswer, Token
from app.rest.bodies import Credentials, RefreshRequest
from app.rest.parameters import Caller, InSettings
from app.rest.request import StrictRequest
from app.services import identity, login
from app.services.login import Lifetimes
from app.settings import Settings


@post("/register", status_code=201)
async def register(data: JSONBody[Credentials]) -> AccountAnswer:
    """Make an account."""
    return AccountAnswer.of(await identity.register(data.email, data.password))


@post("/login", status_code=200)
async def log_in(data: JSONBody[Credentials], request: StrictRequest, settings: InSettings) -> Token:
    """Get a bearer token for an account.

    Send it as `Authorization: Bearer …`; before it expires, exchange the refresh token for the next one.
    """
    given = login.Credentials(data.email, data.password, request.client_address)
    return Token.of(await login.log_in(given, _lifetimes(settings), settings.login_limits))


@post("/refresh", status_code=200)
async def refresh(data: JSONBody[RefreshRequest], settings: InSettings) -> Token:
    """Exchange a refresh token for new tokens.

    It is good for this once. If one that was exchanged comes back, somebody has copied it: the whole session ends.
    """
    return Token.of(await login.refresh(data.refresh_token, _lifetimes(settings)))


@post("/logout", status_code=204)
async def log_out(request: StrictRequest, actor: Caller) -> None:
    """End the session that the token belongs to.

    Within a second no server takes any of its tokens.
    """
    await login.log_out(actor, request.headers.get("authorization"))


@get("/me")
async def me(actor: Caller) -> AccountAnswer:
    """Show the account that the token belongs to; for an API key, the account that made it."""
    return AccountAnswer.of(await identity.account(actor))


def public_routes() -> Router:
    """Return what needs no token."""
    return Router("/api/auth", route_handlers=[register, log_in, refresh], tags=["Accounts"])


def account_routes() -> Router:
    """Return what an account can ask about itself."""
    return Router("/api/auth", route_handlers=[me, log_out], tags=["Accounts"])


def _lifetimes(settings: Settings) -> Lifetimes:
    return Lifetimes(settings.token_seconds, settings.session_seconds)
