"""The generation tree."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from app.domain.model import PROJECT_KIND, Generation, GenerationKind
from app.domain.paging import encode_cursor
from app.services import tree
from schema import documents, environments
from schema.arguments import Key, Kind
from schema.connections import Connection, connect
from schema.context import Info
from schema.describe import field
from schema.edges import ADocument, AGeneration, AnEnvironment
from schema.nodes import GlobalId, Node
from schema.values import Actor


@strawberry.type(
    name="Generation",
    description="A node of the project's tree. It says what differs from its parent, or holds whole documents.",
)
class GenerationNode(Node):
    uuid: UUID = strawberry.field(description="UUID of the generation.")
    number: int = strawberry.field(description="Its parent's number and one; production's is 0.")
    kind: GenerationKind = strawberry.field(description="Whether it is a part of a line or which snapshot.")
    is_checkpoint: bool = strawberry.field(description="Whether it is a checkpoint.")
    diff_only: bool = strawberry.field(description="Whether it holds changed fields only, not whole documents.")
    sealed: bool = strawberry.field(description="Whether it takes no more writes.")
    label: str | None = strawberry.field(description="What its maker called it.")
    entity_count: int | None = strawberry.field(
        description="Number of documents in a snapshot; null for a generation that is no snapshot."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    created_by: Actor | None = strawberry.field(description="Who made it.")
    source: strawberry.Private[Generation]

    @classmethod
    def of(cls, generation: Generation) -> "GenerationNode":
        is_snapshot = generation.kind is not GenerationKind.LINE
        return cls(
            id=GlobalId("Generation", generation.project_id, generation.uuid).encode(),
            uuid=generation.uuid,
            number=generation.number,
            kind=generation.kind,
            is_checkpoint=generation.is_checkpoint,
            diff_only=generation.diff_only,
            sealed=generation.sealed,
            label=generation.label,
            entity_count=generation.entity_count if is_snapshot else None,
            created_at=generation.created_at,
            created_by=Actor(name=generation.created_by),
            source=generation,
        )

    @field
    async def parent(self, info: Info) -> AGeneration | None:
        """The generation it stands on; null for the root."""
        line = await self._line(info)
        return GenerationNode.of(line[-1]) if line else None

    @field
    async def ancestors(self, info: Info) -> list[AGeneration]:
        """All generations below it, from the root to its parent."""
        return [GenerationNode.of(generation) for generation in info.context.loaders.walk(await self._line(info))]

    @field
    async def children(self, info: Info) -> list[AGeneration]:
        """The generations that stand on it, oldest first."""
        found = await info.context.loaders.trees.load(self.source.project_id)
        standing = info.context.loaders.walk(found.children.get(self.uuid, ()))
        return [GenerationNode.of(generation) for generation in standing]

    @field
    async def environment(self, info: Info) -> AnEnvironment:
        """The environment it belongs to."""
        found = await info.context.loaders.environment(self.source.project_id, self.source.env_uuid)
        return environments.EnvironmentNode.of(found)

    @field
    async def changed_entities(self, info: Info) -> int:
        """Number of documents that it itself says something about."""
        return await info.context.loaders.layer_counts.load((self.source.project_id, self.uuid)) or 0

    @field
    async def document(self, info: Info, kind: Kind = PROJECT_KIND, key: Key = None) -> ADocument | None:
        """A document as this generation shows it now; null if it shows none of that name.

        Not for the line of an archived environment: its layers are gone. Its snapshots are kept.
        """
        if self.kind is GenerationKind.LINE:
            env = await info.context.loaders.environment(self.source.project_id, self.source.env_uuid)
            documents.check_alive(env)
        return await documents.shown_by(info, self.source.project_id, self.uuid, kind, key)

    async def _line(self, info: Info) -> list[Generation]:
        # All ancestors at once: whoever asks for the parent's parent next finds it loaded.
        refs = [(self.source.project_id, uuid) for uuid in self.source.ancestors[:-1]]
        found = await info.context.loaders.generations.load_many(refs)
        return [generation for generation in found if generation is not None]


def snapshot_connection(
    snapshots: Sequence[Generation],
    after: str | None,
    *,
    more: bool,
    count: Callable[[], Awaitable[int | None]],
) -> Connection[GenerationNode]:
    """Return a page of checkpoints or backups."""
    return connect(
        snapshots,
        after,
        more=more,
        node=GenerationNode.of,
        cursor=lambda generation: encode_cursor(generation.version, str(generation.uuid)),
        count=count,
    )


@strawberry.type
class GenerationQuery:
    @field
    async def generation(
        self, info: Info, uuid: Annotated[UUID, strawberry.argument(description="UUID of the generation.")]
    ) -> GenerationNode | None:
        """A generation, checkpoints, pins and backups included."""
        return GenerationNode.of(await tree.generation(info.context.actor, uuid))
