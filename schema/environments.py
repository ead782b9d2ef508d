"""Environments: what they are, what they show, what stands around them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from app.domain import names
from app.domain.errors import CheckpointNotFound, DocumentNotFound, SandboxSecretAccessDenied, ValidationFailed
from app.domain.lifecycle import allowed_moves
from app.domain.model import (
    PROJECT_KIND,
    Environment,
    EnvStatus,
    EnvType,
    Generation,
)
from app.domain.paging import Page, decode_cursor, encode_cursor
from app.domain.values import Value
from app.services import comparison, protected, rollouts
from app.services import documents as document_service
from app.services import environments as service
from app.services.checking import Checked
from app.storage.environments import sort_key
from schema import comparison as comparison_types
from schema import conflicts as conflict_types
from schema import documents as document_types
from schema import generations
from schema import history as history_types
from schema import rollouts as rollout_types
from schema import segments as segment_types
from schema.arguments import AtArgument, AtInput, Key, Kind
from schema.connections import FIRST, After, Connection, First, connect, size
from schema.context import Info
from schema.describe import field
from schema.edges import AChange, ADocument, ADocumentPage, AGeneration, AnEnvironment
from schema.nodes import GlobalId, Node
from schema.scalars import JSON, given, moment_text, shown


@strawberry.type(description="How far an environment that mirrors production's writes is behind it.")
class ShadowLag:
    versions: int = strawberry.field(description="Changes of production that are not mirrored yet.")
    seconds: float = strawberry.field(description="Age of the oldest of them; 0 if there are none.")


@strawberry.type(
    name="Environment",
    description="A project's data as seen from one place: production, or a live overlay on what it was forked from.",
)
class EnvironmentNode(Node):
    uuid: UUID = strawberry.field(description="UUID of the environment, `env_uuid` in REST.")
    name: str = strawberry.field(description="Its name, unique among the project's living environments.")
    type: EnvType = strawberry.field(description="What it is for.")
    status: EnvStatus = strawberry.field(description="Where it is on its way to production.")
    traffic_weight: int = strawberry.field(description="Share of traffic, percent, 0 to 100.")
    shadow_writes: bool = strawberry.field(description="Whether writes to production are mirrored into it.")
    shadow_overwrite: bool = strawberry.field(description="Whether mirrored writes win over what it overrides itself.")
    expires_at: datetime | None = strawberry.field(description="When it will be archived by itself; null: never.")
    created_at: datetime = strawberry.field(description="When it was forked.")
    updated_at: datetime = strawberry.field(description="When its name, settings or pointers changed last.")
    source: strawberry.Private[Environment]

    @classmethod
    def of(cls, env: Environment) -> "EnvironmentNode":
        return cls(
            id=GlobalId("Environment", env.project_id, env.uuid).encode(),
            uuid=env.uuid,
            name=env.name,
            type=env.env_type,
            status=env.status,
            traffic_weight=env.traffic_weight,
            shadow_writes=env.shadow_writes,
            shadow_overwrite=env.shadow_overwrite,
            expires_at=env.expires_at,
            created_at=env.created_at,
            updated_at=env.updated_at,
            source=env,
        )

    @field
    async def generation(self, info: Info) -> int:
        """Number of its head: how many generations it stands above production."""
        return (await self._head(info)).number

    @field
    async def head(self, info: Info) -> AGeneration:
        """The generation that it shows."""
        return generations.GenerationNode.of(await self._head(info))

    @field
    async def shadow_lag(self, info: Info) -> ShadowLag | None:
        """How far it is behind production's writes; null where they are not mirrored."""
        if not self.shadow_writes or self.status is EnvStatus.ARCHIVED:
            return None
        lag = await info.context.loaders.shadow_lags.load((self.source.project_id, self.uuid))
        return ShadowLag(versions=lag.versions, seconds=lag.seconds) if lag else None

    @field
    async def pinned(self, info: Info) -> AGeneration | None:
        """The immutable snapshot that its review link shows; null if it was never pinned."""
        uuid = self.source.pinned_uuid
        found = await info.context.loaders.generations.load((self.source.project_id, uuid)) if uuid else None
        return generations.GenerationNode.of(found) if found else None

    @field
    async def parent(self, info: Info) -> AnEnvironment | None:
        """The environment it was forked from; null for production."""
        uuid = self.source.parent_uuid
        found = await info.context.loaders.environments.load((self.source.project_id, uuid)) if uuid else None
        return EnvironmentNode.of(found) if found else None

    @field
    async def children(
        self,
        info: Info,
        archived: Annotated[bool, strawberry.argument(description="Whether to give archived ones too.")] = False,
    ) -> list[AnEnvironment]:
        """The environments forked from it, oldest first."""
        tree = await info.context.loaders.trees.load(self.source.project_id)
        forks = info.context.loaders.walk(tree.forks.get(self.uuid, ()))
        return [EnvironmentNode.of(env) for env in forks if archived or env.status is not EnvStatus.ARCHIVED]

    @field
    async def config(self, info: Info) -> JSON:
        """The guide's `data.config` of the environment's anchor."""
        return shown(_config(self.source, await self._head(info)))

    @field
    async def allowed_transitions(self) -> list[EnvStatus]:
        """The statuses that it may go to next."""
        allowed = allowed_moves(self.source)
        return [status for status in EnvStatus if status in allowed]

    @field
    async def document(
        self,
        info: Info,
        kind: Kind = PROJECT_KIND,
        key: Key = None,
        at: AtArgument = None,
        decrypt_protected: Annotated[
            bool,
            strawberry.argument(
                description="True: with protected values. For owners and admins with a user's token, in production, as "
                "they are now; recorded."
            ),
        ] = False,
    ) -> ADocument | None:
        """A document as the environment shows it; null if it shows none of that name."""
        name = names.document_name(kind, key)
        if decrypt_protected:
            return await self._decrypted(info, name, at)
        generation_uuid = await self._generation_at(info, at)
        if generation_uuid is not None:
            return await document_types.shown_by(info, self.source.project_id, generation_uuid, *name)
        moment = at.moment() if at else None
        try:
            found = await document_service.read(
                info.context.actor, self.source.project_id, str(self.uuid), *name, at=moment
            )
        except DocumentNotFound:
            return None
        return document_types.ResolvedDocument.of(found, is_past=True)

    @field
    async def documents(
        self,
        info: Info,
        kind: Kind,
        filter: Annotated[  # noqa: A002
            JSON | None,
            strawberry.argument(description="Rules as a segment has: `[{field, op, value}, …]`; all must hold."),
        ] = None,
        first: First = FIRST,
        after: After = None,
        at: AtArgument = None,
    ) -> ADocumentPage:
        """The documents of one kind that the environment shows, by key."""
        names.check_kind(kind)
        generation_uuid = await self._generation_at(info, at)
        if filter is None and generation_uuid is not None:
            project_id = self.source.project_id
            return await document_types.page_shown_by(info, project_id, generation_uuid, kind, size(first), after)
        page = await document_service.list_documents(
            info.context.actor,
            self.source.project_id,
            str(self.uuid),
            kind,
            limit=size(first),
            cursor=after,
            at=at.moment() if at else None,
            rules=_rules(given(filter)) if filter is not None else None,
        )
        return document_types.document_connection(page, after, is_past=generation_uuid is None)

    @field
    async def segments(self, info: Info) -> list[segment_types.Segment]:
        """The segments that its project document defines; those whose users it serves are named in its `config`."""
        document_types.check_alive(self.source)
        return await segment_types.segments_in(info, self.source.project_id, self.source.head_uuid)

    @field
    async def manifest(self, info: Info) -> segment_types.ManifestNode | None:
        """What it was forked from, and which users it shows; null for production."""
        found = await info.context.loaders.manifests.load((self.source.project_id, self.uuid))
        return segment_types.ManifestNode.of(found) if found else None

    @field
    async def diff(
        self,
        info: Info,
        against: Annotated[
            UUID | None,
            strawberry.argument(description="Environment or generation to compare with; left out: production."),
        ] = None,
        first: First = FIRST,
        after: After = None,
    ) -> comparison_types.EnvironmentDiffNode:
        """How what it shows differs from another state, which counts as the older one."""
        document_types.check_alive(self.source)
        found = await comparison.environment_diff(
            info.context.actor,
            self.uuid,
            against=against,
            limit=size(first),
            cursor=after,
            project_id=self.source.project_id,
        )
        return comparison_types.EnvironmentDiffNode.of(found, after)

    @field
    async def history(self, info: Info, first: First = FIRST, after: After = None) -> Connection[AChange]:
        """What was written in it, newest first."""
        limit = size(first)
        before = int(decode_cursor(after, int)[0]) if after else None
        project_id = self.source.project_id
        found = await info.context.loaders.change_pages.load((project_id, self.uuid, limit + 1, before))

        async def count() -> int | None:
            return await info.context.loaders.change_counts.load((project_id, self.uuid))

        return history_types.change_connection(found[:limit], after, more=len(found) > limit, count=count)

    @field
    async def checkpoints(self, info: Info, first: First = FIRST, after: After = None) -> Connection[AGeneration]:
        """The checkpoints taken of it, newest first."""
        limit, project_id, loaders = size(first), self.source.project_id, info.context.loaders
        position = decode_cursor(after, int, str) if after else None
        before = (int(position[0]), str(position[1])) if position else None
        found = await loaders.checkpoint_pages.load((project_id, self.uuid, limit + 1, before))

        async def count() -> int | None:
            return await loaders.checkpoint_counts.load((project_id, self.uuid))

        return generations.snapshot_connection(found[:limit], after, more=len(found) > limit, count=count)

    @field
    async def rollout(self) -> rollout_types.RolloutNode | None:
        """Its rollout; null if it is not rolling out."""
        found = await rollouts.of_environment(self.source)
        return rollout_types.RolloutNode.of(found) if found else None

    @field
    async def checks(self, info: Info) -> conflict_types.ChecksNode:
        """What the checks of a promotion say now; nothing is changed."""
        return conflict_types.ChecksNode.of((await self._looked(info)).checks)

    @field
    async def conflicts(self, info: Info) -> list[conflict_types.Conflict]:
        """The conflicts that promoting it now would have."""
        return [conflict_types.Conflict.of(item) for item in (await self._looked(info)).conflicts]

    async def _looked(self, info: Info) -> Checked:
        document_types.check_alive(self.source)
        return await info.context.loaders.checked.load((self.source.project_id, self.uuid))

    async def _decrypted(self, info: Info, name: tuple[str, str], at: AtInput | None) -> ADocument | None:
        if at is not None:
            raise ValidationFailed("Protected fields are decrypted as they are now.", field="at")
        named = info.context.environment is not None
        if named and not (await info.context.current(self.source.project_id)).is_production:
            raise SandboxSecretAccessDenied(protected.IN_SANDBOX)
        try:
            found = await protected.read(info.context.actor, self.source.project_id, str(self.uuid), *name)
        except DocumentNotFound:
            return None
        return document_types.ResolvedDocument.of(found)

    async def _head(self, info: Info) -> Generation:
        return await info.context.loaders.generation(self.source.project_id, self.source.head_uuid)

    async def _generation_at(self, info: Info, at: AtInput | None) -> UUID | None:
        """Return the generation that shows the state at a moment; None where layers have to be wound back.

        Raises EnvironmentArchived, CheckpointNotFound.
        """
        document_types.check_alive(self.source)
        if at is None:
            return self.source.head_uuid
        uuid = at.moment().checkpoint
        if uuid is None:
            return None
        found = await info.context.loaders.generations.load((self.source.project_id, uuid))
        if found is None or not found.is_checkpoint:
            raise CheckpointNotFound
        return uuid


