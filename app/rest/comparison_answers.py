"""Answers about differences, in the guide's form and as JSON Patch."""

from typing import Any
from uuid import UUID

from app.domain.diff import Difference
from app.domain.model import EntityStatus
from app.domain.pointer import format_dotted
from app.rest.answers import Answer
from app.services.comparison import EntityDifference, EnvironmentDiff


class Modified(Answer):
    old: Any
    new: Any


class Diff(Answer):
    """What the newer state has beside the older one, by dotted path; dots in keys are escaped by ``\\``."""

    added: dict[str, Any]
    removed: dict[str, Any]
    modified: dict[str, Modified]

    @classmethod
    def of(cls, difference: Difference) -> "Diff":
        """Return a difference in the guide's form."""
        return cls(
            added={format_dotted(path): value for path, value in difference.added.items()},
            removed={format_dotted(path): value for path, value in difference.removed.items()},
            modified={
                format_dotted(path): Modified(old=old, new=new) for path, (old, new) in difference.modified.items()
            },
        )


class EntityDiff(Answer):
    uuid: UUID
    kind: str
    key: str
    status: EntityStatus
    diff: Diff

    @classmethod
    def of(cls, item: EntityDifference) -> "EntityDiff":
        """Return how one document differs."""
        entity = item.entity
        return cls(
            uuid=entity.uuid,
            kind=entity.kind,
            key=entity.key,
            status=item.status,
            diff=Diff.of(item.difference),
        )


class Counts(Answer):
    added: int
    removed: int
    modified: int


class EnvironmentDiffAnswer(Answer):
    """How many documents differ, and a page of them by kind and key."""

    counts: Counts
    entities: list[EntityDiff]
    next_cursor: str | None

    @classmethod
    def of(cls, diff: EnvironmentDiff) -> "EnvironmentDiffAnswer":
        """Return the answer to an environment diff."""
        return cls(
            counts=Counts(added=diff.added, removed=diff.removed, modified=diff.modified),
            entities=[EntityDiff.of(item) for item in diff.page.items],
            next_cursor=diff.page.next_cursor,
        )
