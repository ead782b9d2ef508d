"""Import and export of many documents as NDJSON, streamed (one JSON object a line)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from app.domain import names
from app.domain.audit import Action, Object
from app.domain.errors import BadRequest, BodyTooLarge, Busy, DomainError, ValidationFailed
from app.domain.json_text import parse_json
from app.domain.model import Actor, At, Origin
from app.domain.policy import Operation
from app.domain.values import same
from app.services import access, protecting, recording, resolution, writing
from app.services.operation import done_once, operation
from app.services.protecting import DocumentWrite, Lists
from app.services.publishing import publish_many
from app.services.resolution import View
from app.services.staging import Staging
from app.services.writing import Opened, Target
from app.storage import bulk, db, layers, protections
from app.storage.bulk import StagedDocument, Wanted
from app.storage.codec import encode

MAX_LINE_BYTES: Final = 1024 * 1024 + 4096
STAGED_LINES: Final = 2_000
STAGED_BYTES: Final = 4 * 1024 * 1024
EXPORT_PAGE: Final = 500
TIMEOUT: Final = "15min"
CHUNK_SECONDS: Final = 30

# Each import holds a connection for as long as its client takes to send it.
_importing = asyncio.Semaphore(2)


@dataclass(frozen=True, slots=True)
class Imported:
    """How many lines named a document, and what they did to it."""

    lines: int
    created: int
    changed: int
    unchanged: int


@operation(Action.IMPORT_DOCUMENTS, once=False)
async def import_documents(
    actor: Actor, project_id: int, env: str | None, chunks: AsyncIterator[bytes], digest: str | None = None
) -> Imported:
    """Replace or create the documents that NDJSON lines ``{"kind", "key", "data"}`` name: all, or none.

    ``digest`` tells the lines from others under the request's idempotency key, where they are known beforehand.
    Raises ValidationFailed, ValueNotStorable, MalformedJson with the ``line``; EnvironmentNotFound,
    EnvironmentArchived, WriteWhileRollingOut.
    """
    await access.environment_in_context(actor, project_id, env, Operation.WRITE)
    # A place first, a connection afterwards: those who wait for a place must not keep connections from others.
    async with _importing:
        try:
            return await _import(actor, project_id, env, chunks, digest)
        except db.RETRIABLE as error:
            # The lines have been read and cannot be read again; only the sender can repeat them.
            raise Busy from error


@done_once(stream="chunks")
async def _import(
    actor: Actor, project_id: int, env: str | None, chunks: AsyncIterator[bytes], digest: str | None
) -> Imported:
    # What an idempotency key stands for is the arguments.
    del digest
    async with db.transaction(statement_timeout=TIMEOUT):
        seen = await access.environment_in_context(actor, project_id, env, Operation.WRITE)
        staging = Staging(await protections.at(project_id, seen.head_uuid))
        await bulk.prepare()
        lines = await _stage(staging, chunks)
        if repeated := await bulk.repeated_name():
            raise ValidationFailed(
                f"The {repeated.kind!r} document {repeated.key!r} stands on several lines.", lines=list(repeated.lines)
            )
        opened = await writing.open_generation(actor, await _lock(actor, project_id, env), Origin.WRITE)
        return await _write(actor, opened, staging, lines)


async def _lock(actor: Actor, project_id: int, env: str | None) -> Target:
    for _ in range(bulk.ATTEMPTS):
        seen = await access.environment_in_context(actor, project_id, env, Operation.WRITE)
        try:
            return await writing.lock_for_write(seen)
        except db.Retry:
            continue
    seen = await access.environment_in_context(actor, project_id, env, Operation.WRITE)
    return await writing.lock_for_write(seen, exclusive=True)


async def _write(actor: Actor, opened: Opened, staging: Staging, lines: int) -> Imported:
    created, changed, last = await bulk.name_entities(opened.place), 0, 0
    lists: Lists | None = None
    while known := await bulk.staged_known(last, writing.CHUNK):
        last = known[-1].line
        found = await _wanted_writes(actor, opened, staging, known)
        lists = await protecting.before_writes(opened.place, found) or lists
        writes = [writing.layer_write(opened, item) for item in found]
        created += sum(write.shown_delta for write in writes)
        changed += sum(write.shown_delta == 0 for write in writes)
        await bulk.stage_writes(opened.place, writes)
    first = await bulk.record_staged(opened.place, staging.listed.version)
    if first is None:
        await writing.close_unused(opened)
    else:
        await protecting.after_writes(opened.place, lists)
        await writing.settle(opened, first)
        versions = (first, first + created + changed - 1)
        await publish_many(opened.place.project_id, opened.place.env_uuid, opened.place.origin, versions)
        await _record(opened, versions)
    return Imported(lines, created, changed, lines - created - changed)


async def _wanted_writes(
    actor: Actor, opened: Opened, staging: Staging, known: Sequence[Wanted]
) -> list[DocumentWrite]:
    target, uuids = opened.target, [item.entity_uuid for item in known]
    stacks = await layers.stacks_of(opened.place.project_id, target.head.uuid, uuids)
    writes = []
    for item in known:
        stack, fresh = stacks[item.entity_uuid], staging.fresh(item)
        write = await protecting.absorbed(actor, target.environment, stack, item.data, fresh)
        if not same(write.stack.state, write.after):
            writes.append(write)
    return protecting.settled(opened.place.origin, writes)


async def _record(opened: Opened, versions: tuple[int, int]) -> None:
    environment = opened.target.environment
    await recording.record(environment.project_id, Object.of(environment), env_uuid=environment.uuid, versions=versions)


async def _stage(staging: Staging, chunks: AsyncIterator[bytes]) -> int:
    number = count = held = 0
    pending: list[StagedDocument] = []
    async for line in _lines(chunks):
        number += 1
        if line.strip():
            pending.append(_document(staging, number, line))
            count += 1
            held += len(line)
        if len(pending) >= STAGED_LINES or held > STAGED_BYTES:
            await bulk.stage_documents(pending)
            pending, held = [], 0
    await bulk.stage_documents(pending)
    return count


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in _in_time(chunks):
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line
        if len(rest) > MAX_LINE_BYTES:
            raise BodyTooLarge(MAX_LINE_BYTES)
    if rest.strip():
        yield rest


async def _in_time(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    # A client that stops sending must not keep a connection and one of the few places.
    iterator = aiter(chunks)
    while True:
        try:
            chunk = await asyncio.wait_for(anext(iterator), CHUNK_SECONDS)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise BadRequest(f"Nothing was sent for {CHUNK_SECONDS} seconds; nothing was imported.") from None
        yield chunk


def _document(staging: Staging, number: int, line: bytes) -> StagedDocument:
    if len(line) > MAX_LINE_BYTES:
        raise BodyTooLarge(MAX_LINE_BYTES)
    try:
        value = parse_json(line)
        if not isinstance(value, dict) or not {"kind", "key", "data"} <= set(value) <= {
            "kind",
            "key",
            "data",
            "version",
        }:
            raise ValidationFailed("A line is an object of 'kind', 'key' and 'data'.")
        kind, key = value["kind"], value["key"]
        if not isinstance(kind, str) or not isinstance(key, str):
            raise ValidationFailed("'kind' and 'key' are strings.")
        names.check_key(names.check_kind(kind), key)
        writing.check_document(kind, value["data"])
        return staging.document(number, kind, key, value["data"])
    except DomainError as error:
        error.fields = {**error.fields, "line": number}
        error.message = f"Line {number}: {error.message}"
        raise


async def export_documents(
    actor: Actor, project_id: int, env: str | None, *, kind: str | None = None, at: At | None = None
) -> AsyncIterator[bytes]:
    """Return a stream of all documents an environment shows, as NDJSON, at one moment.

    The caller awaits this once, for the refusals; memory stays bounded however much there is.
    """
    seen = await resolution.view(actor, project_id, env, at)
    if kind is not None:
        names.check_kind(kind)
    return _export(seen, kind)


async def _export(seen: View, kind: str | None) -> AsyncIterator[bytes]:
    after: tuple[str, str] | None = None
    async with db.reading(TIMEOUT) as moment:
        while True:
            with moment():
                page = await resolution.list_page(seen, kind, EXPORT_PAGE, after)
            yield b"".join(
                encode({"kind": item.entity.kind, "key": item.entity.key, "data": item.state}) + b"\n" for item in page
            )
            if len(page) < EXPORT_PAGE:
                return
            after = (page[-1].entity.kind, page[-1].entity.key)
