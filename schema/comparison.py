"""Differences: of two states of a document, and of all that an environment shows."""

from collections.abc import Mapping
from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain.diff import Difference
from app.domain.document_patch import as_json_patch
from app.domain.model import PROJECT_KIND, EntityStatus
from app.domain.paging import encode_cursor
from app.domain.pointer import Path, format_dotted
from app.domain.values import MISSING, State, Value
from app.services import comparison
from app.services.comparison import EntityDifference, EnvironmentDiff
from schema.connections import Connection, connect
from schema.context import Info
from schema.describe import field
from schema.scalars import JSON, JSONPointer, shown
from schema.values import PathValue


@strawberry.type(description="A value that differs.")
class PathChange:
    path: JSONPointer = strawberry.field(description="Where the value stands, exactly.")
    dotted_path: str = strawberry.field(
        description="The same in the guide's dotted form; a dot inside a key is written `\\.`."
    )
    old: JSON | None = strawberry.field(description="The value in the older state, in full.")
    new: JSON | None = strawberry.field(description="The value in the newer state, in full.")


@strawberry.type(description="What the newer state of a document has beside the older one. Arrays differ as a whole.")
class Diff:
    is_empty: bool = strawberry.field(description="Whether both states are equal, digits of numbers included.")
    older: strawberry.Private[State]
    difference: strawberry.Private[Difference]

    @classmethod
    def of(cls, older: State, difference: Difference) -> "Diff":
        return cls(is_empty=difference.is_empty, older=older, difference=difference)

    @field
    async def added(self) -> list[PathValue]:
        """What only the newer state has."""
        return _path_values(self.difference.added)

    @field
    async def removed(self) -> list[PathValue]:
        """What only the older state has."""
        return _path_values(self.difference.removed)

    @field
    async def modified(self) -> list[PathChange]:
        """What both have, with different values."""
        return [
            PathChange(path=JSONPointer(path), dotted_path=format_dotted(path), old=shown(old), new=shown(new))
            for path, (old, new) in self.difference.modified.items()
        ]

    @field
    async def json_patch(self) -> JSON:
        """The JSON Patch (RFC 6902) that turns the older state into the newer one."""
        return shown(as_json_patch(self.older, self.difference.patch))


def _path_values(values: Mapping[Path, Value]) -> list[PathValue]:
    return [PathValue.of(path, value) for path, value in values.items()]


@strawberry.type(description="How one document differs.")
class EntityDiff:
    uuid: UUID = strawberry.field(description="UUID of the document; the same in all environments.")
    kind: str = strawberry.field(description="Kind of the document.")
    key: str = strawberry.field(description="Key of the document within its kind.")
    status: EntityStatus = strawberry.field(description="Whether it was added, removed or modified.")
    source: strawberry.Private[EntityDifference]

    @classmethod
    def of(cls, item: EntityDifference) -> "EntityDiff":
        entity = item.entity
        return cls(uuid=entity.uuid, kind=entity.kind, key=entity.key, status=item.status, source=item)

    @field
    async def diff(self) -> Diff:
        """What differs, path by path."""
        return Diff.of(self.source.old, self.source.difference)

    @field
    async def old(self) -> JSON | None:
        """The document in the older state; null if it is not there."""
        return _document(self.source.old)

    @field
    async def new(self) -> JSON | None:
        """The document in the newer state; null if it is not there."""
        return _document(self.source.new)


def _document(state: State) -> JSON | None:
    return None if state is MISSING else shown(state)


@strawberry.type(
    name="EnvironmentDiff",
    description="How all that an environment shows differs from another state: counts, and pages.",
)
class EnvironmentDiffNode:
    added: int = strawberry.field(description="Number of documents that only the environment has.")
    removed: int = strawberry.field(description="Number of documents that the environment does not have.")
    modified: int = strawberry.field(description="Number of documents with different content.")
    is_empty: bool = strawberry.field(description="Whether no document differs.")
    entities: Connection[EntityDiff] = strawberry.field(description="The documents that differ, by kind and key.")

    @classmethod
    def of(cls, diff: EnvironmentDiff, after: str | None) -> "EnvironmentDiffNode":
        number = diff.added + diff.removed + diff.modified

        async def count() -> int:
            return number

        return cls(
            added=diff.added,
            removed=diff.removed,
            modified=diff.modified,
            is_empty=number == 0,
            entities=connect(
                diff.page.items,
                after,
                more=diff.page.next_cursor is not None,
                node=EntityDiff.of,
                cursor=lambda item: encode_cursor(item.entity.kind, item.entity.key),
                count=count,
            ),
        )


StateId: TypeAlias = Annotated[
    UUID,
    strawberry.argument(
        description="UUID of an environment, a generation (checkpoint, pin, backup), a layer or a document."
    ),
]


@strawberry.type
class ComparisonQuery:
    @field
    async def diff(
        self,
        info: Info,
        a: StateId,
        b: StateId,
        kind: Annotated[
            str, strawberry.argument(description="Kind of the document, where a UUID names a whole generation.")
        ] = PROJECT_KIND,
        key: Annotated[
            str | None, strawberry.argument(description="Key of the document, where the kind is not `project`.")
        ] = None,
    ) -> Diff:
        """How a document in the state `b` (the newer) differs from the state `a` (the older)."""
        compared = await comparison.diff(info.context.actor, a, b, kind=kind, key=key)
        return Diff.of(compared.old, compared.difference)
