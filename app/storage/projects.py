"""Projects, their members and their counters."""

from typing import Final
from uuid import UUID

from app.domain.model import Plan, Project, Role
from app.storage import db

_COLUMNS: Final = "project.project_id, project.name, project.plan, project.production_uuid, project.created_at"


def _from_row(row: db.Record) -> Project:
    return Project(
        id=row["project_id"],
        name=row["name"],
        plan=Plan(row["plan"]),
        production_uuid=row["production_uuid"],
        created_at=row["created_at"],
    )


async def get(project_id: int) -> Project | None:
    """Return the project."""
    row = await db.fetchrow(f"SELECT {_COLUMNS} FROM project WHERE project_id = $1", project_id)
    return _from_row(row) if row else None


async def list_page(project_ids: list[int], limit: int, after: int) -> list[Project]:
    """Return up to ``limit`` of the projects with an id above ``after``, by id."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM project WHERE project_id = ANY($1::int[]) AND project_id > $2::bigint"
        " ORDER BY project_id LIMIT $3",
        project_ids,
        after,
        limit,
    )
    return [_from_row(row) for row in rows]


async def add(name: str, plan: Plan, production_uuid: UUID, owner_uuid: UUID) -> Project:
    """Insert a project with its counter and owner; its production environment is inserted beside it."""
    row = await db.fetchrow(
        "INSERT INTO project (name, plan, production_uuid) VALUES ($1, $2, $3)"
        " RETURNING project_id, name, plan, production_uuid, created_at",
        name,
        plan.value,
        production_uuid,
    )
    if row is None:
        raise LookupError("INSERT returned nothing")
    project = _from_row(row)
    await db.execute("INSERT INTO project_counter (project_id) VALUES ($1)", project.id)
    await db.execute(
        "INSERT INTO member (project_id, account_uuid, role) VALUES ($1, $2, $3)",
        project.id,
        owner_uuid,
        Role.OWNER.value,
    )
    return project


async def set_plan(project_id: int, plan: Plan) -> Project | None:
    """Change the plan and return the project; None if there is none."""
    row = await db.fetchrow(
        f"UPDATE project SET plan = $2 WHERE project_id = $1 RETURNING {_COLUMNS}", project_id, plan.value
    )
    return _from_row(row) if row else None


async def list_all() -> list[Project]:
    """Return every project of this installation, by id."""
    return [_from_row(row) for row in await db.fetch(f"SELECT {_COLUMNS} FROM project ORDER BY project_id")]
