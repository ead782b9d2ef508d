"""Shadow writes: production's writes mirrored into the environments that want them, after commit (semantics §9).

A write to production promises ``mirror_production``, which promises ``mirror_into`` for each environment. That one
mirrors what was committed after the environment's cursor and moves it, in one transaction: so each write is applied
once however often it runs, and never before those that were committed before it. Mirrored writes are none to
production, and so are mirrored no further.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.domain.audit import Action, Object
from app.domain.carrying import carried_by, narrowed, uncarried_by, without
from app.domain.jobs import JobKind
from app.domain.mirroring import Lag, followed, lifted, mirrored
from app.domain.model import Actor, Environment, EnvStatus, Generation, GenerationKind, Origin
from app.domain.patch import NOTHING, Patch, compose, diff
from app.domain.values import State, same
from app.services import calls, jobs, recording, resolution, writing
from app.services.carried import carrying
from app.services.foreground import FOREGROUND
from app.services.publishing import publish_documents
from app.services.resolution import View
from app.services.writing import DocumentWrite, Target
from app.storage import db, entities, environments, generations, layers, lines, shadows
from app.storage.layers import Stack
from app.storage.lines import LineLayers
from app.storage.shadows import Batch

GATHERED_SECONDS: Final = 0.25
APART_SECONDS: Final = 2.0
FEW_AT_ONCE: Final = 20
MANY_AT_ONCE: Final = 200
LONGEST_SECONDS: Final = 30.0
"""After which a job leaves the rest to the next one, so that it never runs into its time limit."""

_MAX_REMEMBERED: Final = 10_000
# When this process mirrored each project last, by its monotonic clock.
_begun: OrderedDict[int, float] = OrderedDict()

_MIRROR: Final = Actor(account_uuid=UUID(int=0), name="shadow")


async def mirror_soon(project_id: int) -> None:
    """Do ``mirror_production`` a moment later, or later still if that was done just now.

    So many writes are mirrored at once, and a stream of them is disturbed less than one in a hundred.
    """
    ready = _begun.get(project_id, 0.0) + APART_SECONDS
    await asyncio.sleep(max(GATHERED_SECONDS, ready - time.monotonic()))
    _begun[project_id] = time.monotonic()
    if len(_begun) > _MAX_REMEMBERED:
        _begun.popitem(last=False)
    await mirror_production(project_id)


async def mirror_production(project_id: int) -> None:
    """Promise the mirroring of what production wrote, into each environment that wants it."""
    await shadows.take_promise(project_id)
    wanted = await shadows.mirroring(project_id)
    for env_uuid in wanted:
        async with db.transaction():
            await jobs.enqueue_once(JobKind.MIRROR_INTO, project_id=project_id, env_uuid=env_uuid)
    if not wanted:
        async with db.transaction():
            await shadows.end_unused(project_id)


async def find_unmirrored() -> None:
    """Promise the mirroring of what is left: after a rollout has ended, or should a job have been lost."""
    for project_id, env_uuid in await shadows.behind():
        async with db.transaction():
            await jobs.enqueue_once(JobKind.MIRROR_INTO, project_id=project_id, env_uuid=env_uuid)


async def mirror_into(project_id: int, env_uuid: UUID) -> None:
    """Mirror into an environment what production wrote since it was mirrored last."""
    end = time.monotonic() + LONGEST_SECONDS
    with calls.begun(calls.Call(Action.MIRROR_PRODUCTION, None, project_id)):
        for at_once in _growing():
            await FOREGROUND.idle()
            if not await _mirror_next(project_id, env_uuid, at_once):
                return
            if time.monotonic() > end:
                break
    async with db.transaction():
        await jobs.enqueue_once(JobKind.MIRROR_INTO, project_id=project_id, env_uuid=env_uuid)


def _growing() -> Iterator[int]:
    """Yield how many writes to mirror in one transaction: few, of which nobody feels anything, more where many wait."""
    at_once = FEW_AT_ONCE
    while True:
        yield at_once
        at_once = min(at_once + FEW_AT_ONCE, MANY_AT_ONCE)


async def lags(project_id: int, found: Sequence[Environment]) -> dict[UUID, Lag]:
    """Return how far those environments that mirror production are behind it; no statement if there are none."""
    uuids = [item.uuid for item in found if item.shadow_writes and item.status is not EnvStatus.ARCHIVED]
    return await shadows.lags(project_id, uuids) if uuids else {}


@dataclass(frozen=True, slots=True)
class _Mirror:
    """An environment and production, as they are while a batch is mirrored; ``line`` is what stands between them."""

    environment: Environment
    production: Environment
    head: Generation
    root: Generation
    line: Sequence[Generation]

    @property
    def is_overlay(self) -> bool:
        """Whether production shows through where nothing is overridden."""
        return self.head.path[0] == self.root.uuid


@db.atomic(statement_timeout="30s")
async def _mirror_next(project_id: int, env_uuid: UUID, at_once: int) -> bool:
    """Mirror a batch of up to ``at_once`` writes; return whether there is more to be mirrored now."""
    mirror = await _locked(project_id, env_uuid)
    cursor = await shadows.lock_cursor(project_id, env_uuid) if mirror else None
    if mirror is None or cursor is None:
        return False
    batch = await shadows.batch_after(project_id, mirror.production.uuid, cursor, at_once)
    if batch.until == cursor:
        return False
    # First, since the project's counter, for which production's writers wait, is locked once something was written.
    await shadows.move_cursor(project_id, env_uuid, batch.until)
    await _write(mirror, batch)
    return not batch.is_last


async def _locked(project_id: int, env_uuid: UUID) -> _Mirror | None:
    seen = await environments.get([project_id], env_uuid)
    if seen is None or not _takes_writes(seen):
        return None
    head = await writing.head_of(seen)
    # Above a sealed head the writes open a generation, and move the anchor to it.
    locked = await environments.lock(project_id, env_uuid, "NO KEY UPDATE" if head.sealed else "SHARE")
    if locked is None or locked.head_uuid != seen.head_uuid:
        raise db.Retry
    if not _takes_writes(locked):
        return None
    production = await environments.production(project_id)
    root = await writing.head_of(production)
    known = await generations.get_many(project_id, head.ancestors)
    line = [known[uuid] for uuid in head.ancestors if uuid != root.uuid and known[uuid].kind is GenerationKind.LINE]
    if head.replaces_version is not None:
        # What was rolled back to counts whole; only what was written above it can be carried or not.
        line = [generation for generation in line if generation.replaces_version is not None]
    return _Mirror(locked, production, head, root, line)


def _takes_writes(environment: Environment) -> bool:
    waiting = environment.status in (EnvStatus.ARCHIVED, EnvStatus.ROLLING_OUT)
    return environment.shadow_writes and not environment.is_production and not waiting


async def _write(mirror: _Mirror, batch: Batch) -> None:
    environment = mirror.environment
    project_id, uuids = environment.project_id, list(batch.writes)
    if mirror.is_overlay:
        # Only what the line says something of can hide a write; nobody is to wait for the locks of the rest.
        uuids = [item.entity.uuid for item in await lines.layers_of(mirror.root.uuid, mirror.line, uuids)]
    if not uuids:
        return
    await entities.lock_many(project_id, uuids)
    stacks = await layers.stacks_of(project_id, mirror.head.uuid, uuids)
    found = {item.entity.uuid: item for item in await lines.layers_of(mirror.root.uuid, mirror.line, uuids)}
    kept = {} if environment.shadow_overwrite else await _kept(mirror, stacks, found)
    changes = await _lifted(mirror, stacks, batch)
    writes: list[DocumentWrite] = []
    for uuid in uuids:
        stack, patches = stacks[uuid], changes[uuid]
        after = _after(mirror, stack, patches, kept.get(uuid, NOTHING), found.get(uuid))
        if not same(stack.state, after):
            writing.check_document(stack.entity.kind, stack.places.mask(after))
            writes.append(DocumentWrite(stack, after, carried=False))
    target = Target(environment, mirror.head, environment.status)
    entry = recording.entry(project_id, Object.of(environment), env_uuid=environment.uuid)
    recorded = await writing.write(_MIRROR, target, writes, Origin.SHADOW, entry)
    await publish_documents([item.change for item in recorded])


async def _lifted(mirror: _Mirror, stacks: Mapping[UUID, Stack], batch: Batch) -> Mapping[UUID, Sequence[Patch]]:
    """Return the batch's writes to the documents, none of which reaches into what is protected."""
    protected = [uuid for uuid, stack in stacks.items() if stack.places.patterns]
    if not protected:
        return batch.writes
    now = await layers.stacks_of(mirror.root.project_id, mirror.root.uuid, protected)
    changed = {
        uuid: [lifted(patch, stacks[uuid].places, now[uuid].state) for patch in batch.writes[uuid]]
        for uuid in protected
    }
    return {**batch.writes, **changed}


