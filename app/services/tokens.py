"""Access tokens: JWTs that this server signs (RFC 7519, RFC 8037, RFC 9068), and those of an external issuer."""

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.domain.trusted_issuer import OWN_ISSUER
from app.services import jwt_rules
from app.services.external_issuer import ExternalIssuer
from app.services.jwt_rules import LEEWAY_SECONDS, Rules, VerifyingKey, invalid
from app.services.shared_state import SharedState
from app.storage import master_key, signing_keys
from app.storage.master_key import MasterKey
from app.storage.signing_keys import SigningKey

ALGORITHM: Final = "EdDSA"
MAX_LIFE: Final = 900
"""Seconds; no access token of this server lives longer."""
MAX_REMEMBERED: Final = 10_000
# A new key signs only when every process has had the time to learn of it.
_ANNOUNCED_SECONDS: Final = 3.0
# A token may be signed a moment after its key was replaced or its session revoked.
_SLACK_SECONDS: Final = 60.0
_REMEMBERED_SECONDS: Final = MAX_LIFE + LEEWAY_SECONDS + _SLACK_SECONDS
_SEALED_AS: Final = "signing keys"
_RULES: Final = Rules(OWN_ISSUER, OWN_ISSUER, frozenset({jwt_rules.TYPE}), MAX_LIFE)


@dataclass(frozen=True, slots=True)
class Claims:
    """Whose token it is; ``token_id`` and ``session_uuid`` are what revokes it.

    ``refused_from`` is the moment it ends, in epoch seconds, the clocks' leeway included.
    """

    account_uuid: UUID
    name: str
    token_id: UUID
    session_uuid: UUID | None
    refused_from: float


class Keyring:
    """The signing keys of this installation, and what is known of the tokens seen lately."""

    def __init__(self) -> None:
        self._private: dict[str, Ed25519PrivateKey] = {}
        self._signing = ""
        self._loaded: frozenset[tuple[str, bool]] = frozenset()
        self._verified: OrderedDict[str, Claims] = OrderedDict()
        self._shared = SharedState()
        self.issuer: ExternalIssuer | None = None

    async def load(self) -> None:
        """Read the keys, making the first one of a new installation. Raises MasterKeyError."""
        await self._shared.catch_up()
        await self._load()

    async def _load(self) -> None:
        announced = self._shared.keys
        keys = await signing_keys.in_use()
        if not keys:
            await signing_keys.add_first(*_new_signing_key())
            keys = await signing_keys.in_use()
        self._private = {key.kid: _private_key(key, master_key.current()) for key in keys}
        self._signing = next((key.kid for key in keys if key.signs), keys[-1].kid)
        self._loaded = announced
        # Among what is remembered may be tokens of a key that is no longer taken.
        self._verified.clear()

    async def sign(self, account_uuid: UUID, name: str, seconds: int, session_uuid: UUID | None = None) -> str:
        """Return an access token for the account, good for ``seconds``, at most ``MAX_LIFE``."""
        await self._catch_up()
        now = int(time.time())
        claims = {
            "iss": OWN_ISSUER,
            "aud": OWN_ISSUER,
            "sub": str(account_uuid),
            "name": name,
            "iat": now,
            "exp": now + min(seconds, MAX_LIFE),
            "jti": str(uuid4()),
        }
        if session_uuid is not None:
            claims["sid"] = str(session_uuid)
        headers = {"kid": self._signing, "typ": jwt_rules.TYPE}
        return jwt.encode(claims, self._private[self._signing], algorithm=ALGORITHM, headers=headers)

    async def verify(self, token: str) -> Claims:
        """Return what the token says. Raises Unauthenticated, DatabaseUnavailable.

        What is remembered of the token is taken if the state of all processes is no older than a second.
        """
        await self._catch_up()
        known = self._verified.get(token)
        if known is None:
            known = await self._read(token)
            self._verified[token] = known
            if len(self._verified) > MAX_REMEMBERED:
                self._verified.popitem(last=False)
        if known.refused_from <= time.time():
            raise jwt_rules.expired()
        if self._shared.is_revoked(known.token_id, known.session_uuid):
            raise invalid()
        return known

    async def revoke(self, claims: Claims) -> None:
        """Make the token useless in every process within a second, with all others of its session."""
        ids = [claims.token_id] if claims.session_uuid is None else [claims.token_id, claims.session_uuid]
        await self._shared.revoke(ids, max(_REMEMBERED_SECONDS, claims.refused_from - time.time()))

    async def revoke_sessions(self, uuids: list[UUID]) -> None:
        """Make the access tokens of these sessions useless in every process within a second."""
        if uuids:
            await self._shared.revoke(uuids, _REMEMBERED_SECONDS)

    async def _catch_up(self) -> None:
        if not self._shared.is_recent():
            await self._shared.catch_up()
        if self._shared.keys != self._loaded or not self._private:
            await self._load()

    async def _read(self, token: str) -> Claims:
        jwt_rules.check_form(token)
        if self.issuer is not None and jwt_rules.issuer_of(token) == self.issuer.rules.issuer:
            found = await self.issuer.verify(token)
            return Claims(found.account_uuid, found.name, found.token_id, None, found.refused_from)
        key = self._private.get(jwt_rules.key_id(token, _RULES))
        if key is None:
            raise invalid()
        claims = jwt_rules.claims_of(token, VerifyingKey(key.public_key(), ALGORITHM), _RULES)
        try:
            session = claims.get("sid")
            return Claims(
                account_uuid=UUID(claims["sub"]),
                name=str(claims.get("name", "")),
                token_id=UUID(claims["jti"]),
                session_uuid=None if session is None else UUID(session),
                refused_from=jwt_rules.refused_from(claims),
            )
        except (ValueError, AttributeError, TypeError):
            raise invalid() from None


async def rotate(*, at_once: bool) -> str:
    """Make a new signing key in the current transaction and return its id."""
    kid, sealed = _new_signing_key()
    announced = 0.0 if at_once else _ANNOUNCED_SECONDS
    overlap = 0.0 if at_once else _ANNOUNCED_SECONDS + _REMEMBERED_SECONDS
    await signing_keys.replace(kid, sealed, announced=announced, overlap=overlap)
    return kid


async def count_readable(key: MasterKey) -> int:
    """Return how many signing keys are in use, all of which ``key`` opens. Raises MasterKeyError."""
    return len([_private_key(found, key) for found in await signing_keys.in_use()])


def _new_signing_key() -> tuple[str, bytes]:
    kid = secrets.token_hex(8)
    raw = Ed25519PrivateKey.generate().private_bytes_raw()
    return kid, master_key.current().encrypt(_SEALED_AS, raw, kid.encode())


def _private_key(found: SigningKey, key: MasterKey) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(key.decrypt(_SEALED_AS, found.sealed_private, found.kid.encode()))
