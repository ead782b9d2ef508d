"""What projects' owners decided, as JSON; a project without a row has the defaults."""

from app.domain.project_settings import ProjectSettings
from app.storage import db
from app.storage.codec import loads


async def get(project_id: int) -> ProjectSettings:
    """Return the settings of a project."""
    text = await db.fetchval("SELECT settings FROM project_settings WHERE project_id = $1", project_id)
    return ProjectSettings() if text is None else ProjectSettings.of(loads(text))
