"""Releases: what went to production, compared and undone (semantics §3, §11.14)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from app.domain import lifecycle
from app.domain.audit import Action, Object
from app.domain.carrying import base_of
from app.domain.diff import Difference, difference, masked
from app.domain.events import EventType
from app.domain.layers import canonical_layer
from app.domain.model import Actor, Entity, Environment, EnvStatus, Generation, Origin
from app.domain.names import check_message
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.policy import Operation
from app.domain.promotion import DocumentConflict, DocumentResolution
from app.domain.promotion_errors import ConflictsOpen, ReleaseNotFound
from app.domain.protected import SEALED, shown
from app.domain.three_way import Merged, merge_states
from app.domain.values import MISSING, State, same
from app.services import access, recording, resolution, writing
from app.services.carried import check_met, check_resolutions, resolutions_by_document
from app.services.operation import operation
from app.services.publishing import publish
from app.services.resolution import View
from app.services.writing import DocumentWrite, Target
from app.storage import changes, db, entities, environments, layers, lines, releases
from app.storage.changes import LayerWrite
from app.storage.layers import Stack
from app.storage.releases import NewRelease, Release, ReleasedEntity


@dataclass(frozen=True, slots=True)
class ReleaseDocument:
    """A document in two states of production; of a protected value that differs, only that it does."""

    entity: Entity
    stored_old: State
    stored_new: State

    @property
    def old(self) -> State:
        """The older state as readers see it."""
        return shown(self.stored_old)

    @property
    def new(self) -> State:
        """The newer state as readers see it."""
        return shown(self.stored_new)

    @property
    def difference(self) -> Difference:
        return masked(difference(self.stored_old, self.stored_new), SEALED)


async def list_releases(actor: Actor, project_id: int, *, limit: int = 50, cursor: str | None = None) -> Page[Release]:
    """Return the project's releases, newest first. Raises ProjectNotFound, Forbidden."""
    await access.authorize(actor, project_id, Operation.READ)
    check_limit(limit)
    before = int(decode_cursor(cursor, int)[0]) if cursor else None
    found = await releases.list_page(project_id, limit + 1, before)
    return Page(found[:limit], encode_cursor(found[limit - 1].number) if len(found) > limit else None)


async def get(actor: Actor, release_uuid: UUID, project_id: int | None = None) -> Release:
    """Return a release. Raises ReleaseNotFound."""
    return await _find(actor, release_uuid, Operation.READ, project_id)


async def _find(actor: Actor, uuid: UUID, op: Operation, project_id: int | None) -> Release:
    found = await access.seek(actor, project_id, lambda ids: releases.get(ids, uuid))
    if found is None:
        raise ReleaseNotFound
    await access.authorize(actor, found.project_id, op, found.env_uuid)
    return found


async def documents(
    actor: Actor, release_uuid: UUID, *, project_id: int | None = None, limit: int = 50, cursor: str | None = None
) -> Page[ReleaseDocument]:
    """Return the documents that a release touched, before and after, by kind and key. Raises ReleaseNotFound."""
    release = await _find(actor, release_uuid, Operation.READ, project_id)
    check_limit(limit)
    after = decode_cursor(cursor, str, str) if cursor else None
    name = (str(after[0]), str(after[1])) if after else None
    found = await releases.entities_of(release.project_id, release.uuid, limit + 1, name)
    return _page([ReleaseDocument(item.entity, item.before, item.after) for item in found], limit)


def _page(found: Sequence[ReleaseDocument], limit: int) -> Page[ReleaseDocument]:
    last = found[limit - 1].entity if len(found) > limit else None
    return Page(list(found[:limit]), encode_cursor(last.kind, last.key) if last else None)


