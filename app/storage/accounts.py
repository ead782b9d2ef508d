"""Accounts, their identities at an external issuer, and project API keys."""

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
    """``email`` is None where an external issuer vouched for none, or for one that is taken."""

    uuid: UUID
    email: str | None
    created_at: datetime

    @property
    def name(self) -> str:
        """What stands for the account where people read of it."""
        return self.email or str(self.uuid)


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
    last_used_at: datetime | None


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


async def account_with_hash(email: str) -> tuple[Account, str | None] | None:
    """Return the account of an e-mail address with its password hash; None for one without a password."""
    row = await db.fetchrow("SELECT uuid, email, created_at, password_hash FROM account WHERE email = $1", email)
    return (Account(row["uuid"], row["email"], row["created_at"]), row["password_hash"]) if row else None


async def account(uuid: UUID) -> Account | None:
    """Return the account with ``uuid``."""
    row = await db.fetchrow("SELECT uuid, email, created_at FROM account WHERE uuid = $1", uuid)
    return Account(row["uuid"], row["email"], row["created_at"]) if row else None


async def replace_hash(uuid: UUID, password_hash: str) -> None:
    """Store a password hash made with newer parameters."""
    await db.execute("UPDATE account SET password_hash = $2 WHERE uuid = $1", uuid, password_hash)


async def linked_account(issuer: str, subject: str) -> Account | None:
    """Return the account of a user of an external issuer."""
    row = await db.fetchrow(
        "SELECT uuid, email, account.created_at FROM external_identity JOIN account ON uuid = account_uuid"
        " WHERE issuer = $1 AND subject = $2",
        issuer,
        subject,
    )
    return Account(row["uuid"], row["email"], row["created_at"]) if row else None


async def lock_identity(issuer: str, subject: str) -> None:
    """Let others who see this user of an issuer for the first time wait until this transaction ends."""
    await db.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{issuer} {subject}")


async def add_linked_account(issuer: str, subject: str, email: str | None) -> Account:
    """Insert the account of a user of an external issuer.

    It gets ``email``, an address that the issuer vouches for, unless an account has it already: whoever registered
    that one may be somebody else.
    """
    insert = "INSERT INTO account (email) VALUES ($1) ON CONFLICT (email) DO NOTHING RETURNING uuid, email, created_at"
    row = await db.fetchrow(insert, email) or await db.fetchrow(insert, None)
    if row is None:
        raise LookupError("INSERT returned nothing")
    await db.execute(
        "INSERT INTO external_identity (issuer, subject, account_uuid) VALUES ($1, $2, $3)",
        issuer,
        subject,
        row["uuid"],
    )
    return Account(row["uuid"], row["email"], row["created_at"])


_KEY_COLUMNS: Final = (
    "uuid, project_id, name, prefix, scopes, created_by, created_at, expires_at, revoked_at, last_used_at"
)
_USE_NOTED: Final = "last_used_at > clock_timestamp() - interval '1 minute'"


@dataclass(frozen=True, slots=True)
class UsableKey:
    """A key that is let in by the secret with ``secret_hash``; ``noted``: its use was noted a moment ago."""

    key: ApiKey
    secret_hash: bytes
    noted: bool


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
        last_used_at=row["last_used_at"],
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


async def usable_key(prefix: str) -> UsableKey | None:
    """Return the key of a prefix, if it is neither revoked nor expired."""
    row = await db.fetchrow(
        f"SELECT {_KEY_COLUMNS}, secret_hash, coalesce({_USE_NOTED}, false) AS noted FROM api_key"
        " WHERE prefix = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())",
        prefix,
    )
    return UsableKey(_key(row), row["secret_hash"], row["noted"]) if row else None


async def note_use(project_id: int, uuid: UUID) -> None:
    """Note that the key is in use, at most once a minute however many processes see it used."""
    await db.execute(
        "UPDATE api_key SET last_used_at = clock_timestamp() WHERE project_id = $1 AND uuid = $2"
        f" AND ({_USE_NOTED}) IS NOT TRUE",
        project_id,
        uuid,
    )


async def find_key(prefix_or_uuid: str) -> ApiKey | None:
    """Return the key of any project that has this prefix or UUID: for the person at the machine only."""
    row = await db.fetchrow(
        f"SELECT {_KEY_COLUMNS} FROM api_key WHERE prefix = $1 OR uuid::text = lower($1)", prefix_or_uuid
    )
    return _key(row) if row else None


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
