"""History: what changed, and who set a value."""

from collections.abc import Mapping
from uuid import UUID

from app.domain import names
from app.domain.errors import DocumentNotFound
from app.domain.explaining import touches
from app.domain.model import PROJECT_KIND, Actor, Change, Entity, Generation
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.patch import Patch
from app.domain.pointer import Path, format_pointer
from app.domain.policy import Operation
from app.domain.values import MISSING, lookup
from app.services import access, resolution
from app.storage import changes, entities, generations, layers


async def list_changes(
    actor: Actor,
    project_id: int,
    *,
    env_uuid: UUID | None = None,
    kind: str | None = None,
    key: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Change]:
    """Return changes, newest first: of an environment, a kind, a document, or of all the project."""
    await access.authorize(actor, project_id, Operation.READ)
    if env_uuid is not None:
        await access.environment_by_uuid(actor, env_uuid, Operation.READ, project_id)
    check_limit(limit)
    if key is not None and kind is None:
        kind = PROJECT_KIND
    if kind is not None:
        names.check_kind(kind)
        if key is not None:
            names.check_key(kind, key)
    before = int(decode_cursor(cursor, int)[0]) if cursor else None
    entity = await entities.find(project_id, kind, key) if kind is not None and key is not None else None
    if key is not None and entity is None:
        return Page([], None)
    found = await changes.list_page(
        project_id,
        env_uuid=env_uuid,
        kind=kind if entity is None else None,
        entity_uuid=entity.uuid if entity else None,
        limit=limit + 1,
        before=before,
    )
    return Page(found[:limit], encode_cursor(found[limit - 1].version) if len(found) > limit else None)


async def blame(actor: Actor, project_id: int, env: str | None, kind: str, key: str, path: Path) -> Change | None:
    """Return the change that gave ``path`` of a document its present value, or None if it has none.

    Raises DocumentNotFound.
    """
    seen = await resolution.view(actor, project_id, env)
    names.check_key(names.check_kind(kind), key)
    return await blame_in(seen.generation, kind, key, path)


async def blame_in(generation: Generation, kind: str, key: str, path: Path) -> Change | None:
    """Return the change that gave ``path`` its value in ``generation``; the caller has authorised."""
    wanted = layers.DocumentKey(generation.uuid, kind, key)
    stack = (await layers.stacks(generation.project_id, [wanted]))[0]
    if stack is None or stack.state is MISSING:
        raise DocumentNotFound(kind, key)
    if lookup(stack.state, path) is MISSING:
        return None
    known = await generations.get_many(generation.project_id, generation.ancestors)
    patches = {layer.generation_uuid: layer.patch for layer in stack.layers}
    until: int | None = None
    while True:
        found = await _last_touching(generation, stack.entity, patches, path, until)
        base = known[generation.path[0]]
        copied = stack.layers[0] if stack.layers else None
        if found is not None or base.parent_uuid is None or copied is None or copied.generation_uuid != base.uuid:
            return found
        # What a checkpoint copied is as old as its layer; what was written above it later is not in it.
        until = await changes.version_of(stack.entity, copied.version)
        generation = known[base.parent_uuid]
        stack = (await layers.stacks_of(generation.project_id, generation.uuid, [stack.entity.uuid]))[stack.entity.uuid]
        patches = await resolution.patches_at(generation, stack, until)


async def _last_touching(
    generation: Generation, entity: Entity, patches: Mapping[UUID, Patch], path: Path, until: int | None
) -> Change | None:
    pointer = format_pointer(path)
    for uuid in reversed(generation.path):
        if uuid in patches and touches(patches[uuid], path):
            found = await changes.last_touching(generation.project_id, entity.uuid, uuid, pointer, until)
            if found is not None:
                return found
    return None