async def compare(
    actor: Actor,
    a: UUID,
    b: UUID,
    *,
    project_id: int | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[ReleaseDocument]:
    """Return the documents in which production after release ``b`` differs from production after ``a``.

    Raises ReleaseNotFound.
    """
    check_limit(limit)
    old, new = await _find(actor, a, Operation.READ, project_id), await _find(actor, b, Operation.READ, project_id)
    if old.project_id != new.project_id:
        raise ReleaseNotFound
    production = await environments.production(old.project_id)
    root = await writing.head_of(production)
    low, high = sorted((old.version, new.version))
    touched = await releases.touched_between(old.project_id, root.uuid, low, high)
    after = decode_cursor(cursor, str, str) if cursor else None
    left = [entity for entity in touched if after is None or (entity.kind, entity.key) > after]
    views = [View(production, root, release.version) for release in (old, new)]
    found: list[ReleaseDocument] = []
    for start in range(0, len(left), writing.CHUNK):
        found += await _differing(root, views, left[start : start + writing.CHUNK])
        if len(found) > limit:
            break
    return _page(found, limit)


async def _differing(root: Generation, views: Sequence[View], chunk: Sequence[Entity]) -> list[ReleaseDocument]:
    now = await layers.stacks_of(root.project_id, root.uuid, [entity.uuid for entity in chunk])
    stacks = [now[entity.uuid] for entity in chunk]
    old, new = [await resolution.wound_back(view, stacks) for view in views]
    return [
        ReleaseDocument(before.entity, before.state, after.state)
        for before, after in zip(old, new, strict=True)
        if not same(before.state, after.state)
    ]


@dataclass(frozen=True, slots=True)
class _Undone:
    """A document as production has it, and what comes of it."""

    stack: Stack
    merged: Merged


@operation(Action.ROLLBACK_RELEASE)
async def rollback_release(
    actor: Actor,
    release_uuid: UUID,
    resolutions: Sequence[DocumentResolution] = (),
    message: str | None = None,
    project_id: int | None = None,
) -> Release:
    """Undo what one release did and keep what came later; recorded as a new release.

    If its environment is still live, the undone changes return to it as overrides and it becomes ``draft``. Raises
    ReleaseNotFound, ConflictsOpen, UnknownConflict, ValidationFailed.
    """
    release = await _find(actor, release_uuid, Operation.ROLLBACK_RELEASE, project_id)
    check_message(message)
    return await _rollback(actor, release, list(resolutions), message)


@db.atomic(statement_timeout="5min")
async def _rollback(
    actor: Actor, release: Release, resolutions: Sequence[DocumentResolution], message: str | None
) -> Release:
    project_id = release.project_id
    production = await environments.production(project_id)
    await lines.lock_releasing(project_id)
    await lines.lock_all(project_id, [production.uuid, release.env_uuid])
    environment = await environments.get([project_id], release.env_uuid)
    root = await writing.head_of(production)
    await check_resolutions(root, resolutions)
    touched = await releases.entities_of(project_id, release.uuid)
    await entities.lock_many(project_id, [item.entity.uuid for item in touched])
    undone = await _merged(root, touched, resolutions)
    target = Target(production, root, production.status)
    entry = recording.entry(project_id, Object.of(production), env_uuid=release.env_uuid)
    writes = [
        DocumentWrite(item.stack, item.merged.state) for item in undone if not same(item.stack.state, item.merged.state)
    ]
    recorded = await writing.write(actor, target, writes, Origin.PROMOTION, entry)
    done = [ReleasedEntity(write.stack.entity, write.stack.state, write.after) for write in writes]
    new = NewRelease(project_id, uuid4(), release.env_uuid, None, release.uuid, message, actor.name)
    made = await releases.add(new, done)
    if environment is not None and environment.status is EnvStatus.LIVE and undone:
        await _give_back(actor, environment, root, {item.stack.entity.uuid: item.stack.state for item in undone})
    await publish(
        project_id,
        EventType.GENERATION_ROLLED_BACK,
        env_uuid=release.env_uuid,
        subject=release.uuid,
        data={"release_id": str(made.uuid), "release_number": made.number, "undoes": release.number},
        covers=recorded[0].change.version if recorded else None,
    )
    if not recorded:
        facts: State = {"release_id": str(made.uuid), "undoes": release.number}
        await recording.record(project_id, Object.of(production), env_uuid=release.env_uuid, change=(MISSING, facts))
    return made


async def _merged(
    root: Generation, touched: Sequence[ReleasedEntity], resolutions: Sequence[DocumentResolution]
) -> list[_Undone]:
    given = resolutions_by_document(resolutions)
    undone: list[_Undone] = []
    for start in range(0, len(touched), writing.CHUNK):
        chunk = touched[start : start + writing.CHUNK]
        now = await layers.stacks_of(root.project_id, root.uuid, [item.entity.uuid for item in chunk])
        for item in chunk:
            stack = now[item.entity.uuid]
            resolve = given.get((item.entity.kind, item.entity.key), {})
            undone.append(_Undone(stack, merge_states(item.after, stack.state, item.before, resolve)))
    _check(undone, resolutions)
    return undone


def _check(undone: Sequence[_Undone], resolutions: Sequence[DocumentResolution]) -> None:
    open_ = [DocumentConflict.of(item.stack.entity, each) for item in undone for each in item.merged.conflicts]
    settled = [DocumentConflict.of(item.stack.entity, each) for item in undone for each in item.merged.resolved]
    check_met(resolutions, (*open_, *settled))
    if open_:
        raise ConflictsOpen(
            f"{len(open_)} paths were changed again since that release; each needs a resolution.",
            open_,
        )


async def _give_back(actor: Actor, environment: Environment, root: Generation, shown: dict[UUID, State]) -> None:
    """Let a live environment carry again what was undone: ``shown`` is what production showed of it."""
    generation = head = await writing.head_of(environment)
    if head.sealed:
        # Above a checkpoint nothing would differ from what that froze, and so nothing would be carried.
        generation = writing.child_of(root, environment, actor)
        await writing.stand_on(generation, head)
    place = writing.place_in(generation, actor, Origin.PROMOTION)
    uuids = list(shown)
    for start in range(0, len(uuids), writing.CHUNK):
        chunk = uuids[start : start + writing.CHUNK]
        stacks = await layers.stacks_of(environment.project_id, generation.uuid, chunk)
        writes = []
        for uuid in chunk:
            stack, wanted = stacks[uuid], shown[uuid]
            parent = stack.above_state
            if not same(stack.state, wanted):
                patch = canonical_layer(parent, wanted)
                writes.append(LayerWrite(stack, patch, stack.state, wanted, base_of(patch, parent)))
        await changes.record(place, writes)
    draft = lifecycle.through(environment, EnvStatus.DRAFT)
    await environments.save(replace(draft, head_uuid=generation.uuid, traffic_weight=0))
