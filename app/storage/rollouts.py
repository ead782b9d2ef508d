"""Rollouts under way: what came in for their step, and the one statement by which a step is taken once."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from app.domain.guards import Health, Side
from app.domain.promotion import Promotion
from app.storage import db


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a rollout's committed step, by the database's clock."""

    now: datetime
    held: str | None
    approvals: int
    health: dict[Side, Health] = field(default_factory=dict)


async def under_way(project_id: int) -> UUID | None:
    """Return the promotion of the project that rolls out."""
    found: UUID | None = await db.fetchval(
        "SELECT uuid FROM promotion WHERE project_id = $1 AND status = 'rolling_out'", project_id
    )
    return found


async def projects_with_any() -> list[int]:
    """Return the projects in which an environment rolls out."""
    rows = await db.fetch("SELECT project_id FROM promotion WHERE status = 'rolling_out' ORDER BY project_id")
    return [row["project_id"] for row in rows]


_KNOWN: Final = """
SELECT clock_timestamp() AS now, promotion.held, approved.count AS approvals, health.side, health.requests,
    health.errors, health.timed, health.latency_sum
FROM promotion
CROSS JOIN LATERAL (
    SELECT count(*) FROM approval WHERE approval.project_id = promotion.project_id
        AND approval.promotion_uuid = promotion.uuid AND approval.step = promotion.step + 1
        AND approval.voided_at IS NULL
) approved
LEFT JOIN rollout_health health ON health.project_id = promotion.project_id
    AND health.promotion_uuid = promotion.uuid AND health.step = promotion.step
WHERE promotion.project_id = $1 AND promotion.uuid = $2
"""


async def known(project_id: int, promotion_uuid: UUID) -> Known | None:
    """Return what is known of a rollout's step. An approval of step n stands in the table as that of n + 1."""
    rows = await db.fetch(_KNOWN, project_id, promotion_uuid)
    if not rows:
        return None
    health = {Side(row["side"]): _health(row) for row in rows if row["side"] is not None}
    return Known(rows[0]["now"], rows[0]["held"], rows[0]["approvals"], health)


def _health(row: db.Record) -> Health:
    mean = row["latency_sum"] / row["timed"] if row["timed"] else None
    return Health(row["requests"], row["errors"], row["timed"], mean)


async def enter_step(promotion: Promotion, step: int, since: datetime) -> bool:
    """Take a rollout from the step that ``promotion`` has to another; False if it is no longer there.

    Whoever else has taken the step meanwhile, in whatever process, has taken it alone.
    """
    taken = await db.fetchval(
        "UPDATE promotion SET step = $4, step_started_at = $5, held = NULL"
        " WHERE project_id = $1 AND uuid = $2 AND step = $3 AND status = 'rolling_out' RETURNING true",
        promotion.project_id,
        promotion.uuid,
        promotion.step,
        step,
        since,
    )
    return taken is True


async def hold(promotion: Promotion, reason: str) -> bool:
    """Note why a rollout goes no further; False if that is known already."""
    noted = await db.fetchval(
        "UPDATE promotion SET held = $3 WHERE project_id = $1 AND uuid = $2 AND held IS DISTINCT FROM $3"
        " RETURNING true",
        promotion.project_id,
        promotion.uuid,
        reason,
    )
    return noted is True


async def add_health(
    project_id: int, env_uuid: UUID, side: Side, requests: int, errors: int, latency_ms: int | Decimal | None
) -> UUID | None:
    """Add a report to what is known of one side at the step that the environment's rollout has; return the promotion.

    None if the environment does not roll out.
    """
    found: UUID | None = await db.fetchval(
        "INSERT INTO rollout_health AS health (project_id, promotion_uuid, step, side, requests, errors, timed,"
        " latency_sum, reported_at)"
        " SELECT $1, uuid, step, $3, $4, $5, $6, $7, clock_timestamp() FROM promotion"
        " WHERE project_id = $1 AND env_uuid = $2 AND status = 'rolling_out'"
        " ON CONFLICT (project_id, promotion_uuid, step, side) DO UPDATE SET"
        " requests = health.requests + excluded.requests, errors = health.errors + excluded.errors,"
        " timed = health.timed + excluded.timed, latency_sum = health.latency_sum + excluded.latency_sum,"
        " reported_at = excluded.reported_at RETURNING promotion_uuid",
        project_id,
        env_uuid,
        side.value,
        requests,
        errors,
        0 if latency_ms is None else requests,
        Decimal(0 if latency_ms is None else requests * latency_ms),
    )
    return found
