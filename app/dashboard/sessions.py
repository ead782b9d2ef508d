"""The session of a browser: a cookie with the tokens that the login service gave out, renewed as they expire."""

from dataclasses import dataclass
from typing import Final

from app.domain.errors import InvalidRefreshToken, Unauthenticated
from app.domain.model import Actor
from app.services import identity, login
from app.services.digests import keyed
from app.services.login import Lifetimes, Tokens

_SEPARATOR: Final = "~"
_PURPOSE: Final = "dashboard: forms"


@dataclass(frozen=True, slots=True)
class Session:
    """Who is logged in; ``authorization`` is the header that says so to services, ``binding`` what forms belong to."""

    actor: Actor
    authorization: str
    binding: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """A session that goes on; ``cookie`` is its new value where its tokens were renewed."""

    session: Session
    cookie: str | None = None


def cookie_of(tokens: Tokens) -> str:
    """Return what the cookie of a session holds."""
    return _cookie(tokens.refresh_token, tokens.access_token)


def _cookie(refresh_token: str, access_token: str) -> str:
    return f"{refresh_token}{_SEPARATOR}{access_token}"


async def resume(cookie: str, lifetimes: Lifetimes) -> Resumed | None:
    """Return the session of a cookie, None if it has ended or never was one."""
    refresh_token, _, access_token = cookie.partition(_SEPARATOR)
    try:
        return Resumed(await _session(access_token))
    except Unauthenticated:
        pass
    try:
        tokens = await login.refresh_in_browser(refresh_token, lifetimes)
        renewed = tokens.refresh_token and _cookie(tokens.refresh_token, tokens.access_token)
        return Resumed(await _session(tokens.access_token), renewed)
    except (InvalidRefreshToken, Unauthenticated):
        return None


def form_token(binding: str) -> str:
    """Return what the forms of a session, or of a visitor who is to log in, have to carry."""
    return keyed(_PURPOSE, binding.encode(errors="surrogatepass")).hex()[:40]


async def _session(access_token: str) -> Session:
    authorization = f"Bearer {access_token}"
    actor = await identity.authenticate(authorization)
    claims = await identity.claims_of(authorization)
    if claims is None:
        raise Unauthenticated("The dashboard takes no API keys.")
    return Session(actor, authorization, str(claims.session_uuid or claims.token_id))
