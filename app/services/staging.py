"""Lines of an import on their way through a temporary table, which is a file on a disk: without protected values."""

import secrets
from functools import partial
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.domain.model import PROJECT_KIND
from app.domain.sealing import take_out
from app.domain.values import Value
from app.services import protecting
from app.storage import typed
from app.storage.bulk import StagedDocument, Wanted
from app.storage.codec import dumps
from app.storage.protections import Listed
from app.storage.sealed import Found

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Staging:
    """One import's protected values, sealed with a key that nobody has but this object, until they have their place."""

    def __init__(self, listed: Listed) -> None:
        self.listed = listed
        self._cipher = AESGCM(secrets.token_bytes(_KEY_BYTES))

    def document(self, line: int, kind: str, key: str, data: Value) -> StagedDocument:
        """Return a line as it is staged: with references in the place of protected values, which are sealed."""
        protection = self.listed.protection
        if kind == PROJECT_KIND:
            protection = protection.with_(protecting.globs_of(data))
        places = protection.of(kind)
        if not places.found(data):
            return StagedDocument(line, kind, key, dumps(data))
        found: list[Found] = []
        staged = take_out(places, data, partial(protecting.take_out, found))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        values = typed.dump(found, list[Found]).encode()
        return StagedDocument(line, kind, key, dumps(staged), nonce + self._cipher.encrypt(nonce, values, None))

    def fresh(self, item: Wanted) -> list[Found]:
        """Return the protected values of a staged line."""
        if item.fresh is None:
            return []
        text = self._cipher.decrypt(item.fresh[:_NONCE_BYTES], item.fresh[_NONCE_BYTES:], None)
        found: list[Found] = typed.load(text.decode(), list[Found])
        return found
