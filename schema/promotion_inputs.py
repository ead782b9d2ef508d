"""How conflicts are settled and parts chosen, as inputs."""

from collections.abc import Sequence
from typing import Final, TypeVar

import strawberry

from app.domain import names
from app.domain.errors import ValidationFailed
from app.domain.model import PROJECT_KIND
from app.domain.pointer import format_pointer
from app.domain.promotion import DocumentPaths, DocumentResolution
from app.domain.three_way import Side
from app.domain.values import MISSING
from schema.describe import present
from schema.scalars import JSON, JSONPointer, given

MAX_ENTRIES: Final = 250

T = TypeVar("T")


@strawberry.input(one_of=True, description="What is to stand where a conflict is: exactly one of these.")
class ChoiceInput:
    take: Side | None = strawberry.field(default=strawberry.UNSET, description="One of its three sides.")
    value: JSON | None = strawberry.field(default=strawberry.UNSET, description="Another value.")
    delete: bool | None = strawberry.field(default=strawberry.UNSET, description="`true`: nothing.")


@strawberry.input(description="How one conflict is settled.")
class ResolutionInput:
    kind: str = strawberry.field(default=PROJECT_KIND, description="Kind of the document.")
    key: str | None = strawberry.field(
        default=None, description="Key of the document; only `project` may leave it out."
    )
    path: JSONPointer = strawberry.field(description="The conflict's path.")
    choice: ChoiceInput = strawberry.field(description="What is to stand there.")

    def resolution(self) -> DocumentResolution:
        """Return what the services need to know. Raises ValidationFailed."""
        kind, key = names.document_name(self.kind, self.key)
        take, value = present(self.choice.take), self.choice.value
        pointer = format_pointer(self.path)
        if take is not None:
            return DocumentResolution(kind, key, pointer, take, MISSING)
        if present(self.choice.delete) is not None:
            if self.choice.delete is not True:
                raise ValidationFailed("'delete' is true or left out.", field="resolutions")
            return DocumentResolution(kind, key, pointer, None, MISSING)
        return DocumentResolution(kind, key, pointer, None, given(value) if value is not None else None)


@strawberry.input(description="Which changes of a document to promote.")
class PathsInput:
    kind: str = strawberry.field(default=PROJECT_KIND, description="Kind of the document.")
    key: str | None = strawberry.field(
        default=None, description="Key of the document; only `project` may leave it out."
    )
    paths: list[JSONPointer] = strawberry.field(description="Those at or below these places, at most 250.")

    def chosen(self) -> DocumentPaths:
        """Return what the services need to know. Raises ValidationFailed."""
        kind, key = names.document_name(self.kind, self.key)
        return DocumentPaths(kind, key, [format_pointer(path) for path in bounded(self.paths, "paths")])


def resolutions(inputs: Sequence[ResolutionInput] | None) -> list[DocumentResolution]:
    """Return what the services need to know. Raises ValidationFailed."""
    return [item.resolution() for item in bounded(inputs or (), "resolutions")]


def bounded(items: Sequence[T], field: str) -> Sequence[T]:
    """Return ``items`` if they are not too many. Raises ValidationFailed."""
    if len(items) > MAX_ENTRIES:
        raise ValidationFailed(f"At most {MAX_ENTRIES} {field} at once.", field=field)
    return items
