"""How every write reaches a generation: lock the anchor, find where to write, record.

Called inside the transaction of the service that writes. Locks are taken in one order: the project's places
(``plan_limits``), anchors, entities, counter (semantics §11.31).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

from app.domain import lifecycle
from app.domain.audit import Entry
from app.domain.carrying import next_base
from app.domain.errors import EnvironmentArchived, ValidationFailed, ValueNotStorable
from app.domain.events import EventType
from app.domain.json_text import check_storable
from app.domain.layers import canonical_layer
from app.domain.model import PROJECT_KIND, Actor, Environment, EnvStatus, Generation, GenerationKind, Origin
from app.domain.patch import diff
from app.domain.values import MISSING, State
from app.services import protecting
from app.services.protecting import DocumentWrite as DocumentWrite
from app.services.publishing import publish
from app.storage import changes, db, environments, generations, protections
from app.storage.changes import LayerWrite, Place, Recorded
from app.storage.codec import encode_document

CHUNK: Final = 500
MAX_DOCUMENT_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """A locked environment with its head; ``status`` is what it will have after a write."""

    environment: Environment
    head: Generation
    status: EnvStatus


def check_document(kind: str, state: State) -> State:
    """Return ``state`` if a document of ``kind`` may be that. Raises ValidationFailed, ValueNotStorable."""
    if state is MISSING:
        return state
    if kind == PROJECT_KIND and not isinstance(state, dict):
        raise ValidationFailed("The project document is an object.", field="data")
    check_storable(state)
    size = len(encode_document(state))
    if size > MAX_DOCUMENT_BYTES:
        raise ValueNotStorable(
            f"The document would have {size:,} bytes; at most {MAX_DOCUMENT_BYTES:,} can be stored.", path=""
        )
    return state


async def lock_for_write(seen: Environment, *, exclusive: bool = False) -> Target:
    """Lock an environment that was just read: shared, so that writers do not wait for one another.

    A write that moves the anchor itself (a sealed head, a status that a write ends) locks it exclusively.
    Raises WriteWhileRollingOut, EnvironmentArchived, Retry if the anchor moved meanwhile.
    """
    head = await head_of(seen)
    status = lifecycle.status_after_write(seen)
    moves = exclusive or head.sealed or status is not seen.status
    locked = await environments.lock(seen.project_id, seen.uuid, "NO KEY UPDATE" if moves else "SHARE")
    if locked is None or (locked.head_uuid, locked.status) != (seen.head_uuid, seen.status):
        raise db.Retry
    return Target(locked, head, status)


async def lock_exclusively(seen: Environment) -> Target:
    """Lock an environment that is to be moved, archived or checkpointed. Raises EnvironmentArchived, Retry."""
    locked = await environments.lock(seen.project_id, seen.uuid, "NO KEY UPDATE")
    if locked is None:
        raise db.Retry
    if locked.status is EnvStatus.ARCHIVED:
        raise EnvironmentArchived(locked.uuid)
    return Target(locked, await head_of(locked), locked.status)


async def head_of(environment: Environment) -> Generation:
    """Return the environment's head."""
    head = await generations.get([environment.project_id], environment.head_uuid)
    if head is None:
        raise db.Retry
    return head


@dataclass(frozen=True, slots=True)
class Opened:
    """A target with the open generation that takes its writes, and where changes are recorded."""

    target: Target
    generation: Generation
    place: Place


async def write(
    actor: Actor, target: Target, writes: Sequence[DocumentWrite], origin: Origin, entry: Entry
) -> list[Recorded]:
    """Make the documents show what they are to show, each by its canonical layer; nothing for no writes.

    ``entry`` is the trail's row for all of them.
    """
    writes = protecting.settled(origin, writes)
    if not writes:
        return []
    opened = await open_generation(actor, target, origin)
    lists = await protecting.before_writes(opened.place, writes)
    layer_writes = [layer_write(opened, item) for item in writes]
    recorded = await record(opened.place, layer_writes, entry)
    await protecting.after_writes(opened.place, lists)
    await settle(opened, recorded[0].change.version)
    return recorded


