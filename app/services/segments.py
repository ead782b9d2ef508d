"""Segments: kept in the project document of the request's environment, and asked whom they match (semantics §6).

They are written as any document is: versions, protection, ``If-Match`` and who may write to production are its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

from app.domain.audit import Action, Object, ObjectType
from app.domain.errors import ValidationFailed
from app.domain.events import EventType
from app.domain.model import PROJECT_KEY, PROJECT_KIND, USER_KIND, Actor
from app.domain.pointer import format_pointer
from app.domain.policy import Operation
from app.domain.protected import Places
from app.domain.rules import check_unprotected, parse_rules
from app.domain.segment_errors import SegmentInUse, SegmentNotFound
from app.domain.segments import SEGMENTS, Segment, check_name, segments_of
from app.domain.values import Missing, State, Value, lookup, put
from app.services import access, calls, defined_segments, resolution
from app.services.document_writing import ANY, Expected, rewrite_in
from app.services.operation import operation
from app.services.publishing import publish
from app.storage import db, environments, protections
from app.storage import segments as stored

SAMPLE: Final = 10


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment as it is written; ``created_at`` is an ISO 8601 time, None where nobody noted it."""

    segment_id: UUID
    name: str
    rules: list[Value]
    created_at: str | None

    @classmethod
    def of(cls, segment: Segment) -> "SegmentEntry":
        return cls(segment.segment_id, segment.name, segment.rules_json, segment.created_at)


@dataclass(frozen=True, slots=True)
class Segments:
    """The segments of an environment; ``version`` is that of the project document that has them."""

    segments: list[SegmentEntry]
    version: str


@dataclass(frozen=True, slots=True)
class SegmentWritten:
    """A segment after a write, or, deleted, before it; ``version`` is the project document's now."""

    segment: SegmentEntry
    version: str


@dataclass(frozen=True, slots=True)
class Preview:
    """How many of an environment's users match rules now; ``sample`` are the keys of the first ones."""

    matching: int
    total: int
    sample: list[str]


async def list_segments(actor: Actor, project_id: int, env: str | None) -> Segments:
    """Return the segments of an environment, in the order in which they stand there."""
    seen = await resolution.view(actor, project_id, env)
    document = await defined_segments.project_document(seen)
    return Segments([SegmentEntry.of(item) for item in segments_of(document.state).values()], document.version)


Change = Callable[[Segment | None], Segment | None]
"""Given a segment, None if there is none, returns what it is to be, None if it is to go."""


@operation(Action.CREATE_SEGMENT)
async def create(
    actor: Actor, project_id: int, env: str | None, name: str, rules: Value, *, expected: Expected = ANY
) -> SegmentWritten:
    """Add a segment to an environment's project document.

    Raises ValidationFailed, FieldProtected, VersionConflict, and what writing a document raises.
    """
    await access.authorize(actor, project_id, Operation.WRITE)
    made = Segment(uuid4(), check_name(name), parse_rules(rules), _now())
    return await _write(actor, project_id, env, made.segment_id, lambda _: made, expected)


@operation(Action.UPDATE_SEGMENT)
async def update(
    actor: Actor,
    project_id: int,
    env: str | None,
    segment_id: UUID,
    *,
    name: str | None = None,
    rules: Value | None = None,
    expected: Expected = ANY,
) -> SegmentWritten:
    """Replace a segment's name, its rules, or both. Raises SegmentNotFound, and as ``create`` does."""
    await access.authorize(actor, project_id, Operation.WRITE)
    wanted_name = None if name is None else check_name(name)
    wanted_rules = None if rules is None else parse_rules(rules)

    def changed(old: Segment | None) -> Segment:
        if old is None:
            raise SegmentNotFound
        return replace(
            old,
            name=old.name if wanted_name is None else wanted_name,
            rules=old.rules if wanted_rules is None else wanted_rules,
        )

    return await _write(actor, project_id, env, segment_id, changed, expected)


