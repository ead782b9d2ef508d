"""What every JWT has to fulfil here, whoever issued it (RFC 8725, RFC 9068), around what PyJWT checks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from app.domain.errors import Unauthenticated

MAX_TOKEN_LENGTH: Final = 8_192
LEEWAY_SECONDS: Final = 10
"""How far the clocks of those who sign and those who verify may be apart."""
TYPE: Final = "at+jwt"
REQUIRED: Final = ["exp", "iat", "iss", "aud", "sub", "jti"]
PublicKey = Ed25519PublicKey | RSAPublicKey | EllipticCurvePublicKey

# PyJWT forgives padding behind the signature; then one token would have several texts.
_compact = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII).fullmatch
# Each asks the verifier to take a key, or a rule, from the token itself.
_REFUSED_HEADERS: Final = frozenset({"crit", "b64", "zip", "jku", "jwk", "x5u", "x5c"})


@dataclass(frozen=True, slots=True)
class Rules:
    """Whose tokens these are; ``types`` are the ``typ`` headers taken, in lower case, ``life`` is in seconds."""

    issuer: str
    audience: str
    types: frozenset[str]
    life: int


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key and the one algorithm that it is for."""

    public: PublicKey
    algorithm: str


def invalid() -> Unauthenticated:
    """Return the refusal of a token, without the reason that a forger would like to know."""
    return Unauthenticated("The token is not valid.")


def expired() -> Unauthenticated:
    """Return the refusal of a token that was good."""
    return Unauthenticated("The token has expired; log in again.")


def check_form(token: str) -> None:
    """Refuse what has not the one form that a token has here, before any of it is decoded. Raises Unauthenticated."""
    if len(token) > MAX_TOKEN_LENGTH or not _compact(token):
        raise invalid()


def key_id(token: str, rules: Rules) -> str:
    """Return which key the token says it was signed with. Raises Unauthenticated for a header not taken here."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise invalid() from None
    kid, kind = header.get("kid"), header.get("typ")
    if not isinstance(kid, str) or not isinstance(kind, str) or kind.lower() not in rules.types:
        raise invalid()
    if _REFUSED_HEADERS & header.keys():
        raise invalid()
    return kid


def issuer_of(token: str) -> str | None:
    """Return who the token says has issued it; nothing of it is verified."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except jwt.PyJWTError:
        return None
    return issuer if isinstance(issuer, str) else None


def claims_of(token: str, key: VerifyingKey, rules: Rules) -> Mapping[str, Any]:
    """Return what the token says, once signature, times, issuer and audience are right. Raises Unauthenticated."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.public,
            algorithms=[key.algorithm],
            issuer=rules.issuer,
            audience=rules.audience,
            leeway=LEEWAY_SECONDS,
            options={"require": REQUIRED, "enforce_minimum_key_length": True},
        )
    except jwt.ExpiredSignatureError:
        raise expired() from None
    except (jwt.PyJWTError, ValueError, OverflowError):
        raise invalid() from None
    times = [claims[name] for name in ("iat", "exp", "nbf") if name in claims]
    if not all(isinstance(time, int | float) and not isinstance(time, bool) for time in times):
        raise invalid()
    if not 0 < claims["exp"] - claims["iat"] <= rules.life or not claims["sub"] or not claims["jti"]:
        raise invalid()
    return claims


def refused_from(claims: Mapping[str, Any]) -> float:
    """Return the moment from which the token is refused, in epoch seconds."""
    return float(claims["exp"]) + LEEWAY_SECONDS
