"""Releases: what went to production, compared and undone."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from app.domain.model import EntityStatus
from app.domain.paging import Page, encode_cursor
from app.domain.values import MISSING
from app.services import releasing
from app.services.releasing import ReleaseDocument
from app.storage.releases import Release
from schema import environments, promotions
from schema.comparison import Diff
from schema.connections import FIRST, After, Connection, First, connect, size
from schema.context import Info
from schema.describe import field
from schema.edges import AnEnvironment, APromotion
from schema.nodes import GlobalId, Node


@strawberry.type(name="ReleaseDocument", description="A document in two states of production.")
class ReleaseDocumentNode:
    kind: str = strawberry.field(description="Kind of the document.")
    key: str = strawberry.field(description="Key of the document.")
    status: EntityStatus = strawberry.field(description="How the states differ.")
    diff: Diff = strawberry.field(description="What differs.")

    @classmethod
    def of(cls, item: ReleaseDocument) -> "ReleaseDocumentNode":
        status = EntityStatus.MODIFIED
        if item.old is MISSING:
            status = EntityStatus.ADDED
        elif item.new is MISSING:
            status = EntityStatus.REMOVED
        return cls(kind=item.entity.kind, key=item.entity.key, status=status, diff=Diff.of(item.old, item.difference))


@strawberry.type(name="Release", description="Something that went to production.")
class ReleaseNode(Node):
    uuid: UUID = strawberry.field(description="UUID of the release, `release_id` in REST.")
    number: int = strawberry.field(description="Its number in the project, from 1.")
    message: str | None = strawberry.field(description="What was said about it.")
    entities: int = strawberry.field(description="Number of documents that it changed.")
    created_by: str = strawberry.field(description="Name of who released it.")
    created_at: datetime = strawberry.field(description="When it went to production.")
    source: strawberry.Private[Release]

    @classmethod
    def of(cls, release: Release) -> "ReleaseNode":
        return cls(
            id=GlobalId("Release", release.project_id, release.uuid).encode(),
            uuid=release.uuid,
            number=release.number,
            message=release.message,
            entities=release.entity_count,
            created_by=release.actor,
            created_at=release.created_at,
            source=release,
        )

    @field
    async def environment(self, info: Info) -> AnEnvironment:
        """The environment that was promoted."""
        found = await info.context.loaders.environment(self.source.project_id, self.source.env_uuid)
        return environments.EnvironmentNode.of(found)

    @field
    async def promotion(self, info: Info) -> APromotion | None:
        """The request that became it; null for one that undoes another."""
        uuid = self.source.promotion_uuid
        found = await info.context.loaders.promotions.load((self.source.project_id, uuid)) if uuid else None
        return promotions.PromotionNode.of(found) if found else None

    @field
    async def undoes(self, info: Info) -> Annotated["ReleaseNode", strawberry.lazy("schema.releases")] | None:
        """The release that it undid; null if it is a promotion."""
        uuid = self.source.undoes_uuid
        found = await info.context.loaders.releases.load((self.source.project_id, uuid)) if uuid else None
        return ReleaseNode.of(found) if found else None

    @field
    async def documents(self, info: Info, first: First = FIRST, after: After = None) -> Connection[ReleaseDocumentNode]:
        """What it changed, by kind and key."""
        page = await releasing.documents(
            info.context.actor, self.uuid, project_id=self.source.project_id, limit=size(first), cursor=after
        )
        return _documents(page, after)

    @field
    async def diff(
        self,
        info: Info,
        against: Annotated[UUID, strawberry.argument(description="UUID of the release that counts as the older one.")],
        first: First = FIRST,
        after: After = None,
    ) -> Connection[ReleaseDocumentNode]:
        """How production after it differs from production after another release."""
        page = await releasing.compare(
            info.context.actor,
            against,
            self.uuid,
            project_id=self.source.project_id,
            limit=size(first),
            cursor=after,
        )
        return _documents(page, after)


def _documents(page: Page[ReleaseDocument], after: str | None) -> Connection[ReleaseDocumentNode]:
    return connect(
        page.items,
        after,
        more=page.next_cursor is not None,
        node=ReleaseDocumentNode.of,
        cursor=lambda item: encode_cursor(item.entity.kind, item.entity.key),
    )


def release_connection(
    page: Page[Release], after: str | None, count: Callable[[], Awaitable[int | None]]
) -> Connection[ReleaseNode]:
    """Return a page of releases."""
    return connect(
        page.items,
        after,
        more=page.next_cursor is not None,
        node=ReleaseNode.of,
        cursor=lambda item: encode_cursor(item.number),
        count=count,
    )
