"""Checkpoints, rollbacks to them, and pins: whole-document snapshots (reference guide, "Checkpoint Flow")."""

from contextlib import suppress
from dataclasses import dataclass, replace
from secrets import token_hex
from uuid import UUID

from app.domain import plans
from app.domain.audit import Action, Object, generation_facts
from app.domain.errors import (
    CheckpointNotFound,
    Conflict,
    DepthLimitExceeded,
    SnapshotNotFound,
    ValidationFailed,
    WriteWhileRollingOut,
)
from app.domain.events import EventType
from app.domain.model import (
    Actor,
    Document,
    Environment,
    EnvStatus,
    EnvType,
    Generation,
    GenerationKind,
)
from app.domain.names import check_kind, check_label, environment_name
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.plans import Limit
from app.domain.policy import Operation
from app.domain.values import MISSING, State
from app.services import access, plan_limits, recording, resolution, writing
from app.services.branching import MAX_DEPTH, Fork, ForkOptions, branch, lock_source
from app.services.operation import operation
from app.services.publishing import publish
from app.storage import changes, db, environments, generations, protections, snapshots


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A pinned state and a page of its documents, by kind and key."""

    generation: Generation
    page: Page[Document]


@operation(Action.CHECKPOINT)
async def checkpoint(actor: Actor, env_uuid: UUID, label: str | None, project_id: int | None = None) -> Generation:
    """Freeze what an environment shows into a whole-document generation that becomes its head.

    A checkpoint of production stands beside it. Raises EnvironmentNotFound, EnvironmentArchived,
    WriteWhileRollingOut, DepthLimitExceeded, SandboxLimitExceeded, SandboxNotAvailable, ValidationFailed.
    """
    environment = await access.environment_by_uuid(actor, env_uuid, Operation.CHECKPOINT, project_id)
    if label is not None:
        check_label(label, "label")
    if environment.is_production:
        return await snapshot_beside(actor, environment, GenerationKind.CHECKPOINT, label)
    return await _checkpoint(actor, environment, label)


@db.atomic(statement_timeout="5min")
async def _checkpoint(actor: Actor, seen: Environment, label: str | None) -> Generation:
    usage = await plan_limits.hold(seen.project_id, Limit.CHECKPOINT_COUNT)
    target = await writing.lock_exclusively(seen)
    environment, head = target.environment, target.head
    if environment.status is EnvStatus.ROLLING_OUT:
        raise WriteWhileRollingOut
    plans.check_checkpoint(usage, head.number)
    if head.number + 1 > MAX_DEPTH:
        raise DepthLimitExceeded(f"Environments can be {MAX_DEPTH} generations deep.", max=MAX_DEPTH)
    snapshot = writing.snapshot_of(head, environment, actor, GenerationKind.CHECKPOINT, label)
    await generations.add(snapshot)
    await generations.seal(head.project_id, head.uuid)
    await environments.save(replace(environment, head_uuid=snapshot.uuid))
    return await _fill(head, snapshot)


@db.atomic(statement_timeout="5min")
async def snapshot_beside(actor: Actor, seen: Environment, kind: GenerationKind, label: str | None) -> Generation:
    """Snapshot production; its head stays where it is. One statement reads it all, so no anchor is locked.

    Raises SandboxLimitExceeded or SandboxNotAvailable for a checkpoint beyond the plan.
    """
    head = await writing.head_of(seen)
    if kind is GenerationKind.CHECKPOINT:
        plans.check_checkpoint(await plan_limits.hold(seen.project_id, Limit.CHECKPOINT_COUNT), head.number)
    snapshot = writing.snapshot_of(head, seen, actor, kind, label)
    await generations.add(snapshot)
    return await _fill(head, snapshot)


async def _fill(source: Generation, snapshot: Generation) -> Generation:
    list_version = await protections.hold(source.project_id)
    count = await snapshots.copy_shown(source, snapshot)
    await protections.freeze(source.project_id, source.uuid, snapshot.uuid)
    version = await publish(
        source.project_id,
        EventType.GENERATION_CREATED,
        env_uuid=snapshot.env_uuid,
        subject=snapshot.uuid,
        data={**generation_facts(replace(snapshot, entity_count=count)), "parent_uuid": str(source.uuid)},
    )
    await protections.confirm(source.project_id, list_version)
    made = await generations.complete_snapshot(source.project_id, snapshot.uuid, count, version)
    await recording.record(
        made.project_id, Object.of(made), env_uuid=made.env_uuid, change=(MISSING, generation_facts(made))
    )
    return made


async def list_checkpoints(
    actor: Actor, project_id: int, *, env_uuid: UUID | None = None, limit: int = 50, cursor: str | None = None
) -> Page[Generation]:
    """Return the project's checkpoints, or those of one environment, newest first. Raises EnvironmentNotFound."""
    await access.authorize(actor, project_id, Operation.READ)
    if env_uuid is not None:
        await access.environment_by_uuid(actor, env_uuid, Operation.READ, project_id)
    return await snapshot_page(project_id, GenerationKind.CHECKPOINT, env_uuid, limit, cursor)


async def snapshot_page(
    project_id: int, kind: GenerationKind, env_uuid: UUID | None, limit: int, cursor: str | None
) -> Page[Generation]:
    """Return a page of snapshots of one kind, newest first."""
    check_limit(limit)
    before = decode_cursor(cursor, int, str) if cursor else None
    found = await generations.list_page(project_id, kind, env_uuid, limit + 1, before)
    last = found[limit - 1] if len(found) > limit else None
    return Page(found[:limit], encode_cursor(last.version, str(last.uuid)) if last else None)


