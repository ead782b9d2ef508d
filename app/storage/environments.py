"""Anchors: reading, locking, adding and saving environments."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal
from uuid import UUID

from asyncpg import UniqueViolationError

from app.domain.errors import EnvironmentNameTaken, ProjectNotFound
from app.domain.model import Environment, EnvStatus, EnvType
from app.domain.values import Value
from app.storage import db
from app.storage.codec import dumps, loads

_NAMES: Final = (
    "project_id uuid name env_type status head_uuid pinned_uuid parent_env_uuid traffic_weight rollout_steps"
    " segments ab_seed shadow_writes shadow_overwrite expires_at created_at updated_at"
).split()
COLUMNS: Final = ", ".join(f"env.{name} AS env_{name}" for name in _NAMES)

# The UUID of the environment where the account $2 works in the project $1; none for who is no member any more, so
# that a write meant for an environment does not reach production while a membership is remembered.
ACTIVE: Final = (
    "(SELECT coalesce(member.active_env_uuid, project.production_uuid) FROM member JOIN project USING (project_id)"
    " WHERE project_id = $1 AND account_uuid = $2::uuid)"
)


def from_row(row: db.Record) -> Environment:
    """Return the environment of a row with ``COLUMNS``."""
    return Environment(
        project_id=row["env_project_id"],
        uuid=row["env_uuid"],
        name=row["env_name"],
        env_type=EnvType(row["env_env_type"]),
        status=EnvStatus(row["env_status"]),
        head_uuid=row["env_head_uuid"],
        pinned_uuid=row["env_pinned_uuid"],
        parent_uuid=row["env_parent_env_uuid"],
        traffic_weight=row["env_traffic_weight"],
        rollout_steps=_array(row["env_rollout_steps"]),
        segments=_array(row["env_segments"]),
        ab_seed=row["env_ab_seed"],
        shadow_writes=row["env_shadow_writes"],
        shadow_overwrite=row["env_shadow_overwrite"],
        expires_at=row["env_expires_at"],
        created_at=row["env_created_at"],
        updated_at=row["env_updated_at"],
    )


def _array(text: str) -> list[Value]:
    value = loads(text)
    return value if isinstance(value, list) else []


async def get(project_ids: Iterable[int], uuid: UUID) -> Environment | None:
    """Return the environment with ``uuid`` in one of the projects, archived or not."""
    row = await db.fetchrow(
        f"SELECT {COLUMNS} FROM environment env WHERE env.project_id = ANY($1::int[]) AND env.uuid = $2",
        list(project_ids),
        uuid,
    )
    return from_row(row) if row else None


async def get_many(project_id: int, uuids: Iterable[UUID]) -> dict[UUID, Environment]:
    """Return those of ``uuids`` that are environments of the project."""
    rows = await db.fetch(
        f"SELECT {COLUMNS} FROM environment env WHERE env.project_id = $1 AND env.uuid = ANY($2::uuid[])",
        project_id,
        list(uuids),
    )
    return {row["env_uuid"]: from_row(row) for row in rows}


async def find_by_name(project_id: int, name: str) -> Environment | None:
    """Return the living environment of that name, else the one archived last, else None."""
    row = await db.fetchrow(
        f"SELECT {COLUMNS} FROM environment env WHERE env.project_id = $1 AND env.name = $2"
        " ORDER BY env.status = 'archived', env.updated_at DESC LIMIT 1",
        project_id,
        name,
    )
    return from_row(row) if row else None


async def production(project_id: int) -> Environment:
    """Return the production environment; every project has one from birth."""
    row = await db.fetchrow(
        f"SELECT {COLUMNS} FROM environment env WHERE env.project_id = $1 AND env.env_type = 'production'",
        project_id,
    )
    if row is None:
        raise LookupError(f"project {project_id} has no production environment")
    return from_row(row)


async def active(project_id: int, account_uuid: UUID) -> Environment:
    """Return where the account's requests go that name no environment, archived or not: production by default.

    Raises ProjectNotFound for an account that is no member.
    """
    row = await db.fetchrow(
        f"SELECT {COLUMNS} FROM environment env WHERE env.project_id = $1 AND env.uuid = {ACTIVE}",
        project_id,
        account_uuid,
    )
    if row is None:
        raise ProjectNotFound
    return from_row(row)


async def lock(project_id: int, uuid: UUID, mode: Literal["SHARE", "NO KEY UPDATE"]) -> Environment | None:
    """Return the environment, locked: SHARE for who writes into it, NO KEY UPDATE for who moves it.

    A plain UPDATE lock would also wait for, and deadlock with, the foreign keys that point to the anchor: those
    of deferred constraints are looked at on COMMIT, when the counter is locked already.
    """
    row = await db.fetchrow(
        f"SELECT {COLUMNS} FROM environment env WHERE env.project_id = $1 AND env.uuid = $2 FOR {mode}",
        project_id,
        uuid,
    )
    return from_row(row) if row else None


async def list_page(
    project_id: int,
    statuses: Sequence[EnvStatus],
    types: Sequence[EnvType],
    limit: int,
    after: tuple[str | int, ...] | None,
) -> list[Environment]:
    """Return up to ``limit`` environments, production first, then by creation; ``after`` is a sort key."""
    rows = await db.fetch(
        f"SELECT {COLUMNS} FROM environment env WHERE env.project_id = $1"
        " AND (cardinality($2::text[]) = 0 OR env.status = ANY($2))"
        " AND (cardinality($3::text[]) = 0 OR env.env_type = ANY($3))"
        " AND ($4::int IS NULL OR"
        "      ((env.env_type <> 'production')::int, (extract(epoch FROM env.created_at) * 1000000)::bigint,"
        "       env.uuid::text) > ($4, $5::bigint, $6::text))"
        " ORDER BY (env.env_type <> 'production')::int,"
        " (extract(epoch FROM env.created_at) * 1000000)::bigint, env.uuid::text LIMIT $7",
        project_id,
        [status.value for status in statuses],
        [env_type.value for env_type in types],
        *(after or (None, None, None)),
        limit,
    )
    return [from_row(row) for row in rows]


def sort_key(environment: Environment) -> tuple[int, int, str]:
    """Return where ``list_page`` puts the environment."""
    created = environment.created_at
    microseconds = int(created.timestamp()) * 1_000_000 + created.microsecond
    return int(not environment.is_production), microseconds, str(environment.uuid)


async def add(environment: Environment) -> None:
    """Insert an environment; its clock is the database's. Raises EnvironmentNameTaken."""
    try:
        await db.execute(
            "INSERT INTO environment (project_id, uuid, name, env_type, status, head_uuid, parent_env_uuid,"
            " traffic_weight, rollout_steps, segments, ab_seed, shadow_writes, shadow_overwrite, expires_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            environment.project_id,
            environment.uuid,
            environment.name,
            environment.env_type.value,
            environment.status.value,
            environment.head_uuid,
            environment.parent_uuid,
            environment.traffic_weight,
            dumps(environment.rollout_steps),
            dumps(environment.segments),
            environment.ab_seed,
            environment.shadow_writes,
            environment.shadow_overwrite,
            environment.expires_at,
        )
    except UniqueViolationError:
        raise EnvironmentNameTaken(environment.name) from None