async def open_generation(actor: Actor, target: Target, origin: Origin) -> Opened:
    """Return the generation that takes the writes: the head, or a new one on top of a sealed head."""
    generation = target.head
    if generation.sealed:
        generation = child_of(generation, target.environment, actor)
        await generations.add(generation)
    return Opened(target, generation, place_in(generation, actor, origin))


def place_in(generation: Generation, actor: Actor, origin: Origin) -> Place:
    """Return where an actor's changes of a generation are recorded."""
    return Place(
        project_id=generation.project_id,
        env_uuid=generation.env_uuid,
        generation_uuid=generation.uuid,
        is_root=generation.parent_uuid is None,
        origin=origin,
        actor=actor.name,
    )


async def record(place: Place, writes: Sequence[LayerWrite], entry: Entry | None = None) -> list[Recorded]:
    """Record any number of layers, some at a time; ``entry`` is the trail's row for all of them."""
    recorded: list[Recorded] = []
    for start in range(0, len(writes), CHUNK):
        last = start + CHUNK >= len(writes)
        first = recorded[0].change.version if recorded else None
        recorded += await changes.record(place, writes[start : start + CHUNK], entry if last else None, first)
    return recorded


async def close_unused(opened: Opened) -> None:
    """Take back a generation that was opened for writes which turned out to change nothing."""
    if opened.generation.uuid != opened.target.head.uuid:
        await generations.delete(opened.generation.project_id, opened.generation.uuid)


def layer_write(opened: Opened, item: DocumentWrite) -> LayerWrite:
    """Return the layer that makes one document show what it is to show."""
    before = item.stack.state
    stack = replace(item.stack, generation_uuid=opened.generation.uuid)
    parent = stack.above_state
    patch = canonical_layer(parent, item.after)
    if opened.place.is_root:
        return LayerWrite(stack, patch, before, item.after)
    change = diff(before, item.after)
    base = next_base(parent, stack.carrying, patch, change, carried=item.carried)
    return LayerWrite(stack, patch, before, item.after, base)


async def settle(opened: Opened, version: int) -> None:
    """Let the anchor follow its writes; ``version`` is the first of them."""
    target, environment = opened.target, opened.target.environment
    if opened.generation.uuid != target.head.uuid:
        await generations.set_version(environment.project_id, opened.generation.uuid, version)
    if opened.generation.uuid != environment.head_uuid or target.status is not environment.status:
        await environments.save(replace(environment, head_uuid=opened.generation.uuid, status=target.status))
    if target.status is not environment.status:
        await publish(
            environment.project_id,
            EventType.ENVIRONMENT_STATUS_CHANGED,
            env_uuid=environment.uuid,
            data={"status": target.status.value, "previous_status": environment.status.value},
        )


def child_of(parent: Generation, environment: Environment, actor: Actor) -> Generation:
    """Return a new open generation of ``environment`` that stands on ``parent``."""
    uuid = uuid4()
    return Generation(
        project_id=parent.project_id,
        uuid=uuid,
        number=parent.number + 1,
        kind=GenerationKind.LINE,
        env_uuid=environment.uuid,
        parent_uuid=parent.uuid,
        ancestors=(*parent.ancestors, uuid),
        path=(*parent.path, uuid),
        filter_uuid=parent.filter_uuid,
        sealed=False,
        label=None,
        entity_count=0,
        version=parent.version,
        created_at=parent.created_at,
        created_by=actor.name,
        replaces_version=parent.replaces_version,
    )


async def stand_on(generation: Generation, left: Generation) -> None:
    """Add a generation that an environment moves to from its head ``left``, what is protected there along with it."""
    await generations.add(generation)
    await protections.freeze(generation.project_id, left.uuid, generation.uuid)
    version = await changes.current_version(generation.project_id)
    await generations.set_version(generation.project_id, generation.uuid, version)


def snapshot_of(
    parent: Generation, environment: Environment, actor: Actor, kind: GenerationKind, label: str | None
) -> Generation:
    """Return a new whole-document generation above ``parent``; only a checkpoint counts as depth (§11.8)."""
    uuid = uuid4()
    return replace(
        child_of(parent, environment, actor),
        uuid=uuid,
        number=parent.number + (kind is GenerationKind.CHECKPOINT),
        kind=kind,
        ancestors=(*parent.ancestors, uuid),
        path=(uuid,),
        sealed=True,
        label=label,
    )
