"""Changes: the append-only record of what was written, by whom and why."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

import strawberry

from app.domain.model import Change, Origin
from app.domain.paging import encode_cursor
from schema import environments, generations
from schema.connections import Connection, connect
from schema.context import Info
from schema.describe import field
from schema.edges import AGeneration, AnEnvironment
from schema.scalars import BigInt
from schema.values import Actor, Patch


@strawberry.type(name="Change", description="One write to one document. Changes are never altered or removed.")
class ChangeNode:
    version: BigInt = strawberry.field(
        description="The project's version after this change; rises by one with every change. Read at it with `at`."
    )
    kind: str = strawberry.field(description="Kind of the document.")
    key: str = strawberry.field(description="Key of the document within its kind.")
    entity_uuid: UUID = strawberry.field(description="UUID of the document; the same in all environments.")
    entity_version: BigInt = strawberry.field(
        description="How many changes the document had in all environments, with this one."
    )
    origin: Origin = strawberry.field(description="Why the change was made.")
    actor: Actor = strawberry.field(description="Who made it.")
    created_at: datetime = strawberry.field(description="When it was committed.")
    source: strawberry.Private[Change]

    @classmethod
    def of(cls, change: Change) -> "ChangeNode":
        return cls(
            version=BigInt(change.version),
            kind=change.entity.kind,
            key=change.entity.key,
            entity_uuid=change.entity.uuid,
            entity_version=BigInt(change.entity_version),
            origin=change.origin,
            actor=Actor(name=change.actor),
            created_at=change.created_at,
            source=change,
        )

    @field
    async def forward(self) -> Patch:
        """What the change did."""
        return Patch.of(self.source.forward)

    @field
    async def reverse(self) -> Patch:
        """What undoes it."""
        return Patch.of(self.source.reverse)

    @field
    async def environment(self, info: Info) -> AnEnvironment:
        """The environment that was written to."""
        project_id = self.source.entity.project_id
        return environments.EnvironmentNode.of(await info.context.loaders.environment(project_id, self.source.env_uuid))

    @field
    async def generation(self, info: Info) -> AGeneration | None:
        """The generation that took the change; null if it was removed since."""
        ref = (self.source.entity.project_id, self.source.generation_uuid)
        found = await info.context.loaders.generations.load(ref)
        return generations.GenerationNode.of(found) if found else None


def change_connection(
    changes: Sequence[Change], after: str | None, *, more: bool, count: Callable[[], Awaitable[int | None]]
) -> Connection[ChangeNode]:
    """Return a page of changes."""
    return connect(
        changes,
        after,
        more=more,
        node=ChangeNode.of,
        cursor=lambda change: encode_cursor(change.version),
        count=count,
    )
