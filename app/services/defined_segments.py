"""The segments that the project document of a view defines (semantics §11.25)."""

from uuid import UUID

from app.domain.model import PROJECT_KEY, PROJECT_KIND, Document
from app.domain.segment_errors import SegmentNotFound
from app.domain.segments import Segment, segments_of
from app.services import resolution
from app.services.resolution import View


async def project_document(seen: View) -> Document:
    """Return the project document of a view."""
    document = await resolution.document(seen, PROJECT_KIND, PROJECT_KEY)
    if document is None:
        raise LookupError("a project without a document")
    return document


async def get(seen: View, segment_id: UUID) -> Segment:
    """Return a segment. Raises SegmentNotFound."""
    found = segments_of((await project_document(seen)).state).get(segment_id)
    if found is None:
        raise SegmentNotFound
    return found
