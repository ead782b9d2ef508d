"""Documents: reading and writing them in an environment or in production (semantics §2)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from app.domain import document_patch, names
from app.domain.audit import Action, Object
from app.domain.errors import (
    DocumentNotFound,
    DocumentRequired,
    PathNotFound,
    UnknownKind,
    VersionConflict,
)
from app.domain.layers import canonical_layer, resolve, version_tag
from app.domain.model import PROJECT_KIND, Actor, At, Change, Document, Origin
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.patch import NOTHING, to_json
from app.domain.pointer import Path, format_pointer
from app.domain.policy import Operation
from app.domain.protected import Places
from app.domain.segments import check_unprotected, matches, parse_rules
from app.domain.values import MISSING, State, Value, lookup, same
from app.domain.values import put as put_value
from app.services import access, protecting, recording, resolution, writing
from app.services.operation import operation
from app.storage import db, entities, layers, protections
from app.storage.changes import Recorded
from app.storage.layers import Stack

_FILTERED_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class Expected:
    """What the caller believes of the document: its version, or whether it exists. Empty: anything."""

    version: str | None = None
    exists: bool | None = None


ANY: Final = Expected()


@dataclass(frozen=True, slots=True)
class Written:
    """The document after a write; ``change`` is None if it was so already."""

    document: Document
    change: Change | None
    created: bool


async def read(
    actor: Actor, project_id: int, env: str | None, kind: str, key: str, *, at: At | None = None
) -> Document:
    """Return a document. Raises DocumentNotFound, EnvironmentNotFound, EnvironmentArchived, VersionNotFound."""
    seen = await resolution.view(actor, project_id, env, at)
    _check_name(kind, key)
    document = await resolution.document(seen, kind, key)
    if document is None or document.state is MISSING:
        raise DocumentNotFound(kind, key)
    return document


async def list_documents(
    actor: Actor,
    project_id: int,
    env: str | None,
    kind: str,
    *,
    limit: int = 50,
    cursor: str | None = None,
    at: At | None = None,
    rules: Sequence[Value] | None = None,
) -> Page[Document]:
    """Return the documents of a kind by key; ``rules`` are a segment's, ANDed. Raises UnknownKind."""
    seen = await resolution.view(actor, project_id, env, at)
    names.check_kind(kind)
    check_limit(limit)
    wanted = parse_rules(list(rules or ()), ("filter",))
    if wanted:
        check_unprotected(wanted, (await protections.of(project_id, seen.generation.uuid)).of(kind))
    after = (kind, str(decode_cursor(cursor, str)[0])) if cursor else None
    found: list[Document] = []
    while len(found) <= limit:
        size = _FILTERED_PAGE if wanted else limit + 1
        page = await resolution.list_page(seen, kind, size, after)
        found += [document for document in page if matches(wanted, document.state)]
        if len(page) < size:
            break
        after = (kind, page[-1].entity.key)
    if not found and not cursor and not await _is_known(project_id, kind):
        raise UnknownKind(kind)
    return Page(found[:limit], encode_cursor(found[limit - 1].entity.key) if len(found) > limit else None)


async def _is_known(project_id: int, kind: str) -> bool:
    return kind in (PROJECT_KIND, "user") or await entities.kind_exists(project_id, kind)


@operation(Action.WRITE_DOCUMENT)
async def put(
    actor: Actor,
    project_id: int,
    env: str | None,
    kind: str,
    key: str,
    value: Value,
    *,
    path: Path = (),
    expected: Expected = ANY,
) -> Written:
    """Replace a document, or what stands at ``path`` of it. Raises ValueNotStorable, PathNotFound."""

    def replaced(state: State, _: Places) -> State:
        if path and state is MISSING:
            raise DocumentNotFound(kind, key)
        return _put_at(state, path, value)

    return await _write(actor, project_id, env, kind, key, replaced, expected)


@operation(Action.WRITE_DOCUMENT)
async def merge(
    actor: Actor,
    project_id: int,
    env: str | None,
    kind: str,
    key: str,
    patch: Value,
    *,
    path: Path = (),
    expected: Expected = ANY,
) -> Written:
    """Apply a JSON Merge Patch (RFC 7396) to a document, or to what stands at ``path``. Raises DocumentNotFound."""

    def merged(state: State, _: Places) -> State:
        if state is MISSING:
            raise DocumentNotFound(kind, key)
        return _put_at(state, path, document_patch.merge_patch(lookup(state, path), patch))

    return await _write(actor, project_id, env, kind, key, merged, expected)


