"""Inviting, changing and removing members, and choosing where one works."""

from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain import errors
from app.domain.model import Role
from app.domain.values import MISSING
from app.services import active_environment, invitations
from app.services import members as service
from app.services.members import MemberChange
from schema.context import Info
from schema.describe import mutation
from schema.environments import EnvironmentNode
from schema.errors import Forbidden, InvalidTransition, NotFound, ValidationFailed
from schema.inputs import MutationInput
from schema.members import InvitationNode, MemberNode
from schema.projects import ProjectNode


@strawberry.input(description="Whom to invite, and as what.")
class InviteMemberInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    email: str = strawberry.field(description="E-mail address, whether or not an account has it.")
    role: Role = strawberry.field(description="What the member will be allowed to do.")
    environments: list[str] | None = strawberry.field(
        default=None,
        description="Names or UUIDs of the only environments that an editor will be allowed to change; left out: all.",
    )


@strawberry.input(description="The invitation to revoke.")
class RevokeInvitationInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    invitation_uuid: UUID = strawberry.field(description="UUID of the invitation.")


@strawberry.input(description="The invitation to accept.")
class AcceptInvitationInput(MutationInput):
    token: str = strawberry.field(description="The token that was handed over.")


@strawberry.input(description="What to change of a member; members of the input left out stay as they are.")
class ChangeMemberInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    account_uuid: UUID = strawberry.field(description="UUID of the member's account.")
    role: strawberry.Maybe[Role] = strawberry.field(default=None, description="Its new role.")
    environments: strawberry.Maybe[list[str] | None] = strawberry.field(
        default=None, description="Names or UUIDs of the only environments that it may change; null: all."
    )


@strawberry.input(description="The member to remove.")
class RemoveMemberInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    account_uuid: UUID = strawberry.field(description="UUID of the member's account; your own: you leave.")


@strawberry.input(description="Where to work: a name or a UUID; neither: in production.")
class SetActiveEnvironmentInput(MutationInput):
    project_id: int | None = strawberry.field(
        default=None, description="Number of the project; may be left out where `envUuid` says it."
    )
    env_uuid: UUID | None = strawberry.field(default=None, description="UUID of the environment.")
    name: str | None = strawberry.field(default=None, description="Name of the environment.")


@strawberry.type(description="The address was invited. No mail was sent.")
class InviteMemberPayload:
    invitation: InvitationNode = strawberry.field(description="The invitation.")
    token: str | None = strawberry.field(
        description="Hand it over to the person invited. It is shown now and never again; null in an answer that is"
        " repeated under an idempotency key."
    )


@strawberry.type(description="The invitation can no longer be accepted.")
class RevokeInvitationPayload:
    invitation: InvitationNode = strawberry.field(description="The invitation that was.")


@strawberry.type(description="The caller is a member now.")
class AcceptInvitationPayload:
    member: MemberNode = strawberry.field(description="What the caller is in the project.")
    project: ProjectNode = strawberry.field(description="The project.")


@strawberry.type(description="The member was changed.")
class ChangeMemberPayload:
    member: MemberNode = strawberry.field(description="The member as it is now.")


@strawberry.type(description="The account is a member no more; its access ends within a second.")
class RemoveMemberPayload:
    member: MemberNode = strawberry.field(description="The member that was.")


@strawberry.type(description="Requests of the caller that name no environment go there from now on.")
class SetActiveEnvironmentPayload:
    environment: EnvironmentNode = strawberry.field(description="The active environment.")


InviteMemberResult: TypeAlias = Annotated[
    InviteMemberPayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("InviteMemberResult", description="The invitation, or why there is none."),
]
RevokeInvitationResult: TypeAlias = Annotated[
    RevokeInvitationPayload | NotFound | Forbidden,
    strawberry.union("RevokeInvitationResult", description="The invitation, or why it was not revoked."),
]
AcceptInvitationResult: TypeAlias = Annotated[
    AcceptInvitationPayload | InvalidTransition | NotFound | Forbidden,
    strawberry.union("AcceptInvitationResult", description="The membership, or why there is none."),
]
ChangeMemberResult: TypeAlias = Annotated[
    ChangeMemberPayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("ChangeMemberResult", description="The member, or why it was not changed."),
]
RemoveMemberResult: TypeAlias = Annotated[
    RemoveMemberPayload | InvalidTransition | NotFound | Forbidden,
    strawberry.union("RemoveMemberResult", description="The member that was, or why it still is one."),
]
SetActiveEnvironmentResult: TypeAlias = Annotated[
    SetActiveEnvironmentPayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("SetActiveEnvironmentResult", description="The environment, or why it was not chosen."),
]


@strawberry.type
class MemberMutation:
    @mutation
    async def invite_member(self, info: Info, input: InviteMemberInput) -> InviteMemberResult:  # noqa: A002
        """Invite an e-mail address; an earlier invitation of it is replaced. For owners and admins.

        Accepting takes the token of the answer and an account with the address, within seven days.
        """
        made = await invitations.invite(
            info.context.actor, input.project_id, input.email, input.role, input.environments
        )
        return InviteMemberPayload(invitation=InvitationNode.of(made.invitation), token=made.token)

    @mutation
    async def revoke_invitation(self, info: Info, input: RevokeInvitationInput) -> RevokeInvitationResult:  # noqa: A002
        """Make an invitation useless. For owners and admins."""
        gone = await invitations.revoke(info.context.actor, input.project_id, input.invitation_uuid)
        return RevokeInvitationPayload(invitation=InvitationNode.of(gone))

    @mutation
    async def accept_invitation(self, info: Info, input: AcceptInvitationInput) -> AcceptInvitationResult:  # noqa: A002
        """Become a member with the token of an invitation; the account must have the address that was invited."""
        member = await invitations.accept(info.context.actor, input.token)
        return AcceptInvitationPayload(member=MemberNode.of(member), project=ProjectNode.of(member.project_id))

    @mutation
    async def change_member(self, info: Info, input: ChangeMemberInput) -> ChangeMemberResult:  # noqa: A002
        """Change a member's role, or the environments that it may change. For owners and admins.

        Only owners deal with owners, and the last one stays. Who becomes an owner or admin is limited no longer.
        """
        wanted = MemberChange(
            role=input.role.value if input.role else MISSING,
            environments=input.environments.value if input.environments else MISSING,
        )
        member = await service.change(info.context.actor, input.project_id, input.account_uuid, wanted)
        return ChangeMemberPayload(member=MemberNode.of(member))

    @mutation
    async def remove_member(self, info: Info, input: RemoveMemberInput) -> RemoveMemberResult:  # noqa: A002
        """Remove a member, or leave; the last owner stays. API keys that the member made stay, too."""
        gone = await service.remove(info.context.actor, input.project_id, input.account_uuid)
        return RemoveMemberPayload(member=MemberNode.of(gone))

    @mutation
    async def set_active_environment(
        self,
        info: Info,
        input: SetActiveEnvironmentInput,  # noqa: A002
    ) -> SetActiveEnvironmentResult:
        """Choose where the caller's requests go that name no environment. Needs a user's token."""
        if input.env_uuid is not None and input.name is not None:
            raise errors.ValidationFailed("Give the environment's UUID or its name, not both.", field="name")
        context = info.context
        project_id = await context.project_id(input.project_id, input.env_uuid)
        reference = input.name if input.env_uuid is None else str(input.env_uuid)
        env = await active_environment.choose(context.actor, project_id, reference)
        return SetActiveEnvironmentPayload(environment=EnvironmentNode.of(env))
