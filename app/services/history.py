"""History: what changed, and who set a value."""

from uuid import UUID

from app.domain import names
from app.domain.errors import DocumentNotFound
from app.domain.model import PROJECT_KIND, Actor, Change, Generation
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.patch import Patch, Replace
from app.domain.pointer import Path, format_pointer
from app.domain.policy import Operation
from app.domain.values import MISSING, lookup
from app.services import access, resolution
from app.storage import changes, entities, generations, layers
from app.storage.layers import Stack


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
    await access.authorize(actor, project_id, Operation.READ)
    names.check_key(names.check_kind(kind), key)
    seen = await resolution.view(project_id, env)
    return await blame_in(seen.generation, kind, key, path)


async def blame_in(generation: Generation, kind: str, key: str, path: Path) -> Change | None:
    """Return the change that gave ``path`` its value in ``generation``; the caller has authorised."""
    wanted = layers.DocumentKey(generation.uuid, kind, key)
    stack = (await layers.stacks(generation.project_id, [wanted]))[0]
    if stack is None or stack.state is MISSING:
        raise DocumentNotFound(kind, key)
    if lookup(stack.state, path) is MISSING:
        return None
    pointer = format_pointer(path)
    covering = _covering(stack, path)
    known = await generations.get_many(generation.project_id, generation.ancestors)
    until: int | None = None
    for uuid in reversed(generation.ancestors):
        if uuid in covering or uuid not in generation.path:
            found = await changes.last_touching(generation.project_id, stack.entity.uuid, uuid, pointer, until)
            if found is not None:
                return found
        if known[uuid].is_checkpoint:
            until = min(known[uuid].version, until) if until is not None else known[uuid].version
    return None


def _covering(stack: Stack, path: Path) -> set[UUID]:
    return {layer.generation_uuid for layer in stack.layers if _touches(layer.patch, path)}


def _touches(patch: Patch, path: Path) -> bool:
    for key in path:
        if isinstance(patch, Replace):
            return True
        if key not in patch:
            return False
        patch = patch[key]
    return isinstance(patch, Replace) or bool(patch)
