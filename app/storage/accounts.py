"""Accounts, the keys that sign their tokens, and project API keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg import UniqueViolationError

from app.domain.errors import EmailTaken
from app.domain.model import Scope
from app.storage import db


@dataclass(frozen=True, slots=True)
class Account:
    uuid: UUID
    email: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key pair as PEM; ``kid`` stands in the header of the tokens it signed."""

    kid: str
    private_pem: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A project API key without its secret, which nobody can read again."""

    uuid: UUID
    project_id: int
    name: str
    prefix: str
    scopes: tuple[Scope, ...]
    created_by: UUID
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


async def add_account(email: str, password_hash: str) -> Account:
    """Insert an account. Raises EmailTaken."""
    try:
        row = await db.fetchrow(
            "INSERT INTO account (email, password_hash) VALUES ($1, $2) RETURNING uuid, email, created_at",
            email,
            password_hash,
        )
    except UniqueViolationError:
        raise EmailTaken from None
    if row is None:
        raise LookupError("INSERT returned nothing")
    return Account(row["uuid"], row["email"], row["created_at"])


async def account_with_hash(email: str) -> tuple[Account, str] | None:
    """Return the account of an e-mail address with its password hash."""
    row = await db.fetchrow("SELECT uuid, email, created_at, password_hash FROM account WHERE email = $1", email)
    return (Account(row["uuid"], row["email"], row["created_at"]), row["password_hash"]) if row else None


async def account(uuid: UUID) -> Account | None:
    """Return the account with ``uuid``."""
    row = await db.fetchrow("SELECT uuid, email, created_at FROM account WHERE uuid = $1", uuid)
    return Account(row["uuid"], row["email"], row["created_at"]) if row else None


async def replace_hash(uuid: UUID, password_hash: str) -> None:
    """Store a password hash made with newer parameters."""
    await db.execute("UPDATE account SET password_hash = $2 WHERE uuid = $1", uuid, password_hash)


async def signing_keys() -> list[SigningKey]:
    """Return all signing keys, newest first."""
    rows = await db.fetch("SELECT kid, private_pem FROM signing_key ORDER BY created_at DESC, kid")
    return [SigningKey(row["kid"], row["private_pem"]) for row in rows]


async def add_first_signing_key(key: SigningKey) -> None:
    """Insert ``key`` unless there is one already, also when several processes start at once."""
    await db.execute(
        "WITH lock AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtext('signing_key')))"
        " INSERT INTO signing_key (kid, private_pem) SELECT $1, $2 FROM lock"
        " WHERE NOT EXISTS (SELECT FROM signing_key)",
        key.kid,
        key.private_pem,
    )


_KEY_COLUMNS: Final = "uuid, project_id, name, prefix, scopes, created_by, created_at, expires_at, revoked_at"


def _key(row: db.Record) -> ApiKey:
    return ApiKey(
        uuid=row["uuid"],
        project_id=row["project_id"],
        name=row["name"],
        prefix=row["prefix"],
        scopes=tuple(Scope(scope) for scope in row["scopes"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )


async def add_key(
    project_id: int,
    name: str,
    prefix: str,
    secret_hash: bytes,
    scopes: Sequence[Scope],
    created_by: UUID,
    expires_at: datetime | None,
) -> ApiKey:
    """Insert an API key; only the hash of its secret is stored."""
    row = await db.fetchrow(
        "INSERT INTO api_key (project_id, name, prefix, secret_hash, scopes, created_by, expires_at)"
        f" VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {_KEY_COLUMNS}",
        project_id,
        name,
        prefix,
        secret_hash,
        [scope.value for scope in scopes],
        created_by,
        expires_at,
    )
    if row is None:
        raise LookupError("INSERT returned nothing")
    return _key(row)


async def usable_key(prefix: str) -> tuple[ApiKey, bytes] | None:
    """Return the key of a prefix and its hash, if it is neither revoked nor expired."""
    row = await db.fetchrow(
        f"SELECT {_KEY_COLUMNS}, secret_hash FROM api_key WHERE prefix = $1 AND revoked_at IS NULL"
        " AND (expires_at IS NULL OR expires_at > clock_timestamp())",
        prefix,
    )
    return (_key(row), row["secret_hash"]) if row else None


async def list_keys(project_id: int) -> list[ApiKey]:
    """Return all keys of the project, newest first."""
    rows = await db.fetch(
        f"SELECT {_KEY_COLUMNS} FROM api_key WHERE project_id = $1 ORDER BY created_at DESC, uuid", project_id
    )
    return [_key(row) for row in rows]


async def lock_key(project_id: int, uuid: UUID) -> ApiKey | None:
    """Return a key of the project, locked against being revoked meanwhile."""
    row = await db.fetchrow(
        f"SELECT {_KEY_COLUMNS} FROM api_key WHERE project_id = $1 AND uuid = $2 FOR NO KEY UPDATE", project_id, uuid
    )
    return _key(row) if row else None


async def revoke_key(project_id: int, uuid: UUID) -> ApiKey:
    """Mark a key that is locked as revoked and return it."""
    row = await db.fetchrow(
        "UPDATE api_key SET revoked_at = clock_timestamp() WHERE project_id = $1 AND uuid = $2"
        f" RETURNING {_KEY_COLUMNS}",
        project_id,
        uuid,
    )
    if row is None:
        raise LookupError("UPDATE found nothing")
    return _key(row)
