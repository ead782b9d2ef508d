"""A/B tests: read, added, ended."""

from typing import Final

from app.domain.bucketing import Variant
from app.domain.experiments import Experiment, ExperimentStatus
from app.storage import db

_COLUMNS: Final = (
    "project_id, uuid, env_a_uuid, env_b_uuid, split_pct, ab_seed, metric, status, winner, declared, promotion_uuid,"
    " reason, created_by, created_at, ended_at"
)


def _from_row(row: db.Record) -> Experiment:
    values = dict(row)
    winner, declared = (values[name] and Variant(values[name]) for name in ("winner", "declared"))
    return Experiment(**values | {"status": ExperimentStatus(row["status"]), "winner": winner, "declared": declared})


async def active(project_id: int) -> list[Experiment]:
    """Return the tests of the project that run, the oldest first."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM experiment WHERE project_id = $1 AND status = 'active' ORDER BY created_at, uuid",
        project_id,
    )
    return [_from_row(row) for row in rows]