@operation(Action.DELETE_SEGMENT)
async def delete(
    actor: Actor, project_id: int, env: str | None, segment_id: UUID, *, expected: Expected = ANY
) -> SegmentWritten:
    """Take a segment out of an environment's project document; the answer is what it was.

    Raises SegmentNotFound, SegmentInUse for one of production that environments name, and as ``create`` does.
    """
    await access.authorize(actor, project_id, Operation.WRITE)

    def removed(old: Segment | None) -> None:
        if old is None:
            raise SegmentNotFound

    return await _write(actor, project_id, env, segment_id, removed, expected)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@db.atomic()
async def _write(
    actor: Actor, project_id: int, env: str | None, segment_id: UUID, change: Change, expected: Expected
) -> SegmentWritten:
    seen = await access.environment_in_context(actor, project_id, env, Operation.WRITE)
    about: list[Segment] = []
    if seen.is_production and calls.current().action is Action.DELETE_SEGMENT:
        await _check_unused(project_id, segment_id)

    def rewritten(document: State, _: Places) -> State:
        old = segments_of(document).get(segment_id)
        new = change(old)
        about[:] = [segment for segment in (new, old) if segment][:1]
        return _put(document, segment_id, new)

    written = await rewrite_in(actor, seen, PROJECT_KIND, PROJECT_KEY, rewritten, expected, lambda: _object(about[0]))
    if written.change is not None:
        data: dict[str, Value] = {"name": about[0].name, "change": calls.current().action.value}
        await publish(project_id, EventType.SEGMENT_CHANGED, env_uuid=seen.uuid, subject=segment_id, data=data)
    return SegmentWritten(SegmentEntry.of(about[0]), written.document.version)


async def _check_unused(project_id: int, segment_id: UUID) -> None:
    # Others go on defining it for themselves: production's definition is the one that routes.
    if names := await environments.naming_segment(project_id, segment_id):
        raise SegmentInUse(segment_id, names)


def _object(segment: Segment) -> Object:
    return Object(ObjectType.SEGMENT, str(segment.segment_id), segment.name)


def _put(document: State, segment_id: UUID, new: Segment | None) -> State:
    """Return the document with a segment in its place, or at the end, or without it; other entries stay."""
    listed = lookup(document, SEGMENTS)
    if not isinstance(listed, list | Missing):
        raise ValidationFailed("'config.segments' is no array here.", path=format_pointer(SEGMENTS))
    entries: list[Value] = [] if isinstance(listed, Missing) else listed
    named = str(segment_id)
    at = next((place for place, entry in enumerate(entries) if _id(entry) == named), len(entries))
    made: list[Value] = [new.to_json()] if new else []
    try:
        return put(document, SEGMENTS, [*entries[:at], *made, *entries[at + 1 :]])
    except LookupError:
        raise ValidationFailed("'config' is no object here.", path=format_pointer(SEGMENTS[:1])) from None


def _id(entry: Value) -> str | None:
    found = entry.get("segment_id") if isinstance(entry, dict) else None
    return found.lower() if isinstance(found, str) else None


async def preview(
    actor: Actor, project_id: int, env: str | None, *, rules: Value | None = None, segment_id: UUID | None = None
) -> Preview:
    """Return how many users of an environment match rules, or a segment of it, now.

    Raises ValidationFailed, SegmentNotFound, FieldProtected.
    """
    seen = await resolution.view(actor, project_id, env)
    if (rules is None) == (segment_id is None):
        raise ValidationFailed("A preview is of 'rules' or of a 'segment_id'.", path="/rules")
    wanted = parse_rules(rules) if segment_id is None else (await defined_segments.get(seen, segment_id)).rules
    places = (await protections.of(project_id, seen.generation.uuid)).of(USER_KIND)
    check_unprotected(wanted, places)
    found = await stored.count(seen.generation, wanted, SAMPLE)
    return Preview(found.matching, found.total, found.sample)
