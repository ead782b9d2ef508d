"""The refusals of segments (semantics §6, §10)."""

from collections.abc import Sequence
from uuid import UUID

from app.domain.errors import DomainError, Kind, NotFound


class SegmentNotFound(NotFound):
    code = "segment_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such segment in this environment.")


class ManifestNotFound(NotFound):
    code = "manifest_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such manifest.")


class SegmentInUse(DomainError):
    """Environments serve the users of the segment; ``environments`` are their names."""

    code, kind = "segment_in_use", Kind.CONFLICT

    def __init__(self, segment_id: UUID, environments: Sequence[str]) -> None:
        names = ", ".join(environments[:5])
        super().__init__(
            f"Environments serve the users of this segment: {names}. Take it off their 'segments' first.",
            segment_id=str(segment_id),
            environments=list(environments),
        )
