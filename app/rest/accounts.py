"""``/api/auth``: accounts and tokens."""

from litestar import Router, get, post
from litestar.params import JSONBody

from app.rest.answers import AccountAnswer, Token
from app.rest.bodies import Credentials
from app.rest.parameters import Caller, InSettings
from app.services import identity


@post("/register", status_code=201)
async def register(data: JSONBody[Credentials]) -> AccountAnswer:
    """Make an account."""
    return AccountAnswer.of(await identity.register(data.email, data.password))


@post("/login", status_code=200)
async def login(data: JSONBody[Credentials], settings: InSettings) -> Token:
    """Get a bearer token for an account.

    Send it as `Authorization: Bearer …`.
    """
    return Token.of(await identity.login(data.email, data.password, settings.token_seconds))


@get("/me")
async def me(actor: Caller) -> AccountAnswer:
    """Show the account that the token belongs to; for an API key, the account that made it."""
    return AccountAnswer.of(await identity.account(actor))


def public_routes() -> Router:
    """Return what needs no token."""
    return Router("/api/auth", route_handlers=[register, login], tags=["Accounts"])


def account_routes() -> Router:
    """Return what an account can ask about itself."""
    return Router("/api/auth", route_handlers=[me], tags=["Accounts"])