async def save(environment: Environment) -> Environment:
    """Write back what may change of a locked environment. Raises EnvironmentNameTaken."""
    try:
        row = await db.fetchrow(
            "UPDATE environment env SET name = $3, status = $4, head_uuid = $5, pinned_uuid = $6,"
            " traffic_weight = $7, rollout_steps = $8, segments = $9, shadow_writes = $10, shadow_overwrite = $11,"
            " expires_at = $12, updated_at = clock_timestamp()"
            f" WHERE env.project_id = $1 AND env.uuid = $2 RETURNING {COLUMNS}",
            environment.project_id,
            environment.uuid,
            environment.name,
            environment.status.value,
            environment.head_uuid,
            environment.pinned_uuid,
            environment.traffic_weight,
            dumps(environment.rollout_steps),
            dumps(environment.segments),
            environment.shadow_writes,
            environment.shadow_overwrite,
            environment.expires_at,
        )
    except UniqueViolationError:
        raise EnvironmentNameTaken(environment.name) from None
    if row is None:
        raise LookupError(f"environment {environment.uuid} is gone")
    return from_row(row)


async def expired() -> list[tuple[int, UUID]]:
    """Return project and UUID of the environments of all projects that have expired and are not archived."""
    rows = await db.fetch(
        "SELECT project_id, uuid FROM environment WHERE expires_at <= now() AND status <> 'archived'"
        " ORDER BY expires_at LIMIT 1000"
    )
    return [(row["project_id"], row["uuid"]) for row in rows]


async def is_expired(project_id: int, uuid: UUID) -> bool:
    """Return whether the environment's time is over, by the database's clock."""
    over: bool | None = await db.fetchval(
        "SELECT expires_at <= clock_timestamp() FROM environment WHERE project_id = $1 AND uuid = $2", project_id, uuid
    )
    return bool(over)


async def naming_segment(project_id: int, segment_id: UUID) -> list[str]:
    """Return the names of the environments, not archived, whose ``segments`` list one."""
    rows = await db.fetch(
        "SELECT name FROM environment WHERE project_id = $1 AND status <> 'archived' AND segments ? $2 ORDER BY name",
        project_id,
        str(segment_id),
    )
    return [row["name"] for row in rows]