@operation(Action.WRITE_DOCUMENT)
async def patch(
    actor: Actor,
    project_id: int,
    env: str | None,
    kind: str,
    key: str,
    operations: Value,
    *,
    path: Path = (),
    expected: Expected = ANY,
) -> Written:
    """Apply a JSON Patch (RFC 6902) to a document, or to what stands at ``path``.

    Raises DocumentNotFound, PathNotFound, PatchFailed, PatchTestFailed, ValidationFailed.
    """

    def patched(state: State, places: Places) -> State:
        if state is MISSING:
            raise DocumentNotFound(kind, key)
        target = lookup(state, path)
        if target is MISSING:
            raise PathNotFound(format_pointer(path))

        def guard(source: Path, value: Value) -> None:
            places.check_outside((*path, *source), value, "What is protected is neither copied nor moved.")

        return _put_at(state, path, document_patch.json_patch(target, operations, guard))

    return await _write(actor, project_id, env, kind, key, patched, expected)


@operation(Action.DELETE_DOCUMENT)
async def delete(
    actor: Actor, project_id: int, env: str | None, kind: str, key: str, *, expected: Expected = ANY
) -> Written:
    """Hide a document in an environment; delete it in production. Raises DocumentNotFound, DocumentRequired."""

    def deleted(state: State, _: Places) -> State:
        if kind == PROJECT_KIND:
            raise DocumentRequired
        if state is MISSING:
            raise DocumentNotFound(kind, key)
        return MISSING

    return await _write(actor, project_id, env, kind, key, deleted, expected)


async def _write(
    actor: Actor,
    project_id: int,
    env: str | None,
    kind: str,
    key: str,
    change: Callable[[State, Places], State],
    expected: Expected,
) -> Written:
    await access.authorize(actor, project_id, Operation.WRITE)
    _check_name(kind, key)
    return await _write_once(actor, project_id, env, kind, key, change, expected)


@db.atomic()
async def _write_once(
    actor: Actor,
    project_id: int,
    env: str | None,
    kind: str,
    key: str,
    change: Callable[[State, Places], State],
    expected: Expected,
) -> Written:
    seen = await access.environment_in_context(actor, project_id, env, Operation.WRITE)
    target = await writing.lock_for_write(seen)
    entity = await entities.lock(project_id, kind, key)
    stack = (await layers.stacks_of(project_id, target.head.uuid, [entity.uuid]))[entity.uuid]
    before = stack.seen
    _check_expected(expected, before, stack.version)
    wanted = writing.check_document(kind, change(before, stack.places))
    write = await protecting.absorbed(actor, target.environment, stack, wanted)
    if same(write.stack.state, write.after):
        return Written(stack.document(), None, created=False)
    entry = recording.entry(project_id, Object.of(entity), env_uuid=target.environment.uuid)
    recorded = await writing.write(actor, target, [write], Origin.WRITE, entry)
    document = _written_document(write.stack, write.after, recorded[0])
    return Written(document, recorded[0].change, created=before is MISSING)


def _written_document(stack: Stack, after: State, recorded: Recorded) -> Document:
    generation_uuid = recorded.change.generation_uuid
    above = stack.layers if stack.generation_uuid != generation_uuid else stack.above
    versions = [*(layer.version for layer in above), recorded.change.entity_version]
    patch, places = canonical_layer(resolve(layer.patch for layer in above), after), stack.places
    return Document(
        entity=stack.entity,
        generation_uuid=generation_uuid,
        state=places.mask(after),
        version=version_tag(generation_uuid, versions, stack.protection.tag),
        layer_uuid=recorded.layer_uuid,
        overrides=places.mask_flat(to_json(patch if above else NOTHING)),
        protected=places.pointers(after),
    )


def _check_name(kind: str, key: str) -> None:
    names.check_kind(kind)
    names.check_key(kind, key)


def _check_expected(expected: Expected, state: State, version: str) -> None:
    exists = state is not MISSING
    if expected.version is not None and (not exists or expected.version != version):
        raise VersionConflict(expected.version, version if exists else None)
    if expected.exists is not None and expected.exists != exists:
        raise VersionConflict("*" if expected.exists else "none", version if exists else None)


def _put_at(state: State, path: Path, value: Value) -> State:
    try:
        return put_value(state, path, value)
    except LookupError:
        raise PathNotFound(format_pointer(path)) from None
