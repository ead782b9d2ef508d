"""Global ids (Relay): one opaque string per object, with the project in it so that access is decided first."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from uuid import UUID

import strawberry

from app.domain.errors import ValidationFailed


@strawberry.interface(description="Something with an identity, found again by `node(id:)`.")
class Node:
    id: strawberry.ID = strawberry.field(description="Global id: opaque, the same for ever.")


@dataclass(frozen=True, slots=True)
class GlobalId:
    """What a global id says: a type's name, a project, and what in the project; None: the project itself."""

    type_name: str
    project_id: int
    uuid: UUID | None = None

    def encode(self) -> strawberry.ID:
        """Return the id as clients see it."""
        parts = (self.type_name, str(self.project_id), *([str(self.uuid)] if self.uuid else []))
        return strawberry.ID(urlsafe_b64encode(":".join(parts).encode()).decode().rstrip("="))

    @classmethod
    def decode(cls, text: str) -> "GlobalId":
        """Return what an id says. Raises ValidationFailed if it is none of ours."""
        try:
            raw = urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode()
            type_name, project_id, *rest = raw.split(":")
            found = cls(type_name, int(project_id), UUID(rest[0]) if rest else None)
        except ValueError:
            found = None
        if found is None or found.encode() != text.rstrip("=") or found.project_id >= 2**31:
            raise ValidationFailed("This is no id of ours; ids are given out as `id`.", field="id")
        return found
