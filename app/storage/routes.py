"""What decides where users go, read at once: production, rollout, test and segments, the settings about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from app.domain.guards import guards_of
from app.domain.model import PROJECT_KEY, PROJECT_KIND, USER_KIND
from app.domain.names import is_uuid
from app.domain.project_settings import ProjectSettings
from app.domain.promotion import Plan
from app.domain.routing import Place, Reserved, Trial, usable
from app.domain.segments import segments_of
from app.storage import db, experiments, layers, typed
from app.storage.codec import loads
from app.storage.layers import DocumentKey


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
    """What decides where a project's users go, at ``moment`` of the database's clock and ``version`` of the project.

    ``trial`` is the oldest test that runs; ``reserved`` are the environments for segments, the oldest first. ``heads``
    are the generations of all environments that can serve somebody.
    """

    moment: datetime
    version: int
    production: Place
    rolling_out: RollingOut | None
    auto_route: bool
    trial: Trial | None
    reserved: Sequence[Reserved]
    heads: Mapping[UUID, UUID]


_ROUTES: Final = """
SELECT clock_timestamp() AS moment, production.uuid AS production_uuid, production.name AS production_name,
    settings.settings, rolling.env_uuid, env.name AS env_name, rolling.plan, rolling.step, rolling.step_started_at,
    (SELECT counter.version FROM project_counter counter WHERE counter.project_id = $1) AS version
FROM environment production
LEFT JOIN project_settings settings ON settings.project_id = production.project_id
LEFT JOIN promotion rolling ON rolling.project_id = production.project_id AND rolling.status = 'rolling_out'
LEFT JOIN environment env ON env.project_id = rolling.project_id AND env.uuid = rolling.env_uuid
WHERE production.project_id = $1 AND production.env_type = 'production'
"""
_SERVING: Final = """
SELECT env.uuid, env.name, env.head_uuid,
    CASE WHEN env.env_type <> 'production' AND env.status IN ('ready', 'rolling_out', 'live') THEN env.segments
    END AS segments
FROM environment env
WHERE env.project_id = $1 AND env.status <> 'archived'
    AND (env.env_type = 'production' OR env.status = 'rolling_out' OR env.uuid = ANY ($2::uuid[])
         OR (env.status IN ('ready', 'live') AND env.segments <> '[]'))
ORDER BY env.created_at, env.uuid
"""


async def get(project_id: int) -> Routes | None:
    """Return what decides where the project's users go; None if there is no such project."""
    row = await db.fetchrow(_ROUTES, project_id)
    if row is None:
        return None
    settings = ProjectSettings() if row["settings"] is None else ProjectSettings.of(loads(row["settings"]))
    production = Place(row["production_uuid"], row["production_name"])
    oldest = next(iter(await experiments.active(project_id)), None)
    sides = [] if oldest is None else [oldest.env_a_uuid, oldest.env_b_uuid]
    serving = await db.fetch(_SERVING, project_id, sides)
    places = {env["uuid"]: Place(env["uuid"], env["name"]) for env in serving}
    heads = {env["uuid"]: env["head_uuid"] for env in serving}
    trial = None
    if oldest is not None and places.keys() >= set(sides):
        trial = Trial(oldest, places[oldest.env_a_uuid], places[oldest.env_b_uuid])
    return Routes(
        moment=row["moment"],
        version=row["version"],
        production=production,
        rolling_out=_rolling_out(row, settings),
        auto_route=settings.canary_auto_route,
        trial=trial,
        reserved=await _reserved(project_id, heads.get(production.env_uuid), serving),
        heads=heads,
    )


def _rolling_out(row: db.Record, settings: ProjectSettings) -> RollingOut | None:
    if row["env_uuid"] is None:
        return None
    plan = typed.load(row["plan"], Plan)
    guarded = bool(guards_of(settings) if plan.guards is None else plan.guards)
    return RollingOut(
        Place(row["env_uuid"], row["env_name"]), plan, row["step"], row["step_started_at"], guarded=guarded
    )


async def _reserved(project_id: int, head_uuid: UUID | None, serving: Sequence[db.Record]) -> list[Reserved]:
    named = [(Place(env["uuid"], env["name"]), _ids(env["segments"])) for env in serving]
    if head_uuid is None or not any(ids for _, ids in named):
        return []
    stack = (await layers.stacks(project_id, [DocumentKey(head_uuid, PROJECT_KIND, PROJECT_KEY)]))[0]
    if stack is None:
        return []
    defined = usable(segments_of(stack.seen), stack.protection.of(USER_KIND))
    found = [(place, tuple(defined[uuid] for uuid in ids if uuid in defined)) for place, ids in named]
    return [Reserved(place, segments) for place, segments in found if segments]


def _ids(segments: str | None) -> list[UUID]:
    found = [] if segments is None else loads(segments)
    return [UUID(item) for item in found if isinstance(item, str) and is_uuid(item)] if isinstance(found, list) else []
