"""From an environment and a moment to documents: where to read, and reading it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from app.domain.errors import CheckpointNotFound, VersionNotFound
from app.domain.layers import resolve, version_tag
from app.domain.model import USER_KIND, Actor, At, Document, Environment, Generation
from app.domain.patch import Patch, apply, from_json, to_json
from app.domain.policy import Operation
from app.domain.promotion_errors import ReleaseNotFound
from app.domain.values import MISSING, State, Value
from app.services import access
from app.storage import changes, generations, layer_history, layers, releases
from app.storage.layer_history import LayerHistory
from app.storage.layers import DocumentKey, Stack
from app.storage.stored_patch import patch_from

__all__ = ["DocumentKey", "View", "documents", "list_page", "patches_at", "view"]

_WOUND_BACK_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class View:
    """What is read: a generation, as it is (``version`` None) or as it was at a project version."""

    environment: Environment
    generation: Generation
    version: int | None = None


async def view(actor: Actor, project_id: int, reference: str | None, at: At | None = None) -> View:
    """Return the view that a request's context and moment name, if the actor may read it.

    Raises ProjectNotFound, Forbidden, EnvironmentNotFound, EnvironmentArchived, VersionNotFound, CheckpointNotFound.
    """
    return await view_of(await access.environment_in_context(actor, project_id, reference, Operation.READ), at)


async def view_of(environment: Environment, at: At | None = None) -> View:
    """Return the view of an environment at a moment. Raises VersionNotFound, CheckpointNotFound."""
    project_id = environment.project_id
    if at is None:
        return View(environment, await _generation(project_id, environment.head_uuid))
    if at.checkpoint is not None:
        generation = await generations.get([project_id], at.checkpoint)
        if generation is None or not generation.is_checkpoint:
            raise CheckpointNotFound
        return View(environment, generation)
    version = await _version(project_id, at)
    generation = await generations.at_version(project_id, environment.uuid, version)
    if generation is None:
        raise VersionNotFound(f"The environment did not exist at version {version}.", version=version)
    return View(environment, generation, version)


async def _generation(project_id: int, uuid: UUID) -> Generation:
    generation = await generations.get([project_id], uuid)
    if generation is None:
        raise LookupError(f"generation {uuid} is gone")
    return generation


async def _version(project_id: int, at: At) -> int:
    if at.release is not None:
        release = await releases.get([project_id], at.release)
        if release is None:
            raise ReleaseNotFound
        return release.version
    if at.time is not None:
        if at.time > datetime.now(UTC):
            raise VersionNotFound("That time is still to come.", time=at.time.isoformat())
        version = await changes.version_at(project_id, at.time)
        if version is None:
            raise VersionNotFound("The project did not exist at that time.", time=at.time.isoformat())
        return version
    current = await changes.current_version(project_id)
    if at.version is None or not 0 <= at.version <= current:
        raise VersionNotFound(
            f"The project has versions 0 to {current}; {at.version} is none of them.",
            version=at.version,
            current=current,
        )
    return at.version


async def documents(project_id: int, keys: Sequence[DocumentKey]) -> list[Document | None]:
    """Return the present document of each key, None where nothing is visible, in one statement for all."""
    stacks = await layers.stacks(project_id, keys)
    found = [stack.document() if stack else None for stack in stacks]
    return [document if document and document.state is not MISSING else None for document in found]


async def document(seen: View, kind: str, key: str) -> Document | None:
    """Return one document of a view, MISSING state included; None if no such entity was ever named."""
    stack = await layers.stack_on(seen.generation, kind, key)
    return (await wound_back(seen, [stack]))[0] if stack else None


async def list_page(seen: View, kind: str | None, limit: int, after: tuple[str, str] | None) -> list[Document]:
    """Return up to ``limit`` visible documents by kind and key."""
    if seen.version is None:
        return [stack.document() for stack in await layers.list_page(seen.generation, kind, limit, after)]
    visible: list[Document] = []
    while len(visible) < limit:
        stacks = await layers.list_page(seen.generation, kind, _WOUND_BACK_PAGE, after, shown_only=False)
        visible += [document for document in await wound_back(seen, stacks) if document.state is not MISSING]
        if len(stacks) < _WOUND_BACK_PAGE:
            break
        after = (stacks[-1].entity.kind, stacks[-1].entity.key)
    return visible[:limit]


async def wound_back(seen: View, stacks: Sequence[Stack]) -> list[Document]:
    """Return the stacks as documents at the view's version: present layers with later changes undone."""
    if seen.version is None:
        return [stack.document() for stack in stacks]
    generation = seen.generation
    later = await layer_history.since(
        generation.project_id, [stack.entity.uuid for stack in stacks], generation.path, seen.version
    )
    by_entity: dict[UUID, list[LayerHistory]] = {}
    for history in later:
        by_entity.setdefault(history.entity_uuid, []).append(history)
    return [_undone(seen.version, generation, stack, by_entity.get(stack.entity.uuid, [])) for stack in stacks]


async def patches_at(generation: Generation, stack: Stack, version: int) -> dict[UUID, Patch]:
    """Return, by generation, the layers on a path as they were at a project version, uppermost ancestor first."""
    later = await layer_history.since(generation.project_id, [stack.entity.uuid], generation.path, version)
    values = _values(stack, later)
    return {uuid: _patch(values[uuid]) for uuid in generation.path if values.get(uuid, MISSING) is not MISSING}


def _values(stack: Stack, later: Sequence[LayerHistory]) -> dict[UUID, State]:
    values: dict[UUID, State] = {layer.generation_uuid: changes.layer_value(layer.patch) for layer in stack.layers}
    for history in layer_history.sealed(stack, later):
        value = values.get(history.generation_uuid, MISSING)
        values[history.generation_uuid] = _before(value, history)
    return values


def _undone(version: int, generation: Generation, stack: Stack, later: Sequence[LayerHistory]) -> Document:
    values = _values(stack, later)
    path = [values[uuid] for uuid in generation.path if values.get(uuid, MISSING) is not MISSING]
    own = values.get(generation.uuid, MISSING)
    in_sight, places = _in_sight(generation, stack, values), stack.places
    state = resolve(map(_patch, path)) if in_sight else MISSING
    overrides = to_json(_patch(own)) if own is not MISSING and generation.diff_only else to_json({})
    return Document(
        entity=stack.entity,
        generation_uuid=generation.uuid,
        state=places.mask(state),
        version=version_tag(generation.uuid, [version], stack.protection.tag),
        layer_uuid=stack.layers[-1].uuid if stack.layers else None,
        overrides=places.mask_flat(overrides),
        protected=places.pointers(state),
    )


def _before(value: State, history: LayerHistory) -> State:
    if history.layer_reverse is not None:
        return apply(value, from_json(history.layer_reverse))
    document = apply(resolve([_patch(value)]) if value is not MISSING else MISSING, from_json(history.reverse))
    return MISSING if document is MISSING else {"form": "whole", "data": document}


def _patch(value: State) -> Patch:
    if not isinstance(value, dict) or not isinstance(form := value.get("form"), str):
        raise ValueError("not a layer")
    data: Value | None = value.get("data")
    return patch_from(form, data if "data" in value else MISSING)


def _in_sight(generation: Generation, stack: Stack, values: dict[UUID, State]) -> bool:
    if stack.entity.kind != USER_KIND or generation.filter_uuid is None:
        return True
    path = generation.path
    below = path[path.index(generation.filter_uuid) :] if generation.filter_uuid in path else path
    return any(values.get(uuid, MISSING) is not MISSING for uuid in below)
