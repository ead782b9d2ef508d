"""JWTs of an external issuer (OpenID Connect or any other) whose keys are published as a JWK set (RFC 7517)."""

import asyncio
import time
from collections.abc import Mapping
from contextvars import Context
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from app.domain.audit import Action
from app.domain.errors import IssuerUnavailable, ValidationFailed
from app.domain.json_text import unstorable_text
from app.domain.model import Actor
from app.domain.names import email_address
from app.domain.trusted_issuer import TrustedIssuer
from app.services import jwt_rules, recording
from app.services.jwt_rules import Rules, VerifyingKey
from app.services.key_set_source import KeySetUnavailable, fetch_key_set
from app.storage import accounts, db
from app.storage.accounts import Account

MAX_LIFE: Final = 86_400
"""Seconds; a longer-lived token of the issuer is refused."""
TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
REFRESH_SECONDS: Final = 300.0
"""Keys older than this are fetched again; a key that the issuer took back is refused from then on."""
RETRY_SECONDS: Final = 10.0
"""Least time between two fetches, whatever tokens are presented."""
STALE_SECONDS: Final = 3_600.0
"""How long keys are taken when they cannot be fetched again."""
_MAX_SUBJECT: Final = 255
_MIN_RSA_BITS: Final = 2_048
_log = structlog.get_logger("strata")


@dataclass(frozen=True, slots=True)
class ForeignClaims:
    """Whose token it is; ``name`` is the account's."""

    account_uuid: UUID
    name: str
    token_id: UUID
    refused_from: float


class ExternalIssuer:
    """The one other issuer whose tokens are taken."""

    def __init__(self, trusted: TrustedIssuer) -> None:
        self.rules = Rules(trusted.issuer, trusted.audience, TYPES, MAX_LIFE)
        self._url = trusted.key_set_url
        self._keys: Mapping[str, VerifyingKey] = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def verify(self, token: str) -> ForeignClaims:
        """Return whose token it is; at first sight of a user an account is made.

        Raises Unauthenticated, IssuerUnavailable.
        """
        key = await self._key(jwt_rules.key_id(token, self.rules))
        claims = jwt_rules.claims_of(token, key, self.rules)
        subject: str = claims["sub"]
        if len(subject) > _MAX_SUBJECT or unstorable_text(subject):
            raise jwt_rules.invalid()
        issuer = self.rules.issuer
        account = await accounts.linked_account(issuer, subject) or await _link(issuer, subject, claims)
        # Issuers choose their ids freely; ours are UUIDs.
        digest = sha256(f"{issuer}\0{claims['jti']}".encode(errors="surrogatepass")).digest()
        return ForeignClaims(account.uuid, account.name, UUID(bytes=digest[:16]), jwt_rules.refused_from(claims))

    async def _key(self, kid: str) -> VerifyingKey:
        age = time.monotonic() - self._fetched_at
        if kid not in self._keys or age > STALE_SECONDS:
            await asyncio.shield(self._fetch())
        elif age > REFRESH_SECONDS:
            self._fetch()
        if time.monotonic() - self._fetched_at > STALE_SECONDS:
            raise IssuerUnavailable
        key = self._keys.get(kid)
        if key is None:
            raise jwt_rules.invalid()
        return key

    def _fetch(self) -> "asyncio.Future[None]":
        """Return what ends when the keys have been fetched, or have been tried to a moment ago."""
        loop = asyncio.get_running_loop()
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if time.monotonic() - self._tried_at < RETRY_SECONDS:
            done = loop.create_future()
            done.set_result(None)
            return done
        self._tried_at = time.monotonic()
        self._fetching = loop.create_task(self._fetched(), context=Context())
        return self._fetching

    async def _fetched(self) -> None:
        try:
            self._keys = usable_keys(await asyncio.to_thread(fetch_key_set, self._url))
            self._fetched_at = time.monotonic()
        except KeySetUnavailable as error:
            _log.warning("issuer's keys not fetched", url=self._url, reason=str(error))


def usable_keys(key_set: Mapping[str, Any]) -> dict[str, VerifyingKey]:
    """Return the keys of a JWK set by their ids, each with the one algorithm that its kind is for.

    Left out: keys without an id or with one that stands twice, symmetric, private and weak ones, and those meant
    for something else.
    """
    members = key_set.get("keys")
    found: dict[str, VerifyingKey] = {}
    twice: set[str] = set()
    for member in members if isinstance(members, list) else []:
        key = _usable(member) if isinstance(member, dict) else None
        if key is not None:
            twice |= {member["kid"]} & found.keys()
            found[member["kid"]] = key
    return {kid: key for kid, key in found.items() if kid not in twice}


def _usable(member: dict[str, Any]) -> VerifyingKey | None:
    algorithm = _algorithm(member)
    if algorithm is None or member.get("alg", algorithm) != algorithm or member.get("use", "sig") != "sig":
        return None
    if not isinstance(member.get("kid"), str) or "d" in member:
        return None
    try:
        public = jwt.PyJWK(member, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if isinstance(public, RSAPublicKey) and public.key_size < _MIN_RSA_BITS:
        return None
    return VerifyingKey(public, algorithm)


def _algorithm(member: dict[str, Any]) -> str | None:
    match member:
        case {"kty": "RSA"}:
            return "RS256"
        case {"kty": "EC", "crv": "P-256"}:
            return "ES256"
        case {"kty": "OKP", "crv": "Ed25519"}:
            return "EdDSA"
    return None


@db.atomic()
async def _link(issuer: str, subject: str, claims: Mapping[str, Any]) -> Account:
    await accounts.lock_identity(issuer, subject)
    known = await accounts.linked_account(issuer, subject)
    if known is not None:
        return known
    made = await accounts.add_linked_account(issuer, subject, _vouched_email(claims))
    thing = recording.account_object(made)
    await recording.record_as(Actor(made.uuid, made.name), Action.REGISTER_ACCOUNT, thing, after={"issuer": issuer})
    return made


def _vouched_email(claims: Mapping[str, Any]) -> str | None:
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str):
        return None
    try:
        return email_address(email)
    except ValidationFailed:
        return None