@operation(Action.DELETE_CHECKPOINT)
async def delete_checkpoint(actor: Actor, checkpoint_uuid: UUID, project_id: int | None = None) -> Generation:
    """Delete a checkpoint that nothing stands on. Raises CheckpointNotFound, Conflict."""
    found = await _checkpoint_by_uuid(actor, checkpoint_uuid, project_id)
    await access.authorize(actor, found.project_id, Operation.CHECKPOINT, found.env_uuid)
    return await _delete(found)


@db.atomic(statement_timeout="1min")
async def _delete(checkpoint: Generation) -> Generation:
    await environments.lock(checkpoint.project_id, checkpoint.env_uuid, "NO KEY UPDATE")
    if await snapshots.has_descendants(checkpoint.project_id, checkpoint.uuid):
        raise Conflict("Something stands on this checkpoint: a head, an environment or a later generation.")
    await generations.delete(checkpoint.project_id, checkpoint.uuid)
    await publish(
        checkpoint.project_id,
        EventType.GENERATION_DELETED,
        env_uuid=checkpoint.env_uuid,
        subject=checkpoint.uuid,
        data=generation_facts(checkpoint),
    )
    change: tuple[State, State] = (generation_facts(checkpoint), MISSING)
    await recording.record(checkpoint.project_id, Object.of(checkpoint), env_uuid=checkpoint.env_uuid, change=change)
    return checkpoint


@operation(Action.ROLLBACK_TO_CHECKPOINT)
async def rollback(
    actor: Actor, checkpoint_uuid: UUID, env_name: str | None = None, project_id: int | None = None
) -> Fork:
    """Branch a new environment from a checkpoint, of an archived environment too.

    Once per checkpoint that is allowed at the plan's limit of environments. Raises CheckpointNotFound,
    EnvironmentNameTaken, DepthLimitExceeded, SandboxLimitExceeded, SandboxNotAvailable, ValidationFailed.
    """
    found = await _checkpoint_by_uuid(actor, checkpoint_uuid, project_id)
    await access.authorize(actor, found.project_id, Operation.FORK, found.env_uuid)
    name = _default_name(found) if env_name is None else environment_name(env_name)
    return await _rollback(actor, found, ForkOptions(env_name=name, env_type=EnvType.SANDBOX))


def _default_name(checkpoint: Generation) -> str:
    # The suffix lets one checkpoint be rolled back to often. A label may have characters that a name must not.
    suffix = token_hex(4)
    if checkpoint.label is not None:
        with suppress(ValidationFailed):
            return environment_name(f"rollback-{checkpoint.label[:100].strip()}-{suffix}")
    return f"rollback-{checkpoint.number}-{suffix}"


@db.atomic()
async def _rollback(actor: Actor, checkpoint: Generation, options: ForkOptions) -> Fork:
    usage, beyond_limit = await plan_limits.hold_rollback(checkpoint)
    known = await environments.get_many(checkpoint.project_id, [checkpoint.env_uuid])
    source = await lock_source(known[checkpoint.env_uuid])
    if await generations.get([checkpoint.project_id], checkpoint.uuid) is None:
        raise CheckpointNotFound
    options = replace(options, replaces_version=await changes.current_version(checkpoint.project_id))
    fork = await branch(actor, source, checkpoint, options, usage, beyond_limit=beyond_limit)
    await access.let_change(actor, fork.environment)
    return fork


async def _checkpoint_by_uuid(actor: Actor, uuid: UUID, project_id: int | None) -> Generation:
    found = await access.seek(actor, project_id, lambda ids: generations.get(ids, uuid))
    if found is None or not found.is_checkpoint:
        raise CheckpointNotFound
    return found


@operation(Action.PIN_ENVIRONMENT)
async def pin(actor: Actor, env_uuid: UUID, project_id: int | None = None) -> Generation:
    """Take an immutable snapshot beside the environment's line and let the anchor point to it (§11.8).

    Raises EnvironmentNotFound, EnvironmentArchived.
    """
    return await _pin(actor, await access.environment_by_uuid(actor, env_uuid, Operation.CHECKPOINT, project_id))


@db.atomic(statement_timeout="5min")
async def _pin(actor: Actor, seen: Environment) -> Generation:
    target = await writing.lock_exclusively(seen)
    snapshot = writing.snapshot_of(target.head, target.environment, actor, GenerationKind.PIN, None)
    await generations.add(snapshot)
    await environments.save(replace(target.environment, pinned_uuid=snapshot.uuid))
    return await _fill(target.head, snapshot)


async def snapshot(
    actor: Actor,
    pinned_uuid: UUID,
    *,
    project_id: int | None = None,
    kind: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Snapshot:
    """Return a pinned state and a page of its documents. Raises SnapshotNotFound."""
    check_limit(limit)
    generation = await access.seek(actor, project_id, lambda ids: generations.get(ids, pinned_uuid))
    if generation is None or generation.kind is not GenerationKind.PIN:
        raise SnapshotNotFound
    await access.authorize(actor, generation.project_id, Operation.READ)
    if kind is not None:
        check_kind(kind)
    known = await environments.get_many(generation.project_id, [generation.env_uuid])
    position = decode_cursor(cursor, str, str) if cursor else None
    after = (str(position[0]), str(position[1])) if position else None
    seen = resolution.View(known[generation.env_uuid], generation)
    found = await resolution.list_page(seen, kind, limit + 1, after)
    last = found[limit - 1].entity if len(found) > limit else None
    return Snapshot(generation, Page(found[:limit], encode_cursor(last.kind, last.key) if last else None))
