"""Projects: the tenants that everything belongs to."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from app.domain.audit import Filter
from app.domain.errors import EnvironmentNotFound
from app.domain.experiments import ExperimentStatus
from app.domain.model import PROJECT_KIND, EnvStatus, EnvType, Generation, GenerationKind, Plan, Role
from app.domain.paging import Page
from app.domain.promotion import PromotionStatus
from app.services import audit, backups, checkpoints, deciding, history, releasing
from app.services import environments as environment_service
from app.services import projects as service
from app.storage import audit as entries
from app.storage import levels, promotions, releases
from app.storage.promotions import Wanted
from schema.api_keys import ApiKeyNode
from schema.arguments import Key, Kind
from schema.audit import AuditNode, FilterArgument, audit_connection
from schema.connections import FIRST, After, Connection, First, size
from schema.context import Info
from schema.describe import field
from schema.documents import ResolvedDocument, shown_by
from schema.environments import EnvironmentNode, environment_connection
from schema.experiments import ExperimentNode, experiments_of
from schema.freezes import FreezeNode
from schema.generations import GenerationNode, snapshot_connection
from schema.history import ChangeNode, change_connection
from schema.members import InvitationNode, MemberNode
from schema.nodes import GlobalId, Node
from schema.plans import LimitUsage
from schema.promotions import PromotionNode, promotion_connection
from schema.releases import ReleaseNode, release_connection
from schema.segments import Segment, segments_in
from schema.settings import ProjectSettingsNode
from schema.webhooks import WebhookNode

OptionalKind = Annotated[
    str | None, strawberry.argument(description="Only documents of this kind; left out: of all kinds.")
]
Statuses = Annotated[
    list[EnvStatus] | None, strawberry.argument(description="Only those with one of these statuses; left out: all.")
]
Types = Annotated[
    list[EnvType] | None, strawberry.argument(description="Only those of one of these types; left out: all.")
]


@strawberry.type(name="Project", description="A tenant: a name, a plan, members, keys, and all its environments.")
class ProjectNode(Node):
    project_id: int = strawberry.field(description="Its number, `project_id` in REST.")

    @classmethod
    def of(cls, project_id: int) -> "ProjectNode":
        return cls(id=GlobalId("Project", project_id).encode(), project_id=project_id)

    @field
    async def name(self, info: Info) -> str:
        """What its owner called it."""
        return (await info.context.loaders.project(self.project_id)).name

    @field
    async def plan(self, info: Info) -> Plan:
        """Its subscription."""
        return (await info.context.loaders.project(self.project_id)).plan

    @field
    async def usage(self, info: Info) -> list[LimitUsage]:
        """What its plan allows, and what of it is in use."""
        return LimitUsage.all_of(await info.context.loaders.usages.load(self.project_id))

    @field
    async def settings(self, info: Info) -> ProjectSettingsNode:
        """What its owners decided about how it works."""
        return ProjectSettingsNode.of(await info.context.loaders.settings.load(self.project_id))

    @field
    async def freezes(self, info: Info) -> list[FreezeNode]:
        """The freezes in force and those to come, the first to start first."""
        return [FreezeNode.of(freeze) for freeze in await info.context.loaders.freezes.load(self.project_id)]

    @field
    async def created_at(self, info: Info) -> datetime:
        """When it was made."""
        return (await info.context.loaders.project(self.project_id)).created_at

    @field
    async def viewer_role(self, info: Info) -> Role | None:
        """What the caller is in it; null for an API key."""
        return await service.role(info.context.actor, self.project_id)

    @field
    async def production(self, info: Info) -> EnvironmentNode:
        """The environment that users get; it is there from birth and cannot be archived."""
        uuid = (await info.context.loaders.project(self.project_id)).production_uuid
        return EnvironmentNode.of(await info.context.loaders.environment(self.project_id, uuid))

    @field
    async def environments(
        self,
        info: Info,
        status: Statuses = None,
        type: Types = None,  # noqa: A002
        first: First = FIRST,
        after: After = None,
    ) -> Connection[EnvironmentNode]:
        """Its environments: production first, then the oldest first."""
        statuses, types, project_id = status or (), type or (), self.project_id
        page = await environment_service.list_environments(
            info.context.actor, project_id, statuses=statuses, types=types, limit=size(first), cursor=after
        )
        info.context.loaders.known(page.items)

        async def count() -> int:
            return await levels.count_environments(project_id, statuses, types)

        return environment_connection(page, after, count)

    @field
    async def environment(
        self, info: Info, name: Annotated[str, strawberry.argument(description="Name of a living environment.")]
    ) -> EnvironmentNode | None:
        """The environment of that name; null if there is none."""
        try:
            found = await environment_service.find(info.context.actor, self.project_id, name)
        except EnvironmentNotFound:
            return None
        return EnvironmentNode.of(found)

    @field
    async def segments(self, info: Info) -> list[Segment]:
        """The segments that are defined in the environment of the request."""
        env = await info.context.current(self.project_id)
        return await segments_in(info, self.project_id, env.head_uuid)

    @field
    async def active_environment(self, info: Info) -> EnvironmentNode | None:
        """The environment that the request names by `X-AgentStack-Env` or `?env=`, else the one that the user chose.

        Production if there is neither.
        """
        return EnvironmentNode.of(await info.context.current(self.project_id))

    @field
    async def document(self, info: Info, kind: Kind = PROJECT_KIND, key: Key = None) -> ResolvedDocument | None:
        """A document as the active environment shows it; null if it shows none of that name."""
        env = await info.context.current(self.project_id)
        return await shown_by(info, self.project_id, env.head_uuid, kind, key)

    @field
    async def tree(self, info: Info) -> GenerationNode:
        """The root of the generation tree: production's generation 0."""
        return GenerationNode.of((await info.context.loaders.trees.load(self.project_id)).root)

    @field
    async def history(
        self,
        info: Info,
        kind: OptionalKind = None,
        key: Key = None,
        first: First = FIRST,
        after: After = None,
    ) -> Connection[ChangeNode]:
        """What was written in all environments, newest first."""
        project_id = self.project_id
        page = await history.list_changes(
            info.context.actor, project_id, kind=kind, key=key, limit=size(first), cursor=after
        )
        counted = PROJECT_KIND if key is not None and kind is None else kind

        async def count() -> int:
            return await levels.count_changes(project_id, counted, key)

        return change_connection(page.items, after, more=page.next_cursor is not None, count=count)

    @field
    async def checkpoints(self, info: Info, first: First = FIRST, after: After = None) -> Connection[GenerationNode]:
        """The checkpoints of all its environments, newest first."""
        page = await checkpoints.list_checkpoints(info.context.actor, self.project_id, limit=size(first), cursor=after)
        return self._snapshots(page, after, GenerationKind.CHECKPOINT)

    @field
    async def backups(self, info: Info, first: First = FIRST, after: After = None) -> Connection[GenerationNode]:
        """The backups of production, newest first."""
        page = await backups.list_backups(info.context.actor, self.project_id, limit=size(first), cursor=after)
        return self._snapshots(page, after, GenerationKind.BACKUP)

    @field
    async def api_keys(self, info: Info) -> list[ApiKeyNode] | None:
        """Its API keys, newest first, revoked ones included. For owners and admins."""
        return [ApiKeyNode.of(key) for key in await info.context.loaders.api_keys.load(self.project_id)]

    @field
    async def audit(
        self,
        info: Info,
        filter: FilterArgument = None,  # noqa: A002
        first: First = FIRST,
        after: After = None,
    ) -> Connection[AuditNode] | None:
        """What was done in it and what was refused, newest first. For owners and admins."""
        wanted, project_id = filter.filter() if filter else Filter(), self.project_id
        page = await audit.list_entries(info.context.actor, project_id, wanted, limit=size(first), cursor=after)

        async def count() -> int:
            return await entries.count(project_id, wanted)

        return audit_connection(page, after, count)

    @field
    async def members(self, info: Info) -> list[MemberNode] | None:
        """Its members, who joined first comes first. An API key needs the scope `ADMIN`."""
        return [MemberNode.of(member) for member in await info.context.loaders.members.load(self.project_id)]

    @field
    async def invitations(self, info: Info) -> list[InvitationNode] | None:
        """The invitations that can still be accepted, newest first. For owners and admins."""
        return [InvitationNode.of(item) for item in await info.context.loaders.invitations.load(self.project_id)]

    @field
    async def webhooks(self, info: Info) -> list[WebhookNode] | None:
        """Its webhooks, the oldest first. For owners and admins."""
        return [WebhookNode.of(item) for item in await info.context.loaders.webhooks.load(self.project_id)]

    @field
    async def promotions(
        self,
        info: Info,
        env_uuid: Annotated[UUID | None, strawberry.argument(description="Only those of this environment.")] = None,
        status: Annotated[
            list[PromotionStatus] | None, strawberry.argument(description="Only those with one of these statuses.")
        ] = None,
        first: First = FIRST,
        after: After = None,
    ) -> Connection[PromotionNode]:
        """The requests to promote an environment, newest first."""
        wanted, project_id = Wanted(env_uuid, status or ()), self.project_id
        page = await deciding.list_promotions(
            info.context.actor,
            project_id,
            env_uuid=env_uuid,
            statuses=wanted.statuses,
            limit=size(first),
            cursor=after,
        )

        async def count() -> int:
            return await promotions.count(project_id, wanted)

        return promotion_connection(page, after, count)

    @field
    async def experiments(
        self,
        info: Info,
        status: Annotated[
            list[ExperimentStatus] | None, strawberry.argument(description="Only those with one of these statuses.")
        ] = None,
        first: First = FIRST,
        after: After = None,
    ) -> Connection[ExperimentNode]:
        """Its A/B tests, newest first."""
        return await experiments_of(info, self.project_id, status or (), first, after)

    @field
    async def releases(self, info: Info, first: First = FIRST, after: After = None) -> Connection[ReleaseNode]:
        """What went to production, newest first."""
        project_id = self.project_id
        page = await releasing.list_releases(info.context.actor, project_id, limit=size(first), cursor=after)

        async def count() -> int:
            return await releases.count_all(project_id)

        return release_connection(page, after, count)

    def _snapshots(self, page: Page[Generation], after: str | None, kind: GenerationKind) -> Connection[GenerationNode]:
        async def count() -> int:
            return await levels.count_snapshots(self.project_id, kind)

        return snapshot_connection(page.items, after, more=page.next_cursor is not None, count=count)
