"""What projects' owners decided, as JSON; a project without a row has the defaults."""

from collections.abc import Sequence

from app.domain.project_settings import ProjectSettings
from app.storage import db
from app.storage.codec import dumps, loads


async def get(project_id: int) -> ProjectSettings:
    """Return the settings of a project."""
    text = await db.fetchval("SELECT settings FROM project_settings WHERE project_id = $1", project_id)
    return ProjectSettings() if text is None else ProjectSettings.of(loads(text))


async def get_many(project_ids: Sequence[int]) -> dict[int, ProjectSettings]:
    """Return the settings of those of the projects that decided on any."""
    rows = await db.fetch(
        "SELECT project_id, settings FROM project_settings WHERE project_id = ANY($1::int[])", list(project_ids)
    )
    return {row["project_id"]: ProjectSettings.of(loads(row["settings"])) for row in rows}


async def lock(project_id: int) -> ProjectSettings:
    """Return the settings, which nobody else changes until the transaction has ended."""
    await db.execute(
        "INSERT INTO project_settings (project_id, settings) VALUES ($1, '{}') ON CONFLICT DO NOTHING", project_id
    )
    text = await db.fetchval(
        "SELECT settings FROM project_settings WHERE project_id = $1 FOR NO KEY UPDATE", project_id
    )
    return ProjectSettings.of(loads(text))


async def save(project_id: int, settings: ProjectSettings) -> None:
    """Write back settings that were locked, but for those that are as by default: a default may change."""
    defaults = ProjectSettings().to_json()
    decided = {name: value for name, value in settings.to_json().items() if value != defaults[name]}
    await db.execute("UPDATE project_settings SET settings = $2 WHERE project_id = $1", project_id, dumps(decided))
