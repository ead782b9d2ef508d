"""The hot read: one document in one environment, with or without the layers it is merged from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.domain.model import EnvStatus
from app.storage import db
from app.storage.environments import ACTIVE

_BY: Final = {
    "production": "env.env_type = 'production' AND $2::text IS NULL",
    "active": f"env.uuid = {ACTIVE}",
    "uuid": "env.uuid = $2::uuid",
    "name": "env.name = $2::text",
}

# The layers' data is read only if they are not the ones that the caller has merged already.
_STATEMENT: Final = """
SELECT env.uuid AS env_uuid, env.status, gen.uuid AS generation_uuid,
       stack.versions, stack.in_sight, counted.protection AS list_version, contents.forms, contents.data
FROM environment env
JOIN generation gen ON gen.project_id = env.project_id AND gen.uuid = env.head_uuid
JOIN project_counter counted ON counted.project_id = env.project_id
LEFT JOIN LATERAL (
    SELECT array_agg(layer.version ORDER BY array_position(gen.path, layer.generation_uuid)) AS versions,
           $3 <> 'user' OR gen.filter_uuid IS NULL OR bool_or(
               array_position(gen.path, layer.generation_uuid)
               >= coalesce(array_position(gen.path, gen.filter_uuid), 1)) AS in_sight
    FROM layer WHERE layer.project_id = $1 AND layer.generation_uuid = ANY (gen.path) AND layer.entity_uuid = {entity}
) stack ON true
LEFT JOIN LATERAL (
    SELECT array_agg(layer.form ORDER BY array_position(gen.path, layer.generation_uuid)) AS forms,
           array_agg(layer.data::text ORDER BY array_position(gen.path, layer.generation_uuid)) AS data
    FROM layer WHERE layer.project_id = $1 AND layer.generation_uuid = ANY (gen.path) AND layer.entity_uuid = {entity}
      AND (gen.uuid IS DISTINCT FROM $5::uuid OR stack.versions IS DISTINCT FROM $6::bigint[]
           OR counted.protection IS DISTINCT FROM $7::bigint)
) contents ON true
WHERE env.project_id = $1 AND {by}
ORDER BY env.status = 'archived', env.updated_at DESC LIMIT 1
"""
_ENTITY: Final = "(SELECT uuid FROM entity WHERE project_id = $1 AND kind = $3 AND key = $4)"
_STATEMENTS: Final = {
    name: _STATEMENT.replace("{by}", condition).replace("{entity}", _ENTITY) for name, condition in _BY.items()
}


@dataclass(frozen=True, slots=True)
class ActiveOf:
    """The environment where an account works in the project."""

    account_uuid: UUID


@dataclass(frozen=True, slots=True)
class Current:
    """A document's layers on the path of an environment's head, uppermost ancestor first.

    ``layers`` (form, data) is None where they are those whose versions the caller gave, under the same lists,
    of protected fields, which have changed ``list_version`` times.
    """

    env_uuid: UUID
    status: EnvStatus
    generation_uuid: UUID
    layer_versions: list[int]
    in_sight: bool
    list_version: int
    layers: Sequence[tuple[str, str | None]] | None


async def read(
    project_id: int,
    environment: UUID | str | ActiveOf | None,
    kind: str,
    key: str,
    known_generation: UUID | None,
    known_versions: list[int] | None,
    known_list_version: int | None,
) -> Current | None:
    """Return the document's layers in one statement; None if there is no such environment.

    ``environment`` is a UUID, a name (of a living environment, else of the one archived last), an account's active
    one, or None for production.
    """
    by, argument = _named(environment)
    row = await db.fetchrow(
        _STATEMENTS[by], project_id, argument, kind, key, known_generation, known_versions, known_list_version
    )
    if row is None:
        return None
    forms = row["forms"]
    return Current(
        env_uuid=row["env_uuid"],
        status=EnvStatus(row["status"]),
        generation_uuid=row["generation_uuid"],
        layer_versions=row["versions"] or [],
        in_sight=bool(row["in_sight"]),
        list_version=row["list_version"],
        layers=list(zip(forms, row["data"], strict=True)) if forms else None,
    )


def _named(environment: UUID | str | ActiveOf | None) -> tuple[str, UUID | str | None]:
    match environment:
        case None:
            return "production", None
        case ActiveOf(account_uuid):
            return "active", account_uuid
        case UUID():
            return "uuid", environment
        case str():
            return "name", environment
