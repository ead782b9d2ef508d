"""Who asks."""

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain import policy
from app.domain.members import Membership
from app.domain.model import Actor as Caller
from app.domain.model import Role, Scope
from app.domain.policy import Operation
from app.services import identity, projects
from app.storage import accounts
from schema.context import Info
from schema.describe import field
from schema.environments import EnvironmentNode
from schema.projects import ProjectNode

ProjectId: TypeAlias = Annotated[
    int | None, strawberry.argument(description="Number of the project; an API key may leave it out.")
]


@strawberry.type(description="A user's account.")
class Account:
    uuid: UUID = strawberry.field(description="UUID of the account.")
    email: str | None = strawberry.field(
        description="E-mail address, lower case; null where an external issuer vouches for none."
    )
    created_at: datetime = strawberry.field(description="When it was registered.")

    @classmethod
    def of(cls, account: accounts.Account) -> "Account":
        return cls(uuid=account.uuid, email=account.email, created_at=account.created_at)


@strawberry.type(description="What the user is in one project.")
class ViewerRole:
    project_id: int = strawberry.field(description="Number of the project.")
    role: Role = strawberry.field(description="What the user may do there.")
    env_uuids: list[UUID] | None = strawberry.field(
        description="UUIDs of the only environments that it may change or fork; null: all."
    )
    active_env_uuid: UUID | None = strawberry.field(
        description="Where its requests go that name no environment; null: to production."
    )

    @classmethod
    def of(cls, project_id: int, membership: Membership) -> "ViewerRole":
        limit = membership.environments
        return cls(
            project_id=project_id,
            role=membership.role,
            env_uuids=None if limit is None else sorted(limit),
            active_env_uuid=membership.active_env_uuid,
        )

    @field
    async def project(self) -> ProjectNode:
        """The project."""
        return ProjectNode.of(self.project_id)


@strawberry.type(description="Who asks: a user with a token, or a program with a project's API key.")
class Viewer:
    name: str = strawberry.field(
        description="E-mail address of the user (or what stands for one), or the name of the API key."
    )
    is_api_key: bool = strawberry.field(description="Whether it is an API key.")
    project_id: int | None = strawberry.field(description="The one project of an API key; null for a user.")
    scopes: list[Scope] = strawberry.field(description="What an API key may be used for; empty for a user.")

    @classmethod
    def of(cls, caller: Caller) -> "Viewer":
        return cls(
            name=caller.name,
            is_api_key=caller.is_key,
            project_id=caller.project_id,
            scopes=sorted(caller.scopes),
        )

    @field
    async def account(self, info: Info) -> Account:
        """The user's account; for an API key, the account that made it."""
        return Account.of(await identity.account(info.context.actor))

    @field
    async def role(self, info: Info, project_id: ProjectId = None) -> Role | None:
        """What the user is in a project; null for an API key."""
        return await projects.role(info.context.actor, await info.context.project_id(project_id, None))

    @field
    async def roles(self, info: Info) -> list[ViewerRole]:
        """What the user is in each of its projects, by their numbers; empty for an API key."""
        found = await projects.memberships(info.context.actor)
        return [ViewerRole.of(project_id, membership) for project_id, membership in found.items()]

    @field
    async def active_environment(self, info: Info, project_id: ProjectId = None) -> EnvironmentNode | None:
        """The environment that the request names by `X-AgentStack-Env` or `?env=`, else the one that the user chose.

        Production if there is neither.
        """
        return EnvironmentNode.of(await info.context.current(await info.context.project_id(project_id, None)))


@strawberry.type
class ViewerQuery:
    @field
    async def viewer(self, info: Info) -> Viewer | None:
        """Who asks; null without credentials."""
        caller = info.context.caller
        if caller is None:
            return None
        policy.check(caller, None, Operation.READ_ITSELF)
        return Viewer.of(caller)
