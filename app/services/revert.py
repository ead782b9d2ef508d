"""Reverting: making documents of an environment what its parent shows now (semantics §11.6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain import names
from app.domain.audit import Action, Object
from app.domain.errors import DocumentNotFound, PathNotFound, ProductionProtected, ValidationFailed
from app.domain.model import PROJECT_KEY, PROJECT_KIND, Actor, Change, Entity, Environment, Generation, Origin
from app.domain.patch import REMOVE, Replace, apply, at
from app.domain.pointer import Path, format_pointer
from app.domain.policy import Operation
from app.domain.values import MISSING, State, lookup, same
from app.services import access, recording, writing
from app.services.operation import operation
from app.services.publishing import publish_documents
from app.services.writing import DocumentWrite, Target
from app.storage import db, entities, environments, layers, snapshots


@dataclass(frozen=True, slots=True)
class Reverted:
    environment: Environment
    changes: list[Change]


@dataclass(frozen=True, slots=True)
class _Scope:
    kind: str | None
    key: str | None
    paths: Sequence[Path] | None


@operation(Action.REVERT_CHANGES)
async def revert(
    actor: Actor,
    env_uuid: UUID,
    *,
    kind: str | None = None,
    key: str | None = None,
    paths: Sequence[Path] | None = None,
    project_id: int | None = None,
) -> Reverted:
    """Drop overrides: all of the environment, those of one document, or those at ``paths`` of it.

    The value becomes the parent environment's present one; below a checkpoint it is written, since nothing
    shows through there. Raises ProductionProtected, DocumentNotFound, PathNotFound, ValidationFailed,
    WriteWhileRollingOut, EnvironmentArchived.
    """
    environment = await access.environment_by_uuid(actor, env_uuid, Operation.WRITE, project_id)
    if environment.is_production or environment.parent_uuid is None:
        raise ProductionProtected("Production stands on nothing that it could be reverted to.")
    return await _revert(actor, environment.project_id, env_uuid, _scope(kind, key, paths))


def _scope(kind: str | None, key: str | None, paths: Sequence[Path] | None) -> _Scope:
    if paths is not None and kind is None:
        kind = PROJECT_KIND
    if kind is None:
        if key is not None:
            raise ValidationFailed("A key without a kind names nothing.", field="kind")
        return _Scope(None, None, None)
    if kind == PROJECT_KIND and key is None:
        key = PROJECT_KEY
    names.check_kind(kind)
    if key is not None:
        names.check_key(kind, key)
    elif paths is not None:
        raise ValidationFailed("Paths are those of one document; name its key.", field="key")
    return _Scope(kind, key, paths)


@db.atomic(statement_timeout="1min")
async def _revert(actor: Actor, project_id: int, env_uuid: UUID, scope: _Scope) -> Reverted:
    seen = await access.environment_in_context(actor, project_id, str(env_uuid), Operation.WRITE)
    target = await writing.lock_for_write(seen)
    parent = (await environments.get_many(seen.project_id, [seen.parent_uuid or seen.uuid])).popitem()[1]
    shown = await writing.head_of(parent)
    found = await _entities(target, shown, scope)
    await entities.lock_many(seen.project_id, [entity.uuid for entity in found])
    writes: list[DocumentWrite] = []
    for start in range(0, len(found), writing.CHUNK):
        writes += await _reverting(target, shown, found[start : start + writing.CHUNK], scope.paths)
    entry = recording.entry(seen.project_id, Object.of(seen), env_uuid=seen.uuid)
    recorded = await writing.write(actor, target, writes, Origin.REVERT, entry)
    await publish_documents([item.change for item in recorded])
    saved = await environments.get([seen.project_id], seen.uuid)
    return Reverted(saved or target.environment, [item.change for item in recorded])


async def _entities(target: Target, shown: Generation, scope: _Scope) -> list[Entity]:
    # A filter of the parent can hide what it has no other reason to show differently.
    candidates = await snapshots.may_differ(target.head, shown, in_sight=shown.filter_uuid is None)
    if scope.kind is None:
        return candidates
    if scope.key is None:
        return [entity for entity in candidates if entity.kind == scope.kind]
    entity = await entities.find(shown.project_id, scope.kind, scope.key)
    if entity is None:
        raise DocumentNotFound(scope.kind, scope.key)
    return [entity]


async def _reverting(
    target: Target, shown: Generation, found: Sequence[Entity], paths: Sequence[Path] | None
) -> list[DocumentWrite]:
    uuids = [entity.uuid for entity in found]
    own = await layers.stacks_of(shown.project_id, target.head.uuid, uuids)
    parents = await layers.stacks_of(shown.project_id, shown.uuid, uuids)
    writes = []
    for uuid in uuids:
        if paths is not None and own[uuid].state is MISSING:
            raise DocumentNotFound(own[uuid].entity.kind, own[uuid].entity.key)
        if own[uuid].in_sight:
            after = _reverted(own[uuid].state, parents[uuid].under(own[uuid].protection).state, paths)
            if not same(own[uuid].state, after):
                writes.append(DocumentWrite(own[uuid], after, carried=False))
    return writes


def _reverted(own: State, parent: State, paths: Sequence[Path] | None) -> State:
    if paths is None:
        return parent
    for path in paths:
        for length in range(len(path)):
            if any(isinstance(lookup(state, path[:length]), list) for state in (own, parent)):
                raise PathNotFound(format_pointer(path))
        value = lookup(parent, path)
        if value is not MISSING or lookup(own, path) is not MISSING:
            own = apply(own, at(path, REMOVE if value is MISSING else Replace(value)))
    return own
