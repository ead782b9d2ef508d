"""What decides where users go, read at once: production, the rollout under way, the settings about it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.domain.guards import guards_of
from app.domain.project_settings import ProjectSettings
from app.domain.promotion import Plan
from app.domain.routing import Place
from app.storage import db, typed
from app.storage.codec import loads


@dataclass(frozen=True, slots=True)
class RollingOut:
    """A rollout as far as the clock alone takes it. ``guarded``: it waits for more than time at every step."""

    place: Place
    plan: Plan
    step: int
    since: datetime
    guarded: bool


@dataclass(frozen=True, slots=True)
class Routes:
    """What decides where a project's users go, at ``moment`` of the database's clock."""

    moment: datetime
    production: Place
    rolling_out: RollingOut | None
    auto_route: bool


_ROUTES: Final = """
SELECT clock_timestamp() AS moment, production.uuid AS production_uuid, production.name AS production_name,
    settings.settings, rolling.env_uuid, env.name AS env_name, rolling.plan, rolling.step, rolling.step_started_at
FROM environment production
LEFT JOIN project_settings settings ON settings.project_id = production.project_id
LEFT JOIN promotion rolling ON rolling.project_id = production.project_id AND rolling.status = 'rolling_out'
LEFT JOIN environment env ON env.project_id = rolling.project_id AND env.uuid = rolling.env_uuid
WHERE production.project_id = $1 AND production.env_type = 'production'
"""


async def get(project_id: int) -> Routes | None:
    """Return what decides where the project's users go; None if there is no such project."""
    row = await db.fetchrow(_ROUTES, project_id)
    if row is None:
        return None
    settings = ProjectSettings() if row["settings"] is None else ProjectSettings.of(loads(row["settings"]))
    production = Place(row["production_uuid"], row["production_name"])
    return Routes(row["moment"], production, _rolling_out(row, settings), settings.canary_auto_route)


def _rolling_out(row: db.Record, settings: ProjectSettings) -> RollingOut | None:
    if row["env_uuid"] is None:
        return None
    plan = typed.load(row["plan"], Plan)
    guarded = bool(guards_of(settings) if plan.guards is None else plan.guards)
    return RollingOut(
        Place(row["env_uuid"], row["env_name"]), plan, row["step"], row["step_started_at"], guarded=guarded
    )
