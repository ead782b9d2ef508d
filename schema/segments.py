"""Segments: users that match rules; and what forks that show some users only were made of."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from app.domain.model import PROJECT_KEY, PROJECT_KIND
from app.domain.rules import Operator
from app.domain.segments import segments_of
from app.domain.values import Value
from app.services import segments as service
from app.services.segments import SegmentEntry
from app.storage.layers import DocumentKey
from app.storage.manifests import Manifest
from schema.context import Info
from schema.describe import field
from schema.scalars import JSON, given, shown


@strawberry.input(
    description="One rule on a user's document: `field`, `op` and `value`, or one of `all`, `any` and `not`."
)
class RuleInput:
    field_: str | None = strawberry.field(name="field", default=None, description="Dotted path into the document.")
    op: Operator | None = strawberry.field(default=None, description="How to compare.")
    value: strawberry.Maybe[JSON | None] = strawberry.field(default=None, description="What to compare with.")
    all: "list[RuleInput] | None" = strawberry.field(default=None, description="Rules that must all hold.")
    any: "list[RuleInput] | None" = strawberry.field(default=None, description="Rules one of which must hold.")
    not_: "RuleInput | None" = strawberry.field(name="not", default=None, description="A rule that must not hold.")

    def rule(self) -> Value:
        """Return the rule as segments hold it; what is given is all that it has."""
        parts: dict[str, Value | None] = {
            "field": self.field_,
            "op": self.op.value if self.op else None,
            "all": None if self.all is None else written(self.all),
            "any": None if self.any is None else written(self.any),
            "not": None if self.not_ is None else self.not_.rule(),
        }
        found: dict[str, Value] = {name: part for name, part in parts.items() if part is not None}
        if self.value is not None:
            found["value"] = None if self.value.value is None else given(self.value.value)
        return found


def written(rules: list[RuleInput]) -> list[Value]:
    """Return rules as segments hold them."""
    return [rule.rule() for rule in rules]


@strawberry.type(description="Users that match all of some rules, as an environment's project document defines them.")
class Segment:
    segment_id: UUID = strawberry.field(description="UUID of the segment, the same in every environment.")
    name: str = strawberry.field(description="What it is called.")
    rules: JSON = strawberry.field(
        description="Its rules, all of which must hold: `{field, op, value}`, `{all}`, `{any}` or `{not}`."
    )
    created_at: datetime | None = strawberry.field(description="When it was made; null if nobody noted that.")

    @classmethod
    def of(cls, segment: SegmentEntry) -> "Segment":
        return cls(
            segment_id=segment.segment_id,
            name=segment.name,
            rules=shown(segment.rules),
            created_at=_moment(segment.created_at),
        )


def _moment(text: str | None) -> datetime | None:
    # It stands in a document, where anybody may have written anything.
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found is None or found.tzinfo is not None else None


async def segments_in(info: Info, project_id: int, generation_uuid: UUID) -> list[Segment]:
    """Return the segments that the project document of a generation has."""
    wanted = DocumentKey(generation_uuid, PROJECT_KIND, PROJECT_KEY)
    document = await info.context.loaders.documents.load((project_id, wanted))
    found = segments_of(document.state).values() if document else ()
    return [Segment.of(SegmentEntry.of(segment)) for segment in found]


@strawberry.type(name="Manifest", description="What a fork was made of.")
class ManifestNode:
    uuid: UUID = strawberry.field(description="UUID of the manifest.")
    source_generation_uuid: UUID = strawberry.field(description="UUID of the generation that was forked.")
    forked_count: int = strawberry.field(description="Number of documents that the fork started with.")
    user_filter: JSON | None = strawberry.field(
        description="Which users it shows: `user_uuids`, or `rules` with a segment's `segment_id` and `name`; with how "
        "many were `matching`. Null: all users."
    )
    created_by: str = strawberry.field(description="Name of who forked.")
    created_at: datetime = strawberry.field(description="When it was forked.")

    @classmethod
    def of(cls, manifest: Manifest) -> "ManifestNode":
        return cls(
            uuid=manifest.uuid,
            source_generation_uuid=manifest.source_generation_uuid,
            forked_count=manifest.forked_count,
            user_filter=None if manifest.user_filter is None else shown(manifest.user_filter),
            created_by=manifest.actor,
            created_at=manifest.created_at,
        )


@strawberry.type(description="How many users match rules now.")
class SegmentPreview:
    matching: int = strawberry.field(description="Number of users that match.")
    total: int = strawberry.field(description="Number of users that the environment shows.")
    sample: list[str] = strawberry.field(description="Keys of the first users that match, at most 10.")


@strawberry.type
class SegmentQuery:
    @field
    async def segment_preview(
        self,
        info: Info,
        project_id: Annotated[int, strawberry.argument(description="Number of the project.")],
        env_uuid: Annotated[
            UUID | None,
            strawberry.argument(description="Environment; left out: the one that the request names, else production."),
        ] = None,
        rules: Annotated[
            list[RuleInput] | None, strawberry.argument(description="Rules that must all hold; or `segmentId`.")
        ] = None,
        segment_id: Annotated[
            UUID | None, strawberry.argument(description="A segment of the environment; or `rules`.")
        ] = None,
    ) -> SegmentPreview:
        """How many users of an environment match rules, or a segment, now."""
        found = await service.preview(
            info.context.actor,
            project_id,
            info.context.reference(env_uuid),
            rules=None if rules is None else written(rules),
            segment_id=segment_id,
        )
        return SegmentPreview(matching=found.matching, total=found.total, sample=found.sample)
