"""What of its plan a project uses, and the locks under which one more of it is counted and taken."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from app.domain.model import Plan
from app.domain.plans import Limit, Usage
from app.storage import db

# Pins and backups are generations of another kind and count nowhere (semantics §11.22).
_USAGE: Final = """
SELECT project.project_id, project.plan, living.environments, living.depth, living.shadow_writes,
       living.beyond_limit, frozen.checkpoints, tested.ab_tests
FROM project
CROSS JOIN LATERAL (
    SELECT count(*) AS environments, coalesce(max(head.number + (head.kind = 'checkpoint')::int), 0) AS depth,
           count(*) FILTER (WHERE env.shadow_writes) AS shadow_writes, count(manifest.uuid) AS beyond_limit
    FROM environment env
    JOIN generation head ON head.project_id = env.project_id AND head.uuid = env.head_uuid
    LEFT JOIN manifest
        ON manifest.project_id = env.project_id AND manifest.env_uuid = env.uuid AND manifest.beyond_limit
    WHERE env.project_id = project.project_id AND env.status <> 'archived' AND env.env_type <> 'production'
) living
CROSS JOIN LATERAL (
    SELECT count(*) AS checkpoints FROM generation gen
    JOIN environment env ON env.project_id = gen.project_id AND env.uuid = gen.env_uuid
    WHERE gen.project_id = project.project_id AND gen.kind = 'checkpoint' AND NOT gen.automatic
      AND env.status <> 'archived'
) frozen
CROSS JOIN LATERAL (
    SELECT count(*) AS ab_tests FROM experiment
    WHERE experiment.project_id = project.project_id AND experiment.status = 'active'
) tested
WHERE project.project_id = ANY ($1::int[])
"""
# One lock per project and limit: a checkpoint of much data keeps its own for long, and forks need not wait for it.
_LOCKS: Final = {Limit.ENVIRONMENT_COUNT: 1, Limit.CHECKPOINT_COUNT: 2, Limit.AB_TEST_COUNT: 3}


async def get_many(project_ids: Sequence[int]) -> dict[int, Usage]:
    """Return what each of the projects uses of its plan, as committed."""
    rows = await db.fetch(_USAGE, list(project_ids))
    return {
        row["project_id"]: Usage(
            plan=Plan(row["plan"]),
            environments=row["environments"],
            depth=row["depth"],
            checkpoints=row["checkpoints"],
            ab_tests=row["ab_tests"],
            shadow_writes=row["shadow_writes"],
            beyond_limit=row["beyond_limit"],
        )
        for row in rows
    }


async def lock(project_id: int, limit: Limit) -> None:
    """Keep other transactions, of all processes, from taking what ``limit`` counts, until this one has ended.

    What is in use must be read in a later statement: one that had to wait would still see what was before.
    """
    await db.execute("SELECT pg_advisory_xact_lock($1, $2)", _LOCKS[limit], project_id)


async def was_exceeded_for(project_id: int, checkpoint_uuid: UUID) -> bool:
    """Return whether a rollback to this checkpoint has gone beyond the limit of environments before."""
    found: bool = await db.fetchval(
        "SELECT EXISTS (SELECT FROM manifest WHERE project_id = $1 AND source_generation_uuid = $2 AND beyond_limit)",
        project_id,
        checkpoint_uuid,
    )
    return found
