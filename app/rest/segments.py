"""``/api/sandbox/segment``: segments of users, and the manifests of forks that show some users only."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Router, delete, get, post, put
from litestar.params import FromPath, JSONBody

from app.rest.answers import Answer
from app.rest.bodies import ProjectNumber
from app.rest.body import Body
from app.rest.context import implied_project, named_once
from app.rest.parameters import Caller, Condition, ImpliedProjectId, InEnvironment
from app.rest.preconditions import etag
from app.rest.response import JsonResponse
from app.services import manifests, segments
from app.services.segments import SegmentEntry, SegmentWritten
from app.storage.manifests import Manifest


class SegmentRequest(Body):
    """All `rules` must hold: `{"field", "op", "value"}`, `{"all": […]}`, `{"any": […]}` or `{"not": …}`."""

    name: str
    rules: list[Any]
    project_id: ProjectNumber | None = None


class PreviewRequest(Body):
    """Either `rules` or the `segment_id` of a segment of the environment."""

    rules: list[Any] | None = None
    segment_id: UUID | None = None
    project_id: ProjectNumber | None = None


class SegmentAnswer(Answer):
    segment_id: UUID
    name: str
    rules: list[Any]
    created_at: str | None

    @classmethod
    def of(cls, segment: SegmentEntry) -> "SegmentAnswer":
        """Return the answer for a segment."""
        return cls(segment_id=segment.segment_id, name=segment.name, rules=segment.rules, created_at=segment.created_at)


class SegmentsAnswer(Answer):
    segments: list[SegmentAnswer]


class PreviewAnswer(Answer):
    """`sample`: the keys of the first users that match."""

    matching: int
    total: int
    sample: list[str]


class ManifestAnswer(Answer):
    """`user_filter` is null where the fork shows all users; else it says which, and how many were `matching`."""

    manifest_uuid: UUID
    env_uuid: UUID
    generation_uuid: UUID
    source_generation_uuid: UUID
    forked_count: int
    user_filter: dict[str, Any] | None
    created_by: str
    created_at: datetime

    @classmethod
    def of(cls, manifest: Manifest) -> "ManifestAnswer":
        """Return the answer for a manifest."""
        return cls(
            manifest_uuid=manifest.uuid,
            env_uuid=manifest.env_uuid,
            generation_uuid=manifest.generation_uuid,
            source_generation_uuid=manifest.source_generation_uuid,
            forked_count=manifest.forked_count,
            user_filter=manifest.user_filter,
            created_by=manifest.actor,
            created_at=manifest.created_at,
        )


def _written(written: SegmentWritten, status: int) -> JsonResponse[SegmentAnswer]:
    answer = SegmentAnswer.of(written.segment)
    return JsonResponse(answer, status_code=status, headers={"ETag": etag(written.version)})


@post("/segment", status_code=201)
async def create_segment(
    data: JSONBody[SegmentRequest],
    actor: Caller,
    env: InEnvironment,
    expected: Condition,
    project_id: ImpliedProjectId = None,
) -> JsonResponse[SegmentAnswer]:
    """Add a segment to the project document, in the environment of the request.

    `If-Match` and `ETag` are about the project document, which has the segments.
    """
    project = implied_project(actor, named_once(project_id, data.project_id))
    return _written(await segments.create(actor, project, env, data.name, data.rules, expected=expected), 201)


@get("/segments")
async def list_segments(
    actor: Caller, env: InEnvironment, project_id: ImpliedProjectId = None
) -> JsonResponse[SegmentsAnswer]:
    """List the segments that the project document has, in the environment of the request."""
    found = await segments.list_segments(actor, implied_project(actor, project_id), env)
    answer = SegmentsAnswer(segments=[SegmentAnswer.of(item) for item in found.segments])
    return JsonResponse(answer, headers={"ETag": etag(found.version)})


@put("/segment/{segment_id:uuid}")
async def replace_segment(
    segment_id: FromPath[UUID],
    data: JSONBody[SegmentRequest],
    actor: Caller,
    env: InEnvironment,
    expected: Condition,
    project_id: ImpliedProjectId = None,
) -> JsonResponse[SegmentAnswer]:
    """Replace a segment's name and rules, in the environment of the request."""
    project = implied_project(actor, named_once(project_id, data.project_id))
    written = await segments.update(
        actor, project, env, segment_id, name=data.name, rules=data.rules, expected=expected
    )
    return _written(written, 200)


@delete("/segment/{segment_id:uuid}", status_code=200)
async def delete_segment(
    segment_id: FromPath[UUID],
    actor: Caller,
    env: InEnvironment,
    expected: Condition,
    project_id: ImpliedProjectId = None,
) -> JsonResponse[SegmentAnswer]:
    """Delete a segment, in the environment of the request; answers what it was.

    In production, one that environments serve is refused.
    """
    project = implied_project(actor, project_id)
    return _written(await segments.delete(actor, project, env, segment_id, expected=expected), 200)


@post("/segment/preview", status_code=200)
async def preview_segment(
    data: JSONBody[PreviewRequest], actor: Caller, env: InEnvironment, project_id: ImpliedProjectId = None
) -> PreviewAnswer:
    """Count the users that match rules, or a segment, now, in the environment of the request."""
    project = implied_project(actor, named_once(project_id, data.project_id))
    found = await segments.preview(actor, project, env, rules=data.rules, segment_id=data.segment_id)
    return PreviewAnswer(matching=found.matching, total=found.total, sample=found.sample)


@get("/manifest/{manifest_uuid:uuid}")
async def get_manifest(
    manifest_uuid: FromPath[UUID], actor: Caller, project_id: ImpliedProjectId = None
) -> ManifestAnswer:
    """Say what a fork was made of: of which generation, how many entities, which users."""
    return ManifestAnswer.of(await manifests.get(actor, manifest_uuid, project_id))


def segment_routes() -> list[Router]:
    """Return the routes of segments and manifests."""
    handlers = [create_segment, list_segments, replace_segment, delete_segment, preview_segment]
    return [
        Router("/api/sandbox", route_handlers=handlers, tags=["Segments"]),
        Router("/api/sandbox", route_handlers=[get_manifest], tags=["Environments"]),
    ]
