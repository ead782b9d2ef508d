"""Sessions: begun by a password, carried on by refresh tokens, ended by logging out."""

from dataclasses import dataclass
from math import ceil
from typing import Final
from uuid import UUID, uuid4

from app.domain import login_limits, policy
from app.domain.audit import Action, Object, ObjectType
from app.domain.errors import InvalidCredentials, InvalidRefreshToken, TokenKindForbidden, TooManyAttempts
from app.domain.login_limits import LoginLimits
from app.domain.model import Actor
from app.domain.policy import Operation
from app.services import identity, passwords, recording, refresh_tokens
from app.services.digests import keyed
from app.services.tokens import Claims
from app.storage import accounts, db, login_attempts, sessions
from app.storage.accounts import Account
from app.storage.login_attempts import Attempt

BROWSER_GRACE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds that an access token and a whole session last."""

    access: int
    session: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a client gets: an access token, the seconds it is good for, and what it is renewed with."""

    access_token: str
    expires_in: int
    refresh_token: str


@dataclass(frozen=True, slots=True)
class BrowserTokens:
    """What a browser gets; ``refresh_token`` None: another of its requests has just got the new one."""

    access_token: str
    refresh_token: str | None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What somebody at the client address ``address`` logs in with."""

    email: str
    password: str
    address: str


async def log_in(credentials: Credentials, lifetimes: Lifetimes, limits: LoginLimits) -> Tokens:
    """Begin a session.

    Raises InvalidCredentials, whichever of the two is wrong and whether there is such an account or not, and
    TooManyAttempts, by the same measure.
    """
    email = credentials.email.strip().lower()
    attempt = Attempt(_hashed("e-mail", email), _hashed("address", login_limits.network_of(credentials.address)))
    try:
        number = await _admit(attempt, limits)
    except TooManyAttempts as refusal:
        await recording.refused_login(None, refusal.code)
        raise
    account, right = await _checked(email, credentials.password)
    if account is None or not right:
        await login_attempts.fail(number)
        await recording.refused_login(account, InvalidCredentials.code)
        raise InvalidCredentials
    await _admitted(attempt)
    return await _begin(account, lifetimes)


async def refresh(refresh_token: str, lifetimes: Lifetimes) -> Tokens:
    """Exchange a refresh token, which is good for this once, for a new one and an access token.

    One that comes back after it was exchanged has been copied by somebody: the session ends, and with it every
    token of it. Raises InvalidRefreshToken.
    """
    found = await refresh_in_browser(refresh_token, lifetimes, 0.0)
    assert found.refresh_token is not None
    return Tokens(found.access_token, lifetimes.access, found.refresh_token)


async def refresh_in_browser(
    refresh_token: str, lifetimes: Lifetimes, grace: float = BROWSER_GRACE_SECONDS
) -> BrowserTokens:
    """Exchange a refresh token as ``refresh`` does, for a browser, which sends several requests with one cookie.

    One that was exchanged less than ``grace`` seconds ago gets an access token, and no refresh token. Raises
    InvalidRefreshToken.
    """
    presented = refresh_tokens.read(refresh_token)
    if presented is None:
        raise InvalidRefreshToken
    session_uuid, number = presented.session_uuid, presented.number
    following = refresh_tokens.new(session_uuid, number + 1)
    account_uuid = await sessions.advance(session_uuid, number, presented.secret_hash, following.secret_hash)
    exchanged = account_uuid is not None
    if account_uuid is None and grace > 0:
        account_uuid = await sessions.exchanged_lately(session_uuid, number, grace)
    if account_uuid is None:
        await _end_if_used(session_uuid, number)
        raise InvalidRefreshToken
    account = await accounts.account(account_uuid)
    if account is None:
        raise InvalidRefreshToken
    access = await identity.keyring.sign(account.uuid, account.name, lifetimes.access, session_uuid)
    return BrowserTokens(access, following.text if exchanged else None)


async def log_out(actor: Actor, authorization: str | None) -> None:
    """End the session of the header's access token; within a second no process takes any token of it.

    Raises Unauthenticated, TokenKindForbidden.
    """
    policy.check(actor, None, Operation.LOG_OUT)
    claims = await identity.claims_of(authorization)
    if claims is None:
        raise TokenKindForbidden
    await _end(claims)


@db.atomic()
async def _admit(attempt: Attempt, limits: LoginLimits) -> int:
    await login_attempts.lock(attempt)
    wait = login_limits.seconds_to_wait(limits, await login_attempts.history(attempt))
    if wait > 0:
        raise TooManyAttempts(ceil(wait))
    return await login_attempts.add(attempt)


@db.atomic()
async def _admitted(attempt: Attempt) -> None:
    await login_attempts.lock(attempt)
    await login_attempts.succeed(attempt)


async def _checked(email: str, password: str) -> tuple[Account | None, bool]:
    """Return the account and whether the password is its own; that takes as long for an unknown account."""
    if not passwords.can_be_one(password) or not passwords.can_be_one(email):
        return None, False
    account, password_hash = await accounts.account_with_hash(email) or (None, None)
    right = await passwords.matches(password_hash, password)
    if account is not None and password_hash is not None and right and passwords.is_outdated(password_hash):
        await accounts.replace_hash(account.uuid, await passwords.hashed(password))
    return account, right


@db.atomic()
async def _add_session(uuid: UUID, account_uuid: UUID, secret_hash: bytes, seconds: int) -> None:
    await sessions.add(uuid, account_uuid, secret_hash, seconds)


async def _begin(account: Account, lifetimes: Lifetimes) -> Tokens:
    first = refresh_tokens.new(uuid4(), 1)
    await _add_session(first.session_uuid, account.uuid, first.secret_hash, lifetimes.session)
    return await _tokens(account, first.session_uuid, first.text, lifetimes)


async def _tokens(account: Account, session_uuid: UUID, refresh_token: str, lifetimes: Lifetimes) -> Tokens:
    access = await identity.keyring.sign(account.uuid, account.name, lifetimes.access, session_uuid)
    return Tokens(access, lifetimes.access, refresh_token)


@db.atomic()
async def _end(claims: Claims) -> None:
    if claims.session_uuid is not None:
        await sessions.end(claims.session_uuid)
    await identity.keyring.revoke(claims)
    thing = Object(ObjectType.ACCOUNT, str(claims.account_uuid), claims.name)
    await recording.record_as(Actor(claims.account_uuid, claims.name), Action.LOGOUT, thing)


async def _end_if_used(session_uuid: UUID, number: int) -> None:
    ended = await _end_used(session_uuid, number)
    if ended is not None:
        known = await accounts.account(ended)
        await recording.refused_login(known, InvalidRefreshToken.code, Action.REFRESH_TOKENS)


@db.atomic()
async def _end_used(session_uuid: UUID, number: int) -> UUID | None:
    ended = await sessions.end(session_uuid, used=number)
    if ended is not None:
        await identity.keyring.revoke_sessions([session_uuid])
    return ended


def _hashed(what: str, text: str) -> bytes:
    return keyed(f"logins: {what}", text.encode(errors="surrogatepass"))[:16]
