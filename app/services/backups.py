"""Backups of production and restoring from them (every plan, Free included)."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain.audit import Action, Object
from app.domain.errors import BackupNotFound, DocumentNotFound
from app.domain.model import PRODUCTION_NAME, PROJECT_KIND, Actor, Entity, Generation, GenerationKind, Origin
from app.domain.names import check_key, check_kind, check_label
from app.domain.paging import Page
from app.domain.policy import Operation
from app.domain.values import MISSING, State, same
from app.services import access, recording, writing
from app.services.checkpoints import snapshot_beside, snapshot_page
from app.services.operation import operation
from app.services.publishing import publish_documents
from app.services.writing import DocumentWrite, Target
from app.storage import db, entities, environments, generations, layers, snapshots


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did to production's documents."""

    generation: Generation
    created: int
    changed: int
    deleted: int


@operation(Action.BACKUP_PRODUCTION)
async def backup(actor: Actor, project_id: int, label: str | None = None) -> Generation:
    """Take a whole-document snapshot of production. Raises ProjectNotFound, Forbidden, ValidationFailed."""
    production = await access.environment_in_context(actor, project_id, PRODUCTION_NAME, Operation.BACKUP)
    if label is not None:
        check_label(label, "label")
    return await snapshot_beside(actor, production, GenerationKind.BACKUP, label)


async def list_backups(
    actor: Actor, project_id: int, *, limit: int = 50, cursor: str | None = None
) -> Page[Generation]:
    """Return the project's backups, newest first."""
    await access.authorize(actor, project_id, Operation.READ)
    return await snapshot_page(project_id, GenerationKind.BACKUP, None, limit, cursor)


@operation(Action.RESTORE_PRODUCTION)
async def restore(
    actor: Actor, project_id: int, backup_uuid: UUID, wanted: Sequence[tuple[str, str]] | None = None
) -> Restored:
    """Make production what it was at a backup, or just the ``(kind, key)`` in ``wanted``.

    Each document that differs is one change of origin ``restore``, so a restore can be undone. Without
    ``wanted``, documents that the backup does not have are deleted. Raises BackupNotFound, DocumentNotFound.
    """
    await access.authorize(actor, project_id, Operation.RESTORE)
    for kind, key in wanted or ():
        check_key(check_kind(kind), key)
    generation = await generations.get([project_id], backup_uuid)
    if generation is None or generation.kind is not GenerationKind.BACKUP:
        raise BackupNotFound
    return await _restore(actor, generation, wanted)


@db.atomic(statement_timeout="5min")
async def _restore(actor: Actor, backup: Generation, wanted: Sequence[tuple[str, str]] | None) -> Restored:
    target = await writing.lock_for_write(await environments.production(backup.project_id), exclusive=True)
    candidates = await snapshots.may_differ(backup, target.head)
    if wanted is not None:
        candidates = await _chosen(backup, candidates, wanted)
    await entities.lock_many(backup.project_id, [entity.uuid for entity in candidates])
    created = changed = deleted = 0
    writes: list[DocumentWrite] = []
    for start in range(0, len(candidates), writing.CHUNK):
        chunk = candidates[start : start + writing.CHUNK]
        for write in await _differing(backup, target, chunk):
            created += write.stack.state is MISSING
            deleted += write.after is MISSING
            writes.append(write)
    changed = len(writes) - created - deleted
    entry = recording.entry(backup.project_id, Object.of(backup), env_uuid=backup.env_uuid)
    recorded = await writing.write(actor, target, writes, Origin.RESTORE, entry)
    await publish_documents([item.change for item in recorded])
    return Restored(backup, created, changed, deleted)


async def _chosen(backup: Generation, candidates: Sequence[Entity], wanted: Sequence[tuple[str, str]]) -> list[Entity]:
    keys = [layers.DocumentKey(backup.uuid, kind, key) for kind, key in wanted]
    for key, stack in zip(keys, await layers.stacks(backup.project_id, keys), strict=True):
        if stack is None or stack.state is MISSING:
            raise DocumentNotFound(key.kind, key.key)
    names = set(wanted)
    return [entity for entity in candidates if (entity.kind, entity.key) in names]


async def _differing(backup: Generation, target: Target, chunk: Sequence[Entity]) -> list[DocumentWrite]:
    uuids = [entity.uuid for entity in chunk]
    now = await layers.stacks_of(backup.project_id, target.head.uuid, uuids)
    then = await layers.stacks_of(backup.project_id, backup.uuid, uuids)
    writes = []
    for entity in chunk:
        after: State = then[entity.uuid].under(now[entity.uuid].protection).state
        if after is MISSING and entity.kind == PROJECT_KIND:
            continue
        if not same(now[entity.uuid].state, after):
            writes.append(DocumentWrite(now[entity.uuid], after))
    return writes
