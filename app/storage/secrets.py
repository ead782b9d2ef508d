"""Sealed values: encrypted by a key of their project, which is wrapped by the master key.

What a row seals belongs to one entity, environment and place, and opens for no other. Its digest, keyed as well, tells
whether a value is the sealed one without opening it, in a time that says nothing of either.
"""

import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.domain.values import MISSING, State, Value
from app.storage import db, master_key
from app.storage.codec import encode_document, loads
from app.storage.master_key import MasterKeyError
from app.storage.sealed import Found

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_DIGEST_BYTES: Final = 32
# A text's length says less of the value where it is rounded up; white space after JSON means nothing.
_BLOCK: Final = 32
_PURPOSE: Final = "data key"
_ROWS: Final = 500
# Whoever has chosen a key to seal with has written by then.
_LONGEST_WRITE: Final = "1 hour"
_NOBODY: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key of one project, as it is kept: wrapped by the master key."""

    project_id: int
    number: int
    wrapped: bytes

    def unwrapped(self) -> bytes:
        """Return the key. Raises MasterKeyError."""
        return _unwrap(self.wrapped, _key_name(self.project_id, self.number))


@dataclass(frozen=True, slots=True)
class Secret:
    """A row: what is sealed for which place. ``pointer`` names it within the entity's documents."""

    project_id: int
    uuid: UUID
    entity_uuid: UUID
    env_uuid: UUID
    pointer: str
    sealed: bytes
    digest: bytes
    key: DataKey

    @property
    def associated(self) -> bytes:
        """What the row belongs to; the value opens with nothing else."""
        return _associated(self.project_id, self.uuid, self.entity_uuid, self.env_uuid, self.pointer)


def _associated(project_id: int, uuid: UUID, entity_uuid: UUID, env_uuid: UUID, pointer: str) -> bytes:
    return f"strata secret\0{project_id}\0{uuid}\0{entity_uuid}\0{env_uuid}\0{pointer}".encode()


@lru_cache(maxsize=4_096)
def _unwrap(wrapped: bytes, name: bytes) -> bytes:
    return master_key.current().decrypt(_PURPOSE, wrapped, name)


def _key_name(project_id: int, number: int) -> bytes:
    return f"{project_id}:{number}".encode()


async def newest_key(project_id: int) -> DataKey:
    """Return the project's data key in use, which is made if there is none."""
    return await _newest(project_id) or await add_key(project_id, 1)


async def _newest(project_id: int) -> DataKey | None:
    row = await db.fetchrow(
        "SELECT project_id, number, wrapped FROM data_key WHERE project_id = $1 ORDER BY number DESC LIMIT 1",
        project_id,
    )
    return DataKey(*row) if row else None


async def add_key(project_id: int, number: int) -> DataKey:
    """Make the data key of that number, unless somebody else just did. Raises Retry if there is a newer one."""
    wrapped = master_key.current().encrypt(_PURPOSE, secrets.token_bytes(KEY_BYTES), _key_name(project_id, number))
    await db.execute(
        "INSERT INTO data_key (project_id, number, wrapped) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        project_id,
        number,
        wrapped,
    )
    made = await _newest(project_id)
    if made is None or made.number != number:
        raise db.Retry
    return made


def _encrypt(key: bytes, value: Value, associated: bytes) -> bytes:
    text, nonce = encode_document(value), secrets.token_bytes(_NONCE_BYTES)
    padded = text + b" " * (-len(text) % _BLOCK)
    return nonce + AESGCM(key).encrypt(nonce, padded, associated)


def _decrypt(key: bytes, sealed: bytes, associated: bytes) -> Value:
    try:
        return loads(AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], associated))
    except InvalidTag:
        raise MasterKeyError("A sealed value was changed, or belongs elsewhere.") from None


def _digest(key: bytes, value: Value, associated: bytes) -> bytes:
    check_key = hmac.digest(key, b"strata check", "sha256")
    return hmac.digest(check_key, associated + b"\0" + encode_document(value), "sha256")


async def add(project_id: int, entity_uuid: UUID, env_uuid: UUID, found: Iterable[Found]) -> None:
    """Seal values of one entity; those that are sealed under their UUID already stay as they are."""
    values = list(found)
    if not values:
        return
    newest = await newest_key(project_id)
    key = newest.unwrapped()
    for start in range(0, len(values), _ROWS):
        chunk = values[start : start + _ROWS]
        names = [_associated(project_id, item.uuid, entity_uuid, env_uuid, item.pointer) for item in chunk]
        await db.execute(
            "INSERT INTO secret (project_id, uuid, entity_uuid, env_uuid, path, key_number, sealed, digest)"
            " SELECT $1, uuid, $2, $3, path, $4, sealed, digest"
            " FROM unnest($5::uuid[], $6::text[], $7::bytea[], $8::bytea[]) row (uuid, path, sealed, digest)"
            " ON CONFLICT (project_id, uuid) DO NOTHING",
            project_id,
            entity_uuid,
            env_uuid,
            newest.number,
            [item.uuid for item in chunk],
            [item.pointer for item in chunk],
            [_encrypt(key, item.value, name) for item, name in zip(chunk, names, strict=True)],
            [_digest(key, item.value, name) for item, name in zip(chunk, names, strict=True)],
        )


