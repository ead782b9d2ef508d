"""Rebasing: an environment's own overrides on its parent's present head (semantics §11.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from app.domain import lifecycle
from app.domain.audit import Action, Object
from app.domain.carrying import base_of, carried_by
from app.domain.errors import ProductionProtected
from app.domain.events import EventType
from app.domain.layers import canonical_layer
from app.domain.model import Actor, Change, Environment, EnvStatus, Generation, GenerationKind, Origin, Strategy
from app.domain.pointer import Path
from app.domain.policy import Operation
from app.domain.promotion import DocumentConflict, DocumentResolution, Plan
from app.domain.promotion_errors import ConflictsOpen
from app.domain.three_way import Merged, Resolution, merge_carried
from app.domain.values import MISSING, State
from app.services import access, recording, writing
from app.services.carried import carrying, check_met, check_resolutions, prepare, resolutions_by_document
from app.services.operation import operation
from app.services.publishing import publish
from app.services.writing import Target
from app.storage import db, entities, environments, generations, layers, lines, protections
from app.storage.changes import LayerWrite
from app.storage.layers import Stack
from app.storage.lines import LineLayers


@dataclass(frozen=True, slots=True)
class Rebased:
    """The environment on its new generation. ``conflicts`` are those that resolutions settled."""

    environment: Environment
    generation: Generation
    changes: list[Change]
    conflicts: list[DocumentConflict] = field(default_factory=list)


@operation(Action.REBASE_ENVIRONMENT)
async def rebase(
    actor: Actor,
    env_uuid: UUID,
    resolutions: Sequence[DocumentResolution] = (),
    project_id: int | None = None,
) -> Rebased:
    """Put what the environment itself overrides onto what its parent shows now, all bases set to now.

    Overrides equal to the parent drop out; the old line is sealed, and what stands on it stays there. Raises
    ConflictsOpen with all ``conflicts`` that no resolution settles, UnknownConflict, ProductionProtected,
    EnvironmentArchived, WriteWhileRollingOut.
    """
    seen = await access.environment_by_uuid(actor, env_uuid, Operation.REBASE, project_id)
    if seen.is_production:
        raise ProductionProtected("Production stands on nothing that it could be rebased onto.")
    return await _rebase(actor, seen.project_id, env_uuid, list(resolutions))


@dataclass(frozen=True, slots=True)
class _Moved:
    """A document on its way: where it arrives, what the environment showed, and what comes of both."""

    stack: Stack
    shown: State
    merged: Merged


@db.atomic(statement_timeout="5min")
async def _rebase(actor: Actor, project_id: int, env_uuid: UUID, resolutions: Sequence[DocumentResolution]) -> Rebased:
    seen = await access.environment_in_context(actor, project_id, str(env_uuid), Operation.REBASE)
    status = lifecycle.status_after_write(seen)
    parent = await _parent(seen)
    await lines.lock_all(project_id, [seen.uuid, parent.uuid])
    target = await writing.lock_exclusively(seen)
    if (target.environment.head_uuid, target.environment.status) != (seen.head_uuid, seen.status):
        raise db.Retry
    onto = await writing.head_of(parent)
    await check_resolutions(target.head, resolutions)
    generation = await _opened(actor, target, onto)
    moved = await _merged(target, onto, generation, resolutions)
    conflicts = [DocumentConflict.of(item.stack.entity, each) for item in moved for each in item.merged.conflicts]
    if conflicts:
        raise ConflictsOpen(
            f"{len(conflicts)} paths changed on both sides; each needs a resolution.",
            conflicts,
        )
    written = await _write(actor, generation, moved)
    await lines.keep_filter(target.head, generation)
    await generations.seal(project_id, target.head.uuid)
    saved = await environments.save(replace(target.environment, head_uuid=generation.uuid, status=status))
    version = await publish(
        project_id,
        EventType.ENVIRONMENT_REBASED,
        env_uuid=env_uuid,
        data={"generation_uuid": str(generation.uuid), "onto": str(onto.uuid), "documents": len(written)},
        covers=written[0].version if written else None,
    )
    await generations.set_version(project_id, generation.uuid, written[0].version if written else version)
    facts: State = {"generation_uuid": str(generation.uuid), "onto": str(onto.uuid)}
    await recording.record(project_id, Object.of(saved), env_uuid=env_uuid, change=(MISSING, facts))
    settled = [DocumentConflict.of(item.stack.entity, each) for item in moved for each in item.merged.resolved]
    made = await generations.get([project_id], generation.uuid)
    return Rebased(saved, made or generation, written, settled)


async def _parent(environment: Environment) -> Environment:
    """Return what the environment is rebased onto: its parent, or production where that is gone."""
    production = await environments.production(environment.project_id)
    head = await writing.head_of(environment)
    if environment.parent_uuid is None or head.replaces_version is not None:
        return production
    parent = (await environments.get_many(environment.project_id, [environment.parent_uuid])).get(
        environment.parent_uuid
    )
    return production if parent is None or parent.status is EnvStatus.ARCHIVED else parent


async def _opened(actor: Actor, target: Target, onto: Generation) -> Generation:
    generation = replace(writing.child_of(onto, target.environment, actor), replaces_version=None)
    if target.head.filter_uuid is not None and onto.filter_uuid is None:
        generation = replace(generation, filter_uuid=generation.uuid)
    added = await generations.add(generation)
    await protections.freeze(added.project_id, target.head.uuid, added.uuid)
    return added


async def _merged(
    target: Target, onto: Generation, generation: Generation, resolutions: Sequence[DocumentResolution]
) -> list[_Moved]:
    if target.head.replaces_version is not None:
        plan = Plan(Strategy.IMMEDIATE, [], None, list(resolutions))
        merges = (await prepare(target.environment, plan)).merges
        await entities.lock_many(onto.project_id, [merge.entity.uuid for merge in merges])
        found: dict[UUID, Merged | LineLayers] = {merge.entity.uuid: merge.merged for merge in merges}
    else:
        own = await _own_layers(target, onto)
        await entities.lock_many(onto.project_id, [item.entity.uuid for item in own])
        found = {item.entity.uuid: item for item in own}
    given = resolutions_by_document(resolutions)
    moved: list[_Moved] = []
    uuids = list(found)
    for start in range(0, len(uuids), writing.CHUNK):
        chunk = uuids[start : start + writing.CHUNK]
        stacks = await layers.stacks_of(onto.project_id, generation.uuid, chunk)
        shown = await layers.stacks_of(onto.project_id, target.head.uuid, chunk)
        for uuid in chunk:
            merged = _brought(found[uuid], stacks[uuid], given)
            moved.append(_Moved(stacks[uuid], shown[uuid].state, merged))
    settled = (DocumentConflict.of(item.stack.entity, each) for item in moved for each in item.merged.resolved)
    check_met(resolutions, settled)
    return moved


def _brought(
    item: Merged | LineLayers, stack: Stack, given: Mapping[tuple[str, str], Mapping[Path, Resolution]]
) -> Merged:
    if isinstance(item, Merged):
        return item
    parent = stack.above_state
    return merge_carried(
        parent, carried_by(carrying(item, parent)), given.get((stack.entity.kind, stack.entity.key), {})
    )


async def _own_layers(target: Target, onto: Generation) -> list[LineLayers]:
    known = await generations.get_many(onto.project_id, target.head.ancestors)
    own = [
        known[uuid]
        for uuid in target.head.ancestors
        if known[uuid].kind is GenerationKind.LINE and known[uuid].env_uuid == target.environment.uuid
    ]
    return await lines.layers_of(onto.ancestors[0], own)


async def _write(actor: Actor, generation: Generation, moved: Sequence[_Moved]) -> list[Change]:
    writes = []
    for item in moved:
        parent = item.stack.above_state
        patch = canonical_layer(parent, item.merged.state)
        if patch:
            base = base_of(patch, parent)
            writes.append(LayerWrite(item.stack, patch, item.shown, item.merged.state, base))
    recorded = await writing.record(writing.place_in(generation, actor, Origin.REVERT), writes)
    return [made.change for made in recorded]