def _after(mirror: _Mirror, stack: Stack, patches: Sequence[Patch], kept: Patch, found: LineLayers | None) -> State:
    if not stack.in_sight:
        return stack.state
    if not mirror.is_overlay:
        return mirrored(stack.state, patches, kept)
    overrides: Patch = NOTHING
    for layer in found.layers if found else ():
        overrides = compose(overrides, layer.patch)
    production = layers.state_of(found.root if found else None)
    return followed(stack.state, patches, kept, overrides, production)


async def _kept(mirror: _Mirror, stacks: Mapping[UUID, Stack], found: Mapping[UUID, LineLayers]) -> dict[UUID, Patch]:
    """Return, by entity, what the environment overrides itself: that by which it differs from what it saw there."""
    told = {uuid: carrying(item, layers.state_of(item.root)) for uuid, item in found.items()}
    version = mirror.head.replaces_version
    if version is None:
        found_carried = {uuid: carried_by(line) for uuid, line in told.items()}
        return {uuid: narrowed(carried.changes, carried.base) for uuid, carried in found_carried.items()}
    # What was rolled back carries all in which it differs from the production that it is to replace (§11.11).
    now = await layers.stacks_of(mirror.root.project_id, mirror.root.uuid, list(stacks))
    then = await resolution.wound_back(View(mirror.production, mirror.root, version), [now[uuid] for uuid in stacks])
    return {
        document.entity.uuid: without(
            diff(document.state, stacks[document.entity.uuid].state), uncarried_by(told.get(document.entity.uuid, ()))
        )
        for document in then
    }