_READ: Final = (
    "SELECT secret.project_id, uuid, entity_uuid, env_uuid, path, sealed, digest, number, wrapped FROM secret"
    " JOIN data_key ON data_key.project_id = secret.project_id AND data_key.number = secret.key_number"
    " WHERE secret.project_id = $1"
)


def _from_row(row: db.Record) -> Secret:
    return Secret(
        project_id=row["project_id"],
        uuid=row["uuid"],
        entity_uuid=row["entity_uuid"],
        env_uuid=row["env_uuid"],
        pointer=row["path"],
        sealed=row["sealed"],
        digest=row["digest"],
        key=DataKey(row["project_id"], row["number"], row["wrapped"]),
    )


async def get_many(project_id: int, uuids: Sequence[UUID]) -> dict[UUID, Secret]:
    """Return the rows of references, by UUID."""
    rows = await db.fetch(f"{_READ} AND uuid = ANY ($2::uuid[])", project_id, uuids)
    return {row["uuid"]: _from_row(row) for row in rows}


async def is_any_inside(project_id: int, entity_uuid: UUID, pointer: str) -> bool:
    """Return whether anything was ever sealed alone inside a place of an entity's documents."""
    found: bool = await db.fetchval(
        "SELECT EXISTS (SELECT FROM secret WHERE project_id = $1 AND entity_uuid = $2"
        " AND starts_with(path, $3 || '/'))",
        project_id,
        entity_uuid,
        pointer,
    )
    return found


def opened(secret: Secret) -> Value:
    """Return the sealed value. Raises MasterKeyError."""
    return _decrypt(secret.key.unwrapped(), secret.sealed, secret.associated)


def matches(secret: Secret | None, value: Value, pointer: str) -> bool:
    """Return whether ``value`` is what is sealed; if nothing is, False, after the same work.

    The work depends on the value given and the pointer, not on what is sealed.
    """
    if secret is None:
        key = master_key.current().derive("checks of what is not there")
        associated, digest = _associated(0, _NOBODY, _NOBODY, _NOBODY, pointer), secrets.token_bytes(_DIGEST_BYTES)
    else:
        key, associated, digest = secret.key.unwrapped(), secret.associated, secret.digest
    return hmac.compare_digest(_digest(key, value, associated), digest)


def is_same(found: State, value: Value) -> bool:
    """Return whether ``value`` is what was found; MISSING is no value. The time says nothing of where they differ."""
    key = secrets.token_bytes(KEY_BYTES)
    texts = (b"" if found is MISSING else encode_document(found), encode_document(value))
    found_digest, digest = (hmac.digest(key, text, "sha256") for text in texts)
    return hmac.compare_digest(found_digest, digest)


async def rows_under(project_id: int, number: int, limit: int) -> list[Secret]:
    """Return up to ``limit`` rows that are sealed by a data key older than that number, locked."""
    rows = await db.fetch(
        f"{_READ} AND key_number < $2 ORDER BY key_number, uuid LIMIT $3 FOR NO KEY UPDATE OF secret",
        project_id,
        number,
        limit,
    )
    return [_from_row(row) for row in rows]


async def reseal(key: DataKey, rows: Sequence[Secret]) -> None:
    """Seal rows by another data key."""
    fresh = key.unwrapped()
    values = [opened(row) for row in rows]
    await db.execute(
        "UPDATE secret SET key_number = $2, sealed = fresh.sealed, digest = fresh.digest"
        " FROM unnest($3::uuid[], $4::bytea[], $5::bytea[]) fresh (uuid, sealed, digest)"
        " WHERE secret.project_id = $1 AND secret.uuid = fresh.uuid",
        key.project_id,
        key.number,
        [row.uuid for row in rows],
        [_encrypt(fresh, value, row.associated) for row, value in zip(rows, values, strict=True)],
        [_digest(fresh, value, row.associated) for row, value in zip(rows, values, strict=True)],
    )


async def drop_unused_keys() -> int:
    """Destroy data keys that seal nothing any more, nor will: one has been in use in their place for long enough."""
    return await db.execute(
        "DELETE FROM data_key USING data_key newer WHERE newer.project_id = data_key.project_id"
        f" AND newer.number = data_key.number + 1 AND newer.created_at < now() - interval '{_LONGEST_WRITE}'"
        " AND NOT EXISTS (SELECT FROM secret WHERE secret.project_id = data_key.project_id"
        "  AND secret.key_number = data_key.number)"
    )


async def newest_keys() -> list[DataKey]:
    """Return the data key in use of each project that has one."""
    rows = await db.fetch(
        "SELECT DISTINCT ON (project_id) project_id, number, wrapped FROM data_key ORDER BY project_id, number DESC"
    )
    return [DataKey(*row) for row in rows]
