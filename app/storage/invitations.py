"""Invitations to projects, each found again by the hash of its token."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.domain.members import Invitation
from app.domain.model import Role
from app.storage import db

_COLUMNS: Final = "project_id, uuid, email, role, environments, invited_by, created_at, expires_at"
_OPEN: Final = "accepted_at IS NULL AND revoked_at IS NULL"
_PENDING: Final = f"{_OPEN} AND expires_at > clock_timestamp()"
_MICROSECONDS: Final = "(extract(epoch FROM created_at) * 1000000)::bigint"


def _from_row(row: db.Record) -> Invitation:
    environments = row["environments"]
    return Invitation(
        project_id=row["project_id"],
        uuid=row["uuid"],
        email=row["email"],
        role=Role(row["role"]),
        environments=None if environments is None else frozenset(environments),
        invited_by=row["invited_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )


async def add(
    project_id: int,
    email: str,
    role: Role,
    environments: Iterable[UUID] | None,
    token_hash: bytes,
    invited_by: UUID,
    life: timedelta,
) -> Invitation:
    """Insert an invitation; only the hash of its token is stored."""
    row = await db.fetchrow(
        "INSERT INTO invitation (project_id, email, role, environments, token_hash, invited_by, expires_at)"
        f" VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7::interval) RETURNING {_COLUMNS}",
        project_id,
        email,
        role.value,
        None if environments is None else sorted(environments),
        token_hash,
        invited_by,
        life,
    )
    if row is None:
        raise LookupError("INSERT returned nothing")
    return _from_row(row)


async def get(project_id: int, uuid: UUID) -> Invitation | None:
    """Return the invitation if it can still be accepted."""
    row = await db.fetchrow(
        f"SELECT {_COLUMNS} FROM invitation WHERE project_id = $1 AND uuid = $2 AND {_PENDING}", project_id, uuid
    )
    return _from_row(row) if row else None


async def by_token(project_id: int, token_hash: bytes) -> Invitation | None:
    """Return the invitation with that token if it can still be accepted."""
    row = await db.fetchrow(
        f"SELECT {_COLUMNS} FROM invitation WHERE project_id = $1 AND token_hash = $2 AND {_PENDING}",
        project_id,
        token_hash,
    )
    return _from_row(row) if row else None


async def of_email(project_id: int, email: str) -> Invitation | None:
    """Return the invitation of an address that was neither accepted nor revoked, expired ones included."""
    row = await db.fetchrow(
        f"SELECT {_COLUMNS} FROM invitation WHERE project_id = $1 AND email = $2 AND {_OPEN}", project_id, email
    )
    return _from_row(row) if row else None


async def count(project_id: int) -> int:
    """Return how many invitations can still be accepted."""
    number: int = await db.fetchval(f"SELECT count(*) FROM invitation WHERE project_id = $1 AND {_PENDING}", project_id)
    return number


async def list_page(project_id: int, limit: int, before: tuple[int, str] | None) -> list[Invitation]:
    """Return up to ``limit`` invitations that can still be accepted, newest first; ``before`` is a sort key."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM invitation WHERE project_id = $1 AND {_PENDING}"
        f" AND ($2::bigint IS NULL OR ({_MICROSECONDS}, uuid::text) < ($2, $3::text))"
        f" ORDER BY {_MICROSECONDS} DESC, uuid::text DESC LIMIT $4",
        project_id,
        *(before or (None, None)),
        limit,
    )
    return [_from_row(row) for row in rows]


def sort_key(invitation: Invitation) -> tuple[int, str]:
    """Return where ``list_page`` puts the invitation."""
    created = invitation.created_at
    return int(created.timestamp()) * 1_000_000 + created.microsecond, str(invitation.uuid)


async def accept(project_id: int, uuid: UUID, account_uuid: UUID) -> None:
    """Mark an invitation of a locked project as used by the account."""
    await db.execute(
        "UPDATE invitation SET accepted_at = clock_timestamp(), accepted_by = $3 WHERE project_id = $1 AND uuid = $2",
        project_id,
        uuid,
        account_uuid,
    )


async def revoke(project_id: int, uuid: UUID) -> None:
    """Make an invitation of a locked project useless."""
    await db.execute(
        "UPDATE invitation SET revoked_at = clock_timestamp() WHERE project_id = $1 AND uuid = $2", project_id, uuid
    )


async def revoke_made_by(project_id: int, account_uuid: UUID, kept: Iterable[Role]) -> None:
    """Make useless what a member of a locked project has invited to, but for the roles in ``kept``."""
    await db.execute(
        f"UPDATE invitation SET revoked_at = clock_timestamp() WHERE project_id = $1 AND invited_by = $2 AND {_OPEN}"
        " AND NOT role = ANY ($3::text[])",
        project_id,
        account_uuid,
        [role.value for role in kept],
    )
