"""The lists of protected fields: what each generation adds, and what is in force where (semantics §11.26).

Production's root is an ancestor of every generation, so the lists of a generation's ancestors are production's and
the line's. The project's counter says how often any list has changed: whoever writes under a list that is no longer
in force finds another number there when it takes its versions, and begins anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.domain.protected import Protection, protection
from app.storage import db

LIST_VERSION: Final = "(SELECT counted.protection FROM project_counter counted WHERE counted.project_id = $1)"
"""How often lists of the project ``$1`` have changed; read in the statement that reads what is protected."""

_EXISTS: Final = "(SELECT EXISTS (SELECT FROM protection WHERE project_id = $1))"


def in_force(generations: str = "", line: str = "gen.ancestors") -> str:
    """Return an expression for the globs in force: null where the project never had any.

    ``line`` are the generation's ancestors, ``generations`` where to find them if the statement does not have them.
    """
    return (
        f"CASE WHEN {_EXISTS} THEN coalesce((SELECT array_agg(DISTINCT glob ORDER BY glob) FROM protection listed"
        f" CROSS JOIN unnest(listed.globs) glob {generations}"
        f" WHERE listed.project_id = $1 AND listed.generation_uuid = ANY ({line})), ARRAY[]::text[]) END"
    )


IN_FORCE: Final = f"{in_force()} AS globs, {LIST_VERSION} AS list_version"
"""Columns for who reads layers on the path of ``gen``."""


def of_generation(uuid: str) -> str:
    """Return an expression for the globs in force in the generation that an expression names."""
    return in_force(f"JOIN generation gen ON gen.project_id = $1 AND gen.uuid = {uuid}")


OF_ROOT: Final = in_force("JOIN generation gen ON gen.project_id = $1 AND gen.parent_uuid IS NULL")
"""An expression for the globs in force in production."""


async def everywhere(project_id: int) -> Protection:
    """Return the protection of all that is protected anywhere in the project."""
    rows = await db.fetch("SELECT globs FROM protection WHERE project_id = $1", project_id)
    return protection([glob for row in rows for glob in row["globs"]] if rows else None)


async def of(project_id: int, generation_uuid: UUID) -> Protection:
    """Return what is protected in a generation."""
    return protection(await db.fetchval(f"SELECT {of_generation('$2')}", project_id, generation_uuid))


@dataclass(frozen=True, slots=True)
class Listed:
    """What is protected in a generation, after how many changes of the project's lists."""

    protection: Protection
    version: int


async def at(project_id: int, generation_uuid: UUID) -> Listed:
    """Return what is protected in a generation, for who writes there."""
    row = await db.fetchrow(
        f"SELECT {of_generation('$2')} AS globs, {LIST_VERSION} AS list_version", project_id, generation_uuid
    )
    return Listed(protection(row["globs"]), row["list_version"]) if row else Listed(protection(None), 0)


async def lock(project_id: int) -> None:
    """Let nobody else change the project's lists, nor take a snapshot, until this transaction ends."""
    await db.execute("SELECT FROM protection WHERE project_id = $1 FOR UPDATE", project_id)


async def hold(project_id: int) -> int:
    """Let no sweep end before this transaction does; return how often lists have changed."""
    await db.execute("SELECT FROM protection WHERE project_id = $1 FOR SHARE", project_id)
    version: int = await db.fetchval(f"SELECT {LIST_VERSION}", project_id)
    return version


async def confirm(project_id: int, list_version: int) -> None:
    """Raise Retry if lists have changed more than ``list_version`` times; the project's counter is locked already."""
    if list_version != await db.fetchval("SELECT protection FROM project_counter WHERE project_id = $1", project_id):
        raise db.Retry


async def own(project_id: int, generation_uuid: UUID) -> list[str]:
    """Return what the generation itself has on its list."""
    found = await db.fetchval(
        "SELECT globs FROM protection WHERE project_id = $1 AND generation_uuid = $2", project_id, generation_uuid
    )
    return list(found or ())


async def save(project_id: int, generation_uuid: UUID, globs: Iterable[str]) -> None:
    """Put globs on a generation's list in the place of those there; the project's counter is locked already."""
    await db.execute(
        "WITH counted AS (UPDATE project_counter SET protection = protection + 1 WHERE project_id = $1"
        " RETURNING protection)"
        " INSERT INTO protection (project_id, generation_uuid, globs, version)"
        " SELECT $1, $2, $3, counted.protection FROM counted ON CONFLICT (project_id, generation_uuid)"
        " DO UPDATE SET globs = EXCLUDED.globs, version = EXCLUDED.version",
        project_id,
        generation_uuid,
        sorted(set(globs)),
    )


async def keep(project_id: int, generation_uuids: Sequence[UUID]) -> None:
    """Keep in force for generations what is in force there now, whatever line they are moved to."""
    await db.execute(
        "INSERT INTO protection (project_id, generation_uuid, globs, version)"
        f" SELECT $1, gen.uuid, {in_force()}, {LIST_VERSION} FROM generation gen WHERE gen.project_id = $1"
        f" AND gen.uuid = ANY ($2::uuid[]) AND {_EXISTS} ON CONFLICT (project_id, generation_uuid)"
        " DO UPDATE SET globs = EXCLUDED.globs",
        project_id,
        generation_uuids,
    )


async def freeze(project_id: int, source_uuid: UUID, snapshot_uuid: UUID) -> None:
    """Keep in force for a snapshot what is in force in the generation that it was taken of."""
    await db.execute(
        "INSERT INTO protection (project_id, generation_uuid, globs, version)"
        f" SELECT $1, $2, {of_generation('$3')}, {LIST_VERSION} WHERE {_EXISTS}",
        project_id,
        snapshot_uuid,
        source_uuid,
    )
