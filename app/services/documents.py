"""Documents: reading and writing them in an environment or in production (semantics §2)."""

from collections.abc import Sequence
from typing import Final

from app.domain import document_patch, names
from app.domain.audit import Action
from app.domain.errors import DocumentNotFound, DocumentRequired, PathNotFound, UnknownKind
from app.domain.model import PROJECT_KIND, Actor, At, Document
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.pointer import Path, format_pointer
from app.domain.protected import Places
from app.domain.segments import check_unprotected, matches, parse_rules
from app.domain.values import MISSING, State, Value, lookup
from app.domain.values import put as put_value
from app.services import resolution
from app.services.document_writing import ANY as ANY
from app.services.document_writing import Expected as Expected
from app.services.document_writing import Written as Written
from app.services.document_writing import check_name, rewrite
from app.services.operation import operation
from app.storage import entities, protections

_FILTERED_PAGE: Final = 200


async def read(
    actor: Actor, project_id: int, env: str | None, kind: str, key: str, *, at: At | None = None
) -> Document:
    """Return a document. Raises DocumentNotFound, EnvironmentNotFound, EnvironmentArchived, VersionNotFound."""
    seen = await resolution.view(actor, project_id, env, at)
    check_name(kind, key)
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

    return await rewrite(actor, project_id, env, kind, key, replaced, expected)


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

    return await rewrite(actor, project_id, env, kind, key, merged, expected)


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

    return await rewrite(actor, project_id, env, kind, key, patched, expected)


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

    return await rewrite(actor, project_id, env, kind, key, deleted, expected)


def _put_at(state: State, path: Path, value: Value) -> State:
    try:
        return put_value(state, path, value)
    except LookupError:
        raise PathNotFound(format_pointer(path)) from None
