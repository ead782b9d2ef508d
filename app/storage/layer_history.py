"""What happened to layers, to be undone for a past moment; read from the changes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from app.domain.values import Value
from app.storage import db
from app.storage.changes import flat
from app.storage.layers import Stack
from app.storage.sealed import Sealer


@dataclass(frozen=True, slots=True)
class LayerHistory:
    """What a change did to one layer: how to undo it. ``layer_reverse`` is None in production."""

    entity_uuid: UUID
    generation_uuid: UUID
    reverse: Mapping[str, Value]
    layer_reverse: Mapping[str, Value] | None


async def since(
    project_id: int, entity_uuids: Sequence[UUID], generation_uuids: Sequence[UUID], version: int
) -> list[LayerHistory]:
    """Return what happened to the layers of entities in generations after ``version``, newest first."""
    rows = await db.fetch(
        "SELECT entity_uuid, generation_uuid, reverse, layer_reverse FROM change"
        " WHERE project_id = $1 AND entity_uuid = ANY($2::uuid[]) AND generation_uuid = ANY($3::uuid[])"
        " AND version > $4 ORDER BY version DESC",
        project_id,
        entity_uuids,
        generation_uuids,
        version,
    )
    return [
        LayerHistory(
            row["entity_uuid"],
            row["generation_uuid"],
            flat(row["reverse"]),
            flat(row["layer_reverse"]) if row["layer_reverse"] else None,
        )
        for row in rows
    ]


def sealed(stack: Stack, later: Sequence[LayerHistory]) -> Iterator[LayerHistory]:
    """Yield what happened to a stack's layers with references in the place of protected values, as the stack has."""
    places = stack.places
    if not places.patterns:
        yield from later
        return
    sealer = Sealer(stack.entity.project_id, stack.entity.uuid)
    for history in later:
        undone = history.layer_reverse
        yield replace(
            history,
            reverse=sealer.flat(places, history.reverse),
            layer_reverse=None if undone is None else sealer.layer_flat(places, undone),
        )
