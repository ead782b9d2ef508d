"""Members of a project and those invited."""

from datetime import datetime
from uuid import UUID

import strawberry

from app.domain.members import Invitation, Member
from app.domain.model import Role
from schema.context import Info
from schema.describe import field
from schema.edges import AnEnvironment
from schema.environments import EnvironmentNode
from schema.nodes import GlobalId, Node


async def _environments(info: Info, project_id: int, uuids: frozenset[UUID] | None) -> list[EnvironmentNode] | None:
    if uuids is None:
        return None
    found = await info.context.loaders.environments.load_many([(project_id, uuid) for uuid in sorted(uuids)])
    return [EnvironmentNode.of(env) for env in found if env is not None]


@strawberry.type(name="Member", description="An account in a project, and what it may do there.")
class MemberNode(Node):
    account_uuid: UUID = strawberry.field(description="UUID of the account.")
    email: str | None = strawberry.field(description="E-mail address; null for an account that has none.")
    role: Role = strawberry.field(description="What it may do.")
    joined_at: datetime = strawberry.field(description="When it became a member.")
    source: strawberry.Private[Member]

    @classmethod
    def of(cls, member: Member) -> "MemberNode":
        return cls(
            id=GlobalId("Member", member.project_id, member.account_uuid).encode(),
            account_uuid=member.account_uuid,
            email=member.email,
            role=member.role,
            joined_at=member.created_at,
            source=member,
        )

    @field
    async def environments(self, info: Info) -> list[AnEnvironment] | None:
        """The only environments that it may change or fork; null: all. It reads all of them."""
        return await _environments(info, self.source.project_id, self.source.membership.environments)


@strawberry.type(name="Invitation", description="An e-mail address that may become a member, and has not yet.")
class InvitationNode(Node):
    uuid: UUID = strawberry.field(description="UUID of the invitation.")
    email: str = strawberry.field(description="E-mail address that was invited, lower case.")
    role: Role = strawberry.field(description="What it will be allowed to do.")
    created_at: datetime = strawberry.field(description="When it was invited.")
    expires_at: datetime = strawberry.field(description="From when on the invitation cannot be accepted.")
    source: strawberry.Private[Invitation]

    @classmethod
    def of(cls, invitation: Invitation) -> "InvitationNode":
        return cls(
            id=GlobalId("Invitation", invitation.project_id, invitation.uuid).encode(),
            uuid=invitation.uuid,
            email=invitation.email,
            role=invitation.role,
            created_at=invitation.created_at,
            expires_at=invitation.expires_at,
            source=invitation,
        )

    @field
    async def environments(self, info: Info) -> list[AnEnvironment] | None:
        """The only environments that it will be allowed to change or fork; null: all."""
        return await _environments(info, self.source.project_id, self.source.environments)
