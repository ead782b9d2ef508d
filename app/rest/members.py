"""``/api/projects/{id}``: members and invitations; ``/api/invitations``: accepting one."""

from uuid import UUID

from litestar import Router, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET

from app.domain.values import MISSING
from app.rest.bodies import InvitationToken, MemberSettings, NewInvitation
from app.rest.member_answers import InvitationAnswer, Invitations, InvitedAnswer, MemberAnswer, Members
from app.rest.parameters import Caller, Cursor, Limit, ProjectId
from app.services import invitations, members
from app.services.members import MemberChange


@get("/members")
async def list_members(project_id: ProjectId, actor: Caller, limit: Limit = 50, cursor: Cursor = None) -> Members:
    """List the members of a project, who joined first comes first.

    API keys need the scope `admin`.
    """
    page = await members.list_members(actor, project_id, limit=limit, cursor=cursor)
    return Members(members=[MemberAnswer.of(member) for member in page.items], next_cursor=page.next_cursor)


@patch("/members/{account_uuid:str}")
async def change_member(
    project_id: ProjectId, account_uuid: FromPath[UUID], data: JSONBody[MemberSettings], actor: Caller
) -> MemberAnswer:
    """Change a member's role, or the environments that it may change.

    For owners and admins; only owners deal with owners, and the last one stays.
    """
    wanted = MemberChange(
        role=MISSING if data.role is UNSET else data.role,
        environments=MISSING if data.environments is UNSET else data.environments,
    )
    return MemberAnswer.of(await members.change(actor, project_id, account_uuid, wanted))


@delete("/members/{account_uuid:str}", status_code=200)
async def remove_member(project_id: ProjectId, account_uuid: FromPath[UUID], actor: Caller) -> MemberAnswer:
    """Remove a member, or leave the project with your own account's UUID.

    Access ends within a second. The API keys that the member made stay: they belong to the project.
    """
    return MemberAnswer.of(await members.remove(actor, project_id, account_uuid))


async def _invite(project_id: ProjectId, data: JSONBody[NewInvitation], actor: Caller) -> InvitedAnswer:
    """Invite an e-mail address, whether or not it has an account; an earlier invitation of it is replaced.

    No mail is sent: hand over the `token`, which is shown once. Accepting takes the token and an account with the
    address, within seven days.
    """
    made = await invitations.invite(actor, project_id, data.email, data.role, data.environments)
    return InvitedAnswer.showing(made)


@get("/invitations")
async def list_invitations(
    project_id: ProjectId, actor: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Invitations:
    """List the invitations that can still be accepted, newest first."""
    page = await invitations.list_invitations(actor, project_id, limit=limit, cursor=cursor)
    return Invitations(invitations=[InvitationAnswer.of(item) for item in page.items], next_cursor=page.next_cursor)


@delete("/invitations/{invitation_uuid:str}", status_code=200)
async def revoke_invitation(project_id: ProjectId, invitation_uuid: FromPath[UUID], actor: Caller) -> InvitationAnswer:
    """Make an invitation useless."""
    return InvitationAnswer.of(await invitations.revoke(actor, project_id, invitation_uuid))


@post("/accept", status_code=201)
async def accept_invitation(data: JSONBody[InvitationToken], actor: Caller) -> MemberAnswer:
    """Become a member with the token of an invitation; your account must have the address that was invited."""
    return MemberAnswer.of(await invitations.accept(actor, data.token))


def member_routes() -> list[Router]:
    """Return the routes of members and invitations; to invite, one may also post to the members."""
    of_project = [
        list_members,
        change_member,
        remove_member,
        list_invitations,
        revoke_invitation,
        post("/invitations", status_code=201, operation_id="inviteMember")(_invite),
        post("/members", status_code=201, operation_id="inviteHere")(_invite),
    ]
    return [
        Router("/api/projects/{project_id:str}", route_handlers=of_project, tags=["Members"]),
        Router("/api/invitations", route_handlers=[accept_invitation], tags=["Members"]),
    ]