def _rules(filter_: Value) -> Sequence[Value]:
    if not isinstance(filter_, list):
        raise ValidationFailed("A filter is an array of rules: [{field, op, value}, …].", field="filter")
    return filter_


def _config(env: Environment, head: Generation) -> Value:
    return {
        "env_type": env.env_type.value,
        "env_name": env.name,
        "is_checkpoint": head.is_checkpoint,
        "diff_only": head.diff_only,
        "status": env.status.value,
        "head_uuid": str(env.head_uuid),
        "pinned_uuid": str(env.pinned_uuid) if env.pinned_uuid else None,
        "traffic_weight": env.traffic_weight,
        "rollout_steps": env.rollout_steps,
        "ab_seed": env.ab_seed,
        "segments": env.segments,
        "shadow_writes": env.shadow_writes,
        "shadow_overwrite": env.shadow_overwrite,
        "expires_at": moment_text(env.expires_at) if env.expires_at else None,
    }


@strawberry.type
class EnvironmentQuery:
    @field
    async def environment(
        self, info: Info, uuid: Annotated[UUID, strawberry.argument(description="UUID of the environment.")]
    ) -> EnvironmentNode | None:
        """An environment, archived or not."""
        return EnvironmentNode.of(await service.get(info.context.actor, uuid))


def environment_connection(
    page: Page[Environment],
    after: str | None,
    count: Callable[[], Awaitable[int]],
) -> Connection[EnvironmentNode]:
    """Return a page of environments."""
    return connect(
        page.items,
        after,
        more=page.next_cursor is not None,
        node=EnvironmentNode.of,
        cursor=lambda env: encode_cursor(*sort_key(env)),
        count=count,
    )
