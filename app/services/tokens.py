"""Tokens: JWTs that this server signs (RFC 7519, RFC 8037), and the secrets of API keys."""

import secrets
import time
import zlib
from base64 import urlsafe_b64encode
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from app.domain.errors import Unauthenticated
from app.storage import accounts
from app.storage.accounts import SigningKey

ISSUER: Final = "strata"
ALGORITHM: Final = "EdDSA"
MAX_TOKEN_LENGTH: Final = 8_192
MAX_REMEMBERED: Final = 10_000
KEY_MARK: Final = "strata"
_REQUIRED: Final = ["exp", "iat", "iss", "aud", "sub", "jti"]


@dataclass(frozen=True, slots=True)
class Claims:
    account_uuid: UUID
    email: str
    expires_at: float


class Keyring:
    """The signing keys of this installation, read once and again when a token names a new one."""

    def __init__(self) -> None:
        self._private: OrderedDict[str, Ed25519PrivateKey] = OrderedDict()
        self._verified: OrderedDict[str, Claims] = OrderedDict()
        self._read_at = float("-inf")

    async def load(self) -> None:
        """Read the keys, making the first one of a new installation."""
        keys = await accounts.signing_keys()
        if not keys:
            await accounts.add_first_signing_key(new_signing_key())
            keys = await accounts.signing_keys()
        self._private = OrderedDict((key.kid, _private_key(key)) for key in keys)
        self._read_at = time.monotonic()

    async def sign(self, account_uuid: UUID, email: str, seconds: int) -> str:
        """Return an access token for the account, good for ``seconds``."""
        if not self._private:
            await self.load()
        kid, key = next(iter(self._private.items()))
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": str(account_uuid),
            "email": email,
            "iat": now,
            "exp": now + seconds,
            "jti": str(uuid4()),
        }
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": kid})

    async def verify(self, token: str) -> Claims:
        """Return what the token says. Raises Unauthenticated, without the reason a forger would like."""
        known = self._verified.get(token)
        if known is None:
            known = self._decode(token, await self._public_key(token))
            self._verified[token] = known
            if len(self._verified) > MAX_REMEMBERED:
                self._verified.popitem(last=False)
        if known.expires_at <= time.time():
            raise Unauthenticated("The token has expired; log in again.")
        return known

    async def _public_key(self, token: str) -> Ed25519PublicKey:
        try:
            kid = jwt.get_unverified_header(token).get("kid")
        except jwt.PyJWTError:
            raise _invalid() from None
        if not isinstance(kid, str):
            raise _invalid()
        # Unknown key ids must not become a way to make this server query its database at will.
        if kid not in self._private and time.monotonic() - self._read_at > 1:
            await self.load()
        if kid not in self._private:
            raise _invalid()
        return self._private[kid].public_key()

    def _decode(self, token: str, key: Ed25519PublicKey) -> Claims:
        try:
            claims = jwt.decode(
                token, key, algorithms=[ALGORITHM], issuer=ISSUER, audience=ISSUER, options={"require": _REQUIRED}
            )
            return Claims(UUID(claims["sub"]), str(claims.get("email", "")), float(claims["exp"]))
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The token has expired; log in again.") from None
        except (jwt.PyJWTError, ValueError):
            raise _invalid() from None


def _invalid() -> Unauthenticated:
    return Unauthenticated("The token is not valid.")


def new_signing_key() -> SigningKey:
    """Return a new Ed25519 key with a random id."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return SigningKey(secrets.token_hex(8), pem.decode())


def _private_key(key: SigningKey) -> Ed25519PrivateKey:
    private = load_pem_private_key(key.private_pem.encode(), password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise TypeError(f"signing key {key.kid} is no Ed25519 key")
    return private


@dataclass(frozen=True, slots=True)
class NewSecret:
    """An API key's text, to be shown once, with what is stored of it."""

    text: str
    prefix: str
    digest: bytes


def new_api_key() -> NewSecret:
    """Return a new API key: ``strata_<8 hex>_<256 random bits><checksum>``."""
    prefix = f"{KEY_MARK}_{secrets.token_hex(4)}"
    secret = urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    text = f"{prefix}_{secret}{_checksum(secret)}"
    return NewSecret(text, prefix, digest(text))


def key_prefix(text: str) -> str | None:
    """Return the prefix of an API key, or None if ``text`` cannot be one."""
    parts = text.split("_", 2)
    if len(parts) != 3 or parts[0] != KEY_MARK or len(text) > 128:
        return None
    secret, checksum = parts[2][:-8], parts[2][-8:]
    return f"{parts[0]}_{parts[1]}" if _checksum(secret) == checksum else None


def digest(text: str) -> bytes:
    """Return what is stored of an API key. It is random, so a fast hash gives nothing away."""
    return sha256(text.encode()).digest()


def _checksum(secret: str) -> str:
    return f"{zlib.crc32(secret.encode()):08x}"
