"""The session of a browser: a cookie with the tokens that the login service gave out, renewed as they expire."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from app.domain.errors import InvalidRefreshToken, Unauthenticated
from app.domain.model import Actor
from app.services import identity, login
from app.services.digests import keyed
from app.services.login import Lifetimes, Tokens

# A browser sends several requests at once, and only one of them may exchange the refresh token.
RENEWAL_SECONDS: Final = 30.0
MAX_RENEWALS: Final = 10_000
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


_renewals: "OrderedDict[str, tuple[float, asyncio.Task[Tokens]]]" = OrderedDict()


def cookie_of(tokens: Tokens) -> str:
    """Return what the cookie of a session holds."""
    return f"{tokens.refresh_token}{_SEPARATOR}{tokens.access_token}"


async def resume(cookie: str, lifetimes: Lifetimes) -> Resumed | None:
    """Return the session of a cookie, None if it has ended or never was one."""
    refresh_token, _, access_token = cookie.partition(_SEPARATOR)
    try:
        return Resumed(await _session(access_token))
    except Unauthenticated:
        pass
    try:
        tokens = await _renewed(refresh_token, lifetimes)
        return Resumed(await _session(tokens.access_token), cookie_of(tokens))
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


async def _renewed(refresh_token: str, lifetimes: Lifetimes) -> Tokens:
    now = time.monotonic()
    while _renewals and (len(_renewals) > MAX_RENEWALS or now - next(iter(_renewals.values()))[0] > RENEWAL_SECONDS):
        _renewals.popitem(last=False)
    if refresh_token not in _renewals:
        _renewals[refresh_token] = now, asyncio.ensure_future(login.refresh(refresh_token, lifetimes))
    # The others wait for it too, should the request that began it go away.
    return await asyncio.shield(_renewals[refresh_token][1])
