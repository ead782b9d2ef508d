"""Segments: users of a project that match rules (semantics §6, §11.25, reference guide "Targeting Segments")."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final
from uuid import UUID

from app.domain.errors import DomainError, ValidationFailed
from app.domain.pointer import Path, format_pointer
from app.domain.rules import Condition, Group, Operator, Rule, check_unprotected, matches, parse_rules
from app.domain.values import State, Value, lookup

__all__ = [
    "Condition",
    "Group",
    "Operator",
    "Rule",
    "Segment",
    "check_unprotected",
    "matches",
    "parse_rules",
    "segments_of",
]

SEGMENTS: Final[Path] = ("config", "segments")
"""Where the project document has its segments."""


@dataclass(frozen=True)
class Segment:
    """Users that match all of some rules. ``created_at`` is an ISO 8601 time, or None where nobody noted it."""

    segment_id: UUID
    name: str
    rules: tuple[Rule, ...]
    created_at: str | None = None

    def matches(self, user_document: State) -> bool:
        """Return whether a user is in it. Who evaluates it asks ``check_unprotected`` first."""
        return matches(self.rules, user_document)

    @cached_property
    def rules_json(self) -> list[Value]:
        """The rules as they are written."""
        return [rule.to_json() for rule in self.rules]

    def to_json(self) -> dict[str, Value]:
        """Return it as the project document holds it."""
        noted: dict[str, Value] = {} if self.created_at is None else {"created_at": self.created_at}
        return {"segment_id": str(self.segment_id), "name": self.name, "rules": self.rules_json, **noted}


def segments_of(project_document: State) -> dict[UUID, Segment]:
    """Return the segments of a project document, without entries that are none."""
    found: dict[UUID, Segment] = {}
    for index, entry in enumerate(_entries(project_document)):
        try:
            segment = parse_segment(entry, (*SEGMENTS, str(index)))
        except DomainError:
            continue
        found.setdefault(segment.segment_id, segment)
    return found


def _entries(document: State) -> list[Value]:
    entries = lookup(document, SEGMENTS)
    return entries if isinstance(entries, list) else []


def parse_segment(entry: Value, at: Path) -> Segment:
    """Return the segment of an entry of ``config.segments``. Raises ValidationFailed, ``path`` the pointer to it."""
    if not isinstance(entry, dict):
        raise ValidationFailed("A segment is an object.", path=format_pointer(at))
    if unknown := sorted(set(entry) - {"segment_id", "name", "rules", "created_at"}):
        raise ValidationFailed("A segment has no such member.", path=format_pointer((*at, unknown[0]))[:200])
    created_at = entry.get("created_at")
    if created_at is not None and not isinstance(created_at, str):
        raise ValidationFailed("'created_at' is a time as text.", path=format_pointer((*at, "created_at")))
    return Segment(
        _uuid(entry.get("segment_id"), (*at, "segment_id")),
        check_name(entry.get("name"), format_pointer((*at, "name"))),
        parse_rules(entry.get("rules"), (*at, "rules")),
        created_at,
    )


def _uuid(value: Value, at: Path) -> UUID:
    try:
        uuid = UUID(value) if isinstance(value, str) and len(value) == 36 else None
    except ValueError:
        uuid = None
    if uuid is None:
        raise ValidationFailed("'segment_id' is a UUID.", path=format_pointer(at))
    return uuid


def check_name(name: Value, at: str = "/name") -> str:
    """Return the name of a segment. Raises ValidationFailed."""
    if not isinstance(name, str) or not 1 <= len(name) <= 200 or not name.isprintable():
        raise ValidationFailed("A segment's name has 1 to 200 characters that can be seen.", path=at)
    return name
