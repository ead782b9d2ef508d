"""Members of projects: what accounts are there, what they may change, and where they work."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from app.domain.members import Member, Membership
from app.domain.model import Role
from app.storage import db

_COLUMNS: Final = (
    "member.project_id, member.account_uuid, account.email, member.role, member.environments, member.active_env_uuid,"
    " member.created_at"
)
_FROM: Final = "FROM member JOIN account ON account.uuid = member.account_uuid"
_MICROSECONDS: Final = "(extract(epoch FROM member.created_at) * 1000000)::bigint"


def _membership(row: db.Record) -> Membership:
    environments = row["environments"]
    return Membership(
        role=Role(row["role"]),
        environments=None if environments is None else frozenset(environments),
        active_env_uuid=row["active_env_uuid"],
    )


def _from_row(row: db.Record) -> Member:
    return Member(
        project_id=row["project_id"],
        account_uuid=row["account_uuid"],
        email=row["email"],
        membership=_membership(row),
        created_at=row["created_at"],
    )


async def of_account(account_uuid: UUID) -> dict[int, Membership]:
    """Return what the account is in each project it is a member of."""
    rows = await db.fetch(
        "SELECT project_id, role, environments, active_env_uuid FROM member WHERE account_uuid = $1", account_uuid
    )
    return {row["project_id"]: _membership(row) for row in rows}


async def get(project_id: int, account_uuid: UUID) -> Member | None:
    """Return the member that an account is in the project."""
    row = await db.fetchrow(
        f"SELECT {_COLUMNS} {_FROM} WHERE member.project_id = $1 AND member.account_uuid = $2", project_id, account_uuid
    )
    return _from_row(row) if row else None


async def list_page(project_id: int, limit: int, after: tuple[int, str] | None) -> list[Member]:
    """Return up to ``limit`` members, who joined first comes first; ``after`` is a sort key."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} {_FROM} WHERE member.project_id = $1"
        f" AND ($2::bigint IS NULL OR ({_MICROSECONDS}, member.account_uuid::text) > ($2, $3::text))"
        f" ORDER BY {_MICROSECONDS}, member.account_uuid::text LIMIT $4",
        project_id,
        *(after or (None, None)),
        limit,
    )
    return [_from_row(row) for row in rows]


def sort_key(member: Member) -> tuple[int, str]:
    """Return where ``list_page`` puts the member."""
    created = member.created_at
    return int(created.timestamp()) * 1_000_000 + created.microsecond, str(member.account_uuid)


async def has_email(project_id: int, email: str) -> bool:
    """Return whether the account of that address is a member."""
    found: bool = await db.fetchval(
        f"SELECT EXISTS (SELECT {_FROM} WHERE member.project_id = $1 AND account.email = $2)", project_id, email
    )
    return found


async def lock(project_id: int) -> None:
    """Let no other transaction change the project's members or invitations until this one ends."""
    await db.execute("SELECT FROM project WHERE project_id = $1 FOR NO KEY UPDATE", project_id)


async def count(project_id: int) -> int:
    """Return how many members the project has."""
    number: int = await db.fetchval("SELECT count(*) FROM member WHERE project_id = $1", project_id)
    return number


async def count_owners(project_id: int) -> int:
    """Return how many owners the project has; only a locked project still has them afterwards."""
    number: int = await db.fetchval("SELECT count(*) FROM member WHERE project_id = $1 AND role = 'owner'", project_id)
    return number


async def add(project_id: int, account_uuid: UUID, role: Role, environments: Iterable[UUID] | None) -> bool:
    """Insert a member; False if the account is one already."""
    added = await db.execute(
        "INSERT INTO member (project_id, account_uuid, role, environments) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (project_id, account_uuid) DO NOTHING",
        project_id,
        account_uuid,
        role.value,
        None if environments is None else sorted(environments),
    )
    return added == 1


async def save(member: Member) -> None:
    """Write back the role and the limits of a member of a locked project."""
    environments = member.membership.environments
    await db.execute(
        "UPDATE member SET role = $3, environments = $4 WHERE project_id = $1 AND account_uuid = $2",
        member.project_id,
        member.account_uuid,
        member.role.value,
        None if environments is None else sorted(environments),
    )


async def remove(project_id: int, account_uuid: UUID) -> None:
    """Delete a member of a locked project."""
    await db.execute("DELETE FROM member WHERE project_id = $1 AND account_uuid = $2", project_id, account_uuid)


async def let_change(project_id: int, account_uuid: UUID, env_uuid: UUID) -> None:
    """Add an environment to those that a limited member may change."""
    await db.execute(
        "UPDATE member SET environments = array_append(environments, $3) WHERE project_id = $1 AND account_uuid = $2"
        " AND environments IS NOT NULL AND NOT $3 = ANY (environments)",
        project_id,
        account_uuid,
        env_uuid,
    )


async def set_active_environment(project_id: int, account_uuid: UUID, env_uuid: UUID | None) -> None:
    """Store where a member's requests go that name no environment; None: to production."""
    await db.execute(
        "UPDATE member SET active_env_uuid = $3 WHERE project_id = $1 AND account_uuid = $2",
        project_id,
        account_uuid,
        env_uuid,
    )
