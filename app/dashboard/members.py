"""Who is in a project, who is invited, and the API keys of programs."""

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.dashboard.parameters import EnvUuid, Here, ProjectId, Text
from app.dashboard.visit import Problem, Visit
from app.domain.errors import DomainError, ValidationFailed
from app.domain.members import grantable
from app.domain.model import Role, Scope
from app.services import api_keys, invitations, members
from app.services.members import MemberChange

MEMBERS = "/projects/{project_id:int}/members"
KEYS = "/projects/{project_id:int}/keys"


@get(MEMBERS)
async def members_page(visit: Here, project_id: ProjectId) -> Response[bytes]:
    """List members and invitations."""
    return await _members_page(visit, project_id)


async def _members_page(
    visit: Visit, project_id: int, problem: Problem | None = None, token: str | None = None
) -> Response[bytes]:
    shell = await visit.shell(project_id)
    manages = shell.may("manage_members")
    membership = shell.rights.membership
    roles = grantable(membership.role) if membership else frozenset()
    return visit.page(
        "members.html",
        shell=shell,
        section="members",
        members=await members.everyone(visit.actor, project_id),
        invitations=await invitations.pending(visit.actor, project_id) if manages else [],
        roles=[role for role in Role if role in roles],
        token=token,
        problem=problem,
    )


@post(f"{MEMBERS}/invite")
async def invite(visit: Here, project_id: ProjectId) -> Response[bytes]:
    """Invite somebody; the link is shown now and never again."""
    form = visit.form
    try:
        limited = form.all("environments") or None
        made = await invitations.invite(visit.actor, project_id, form.text("email"), _role(visit), limited)
    except DomainError as error:
        return await _members_page(visit, project_id, Problem("invite", error, form))
    return await _members_page(visit, project_id, token=made.token)


def _role(visit: Visit) -> Role:
    if visit.form.text("role") not in tuple(Role):
        raise ValidationFailed("There is no such role.", field="role")
    return Role(visit.form.text("role"))


@post(f"{MEMBERS}/{{account_uuid:uuid}}/change")
async def change(visit: Here, project_id: ProjectId, account_uuid: EnvUuid) -> Response[bytes]:
    """Give a member another role."""
    try:
        await members.change(visit.actor, project_id, account_uuid, MemberChange(role=_role(visit)))
    except DomainError as error:
        return await _members_page(visit, project_id, Problem("member", error, visit.form))
    return visit.to(f"/projects/{project_id}/members", "The role is changed.")


@post(f"{MEMBERS}/{{account_uuid:uuid}}/remove")
async def remove(visit: Here, project_id: ProjectId, account_uuid: EnvUuid) -> Response[bytes]:
    """Remove a member, or leave."""
    try:
        await members.remove(visit.actor, project_id, account_uuid)
    except DomainError as error:
        return await _members_page(visit, project_id, Problem("member", error, visit.form))
    left = account_uuid == visit.actor.account_uuid
    return visit.to("/" if left else f"/projects/{project_id}/members", "You have left." if left else "Removed.")


@post(f"{MEMBERS}/invitations/{{invitation_uuid:uuid}}/revoke")
async def revoke_invitation(visit: Here, project_id: ProjectId, invitation_uuid: EnvUuid) -> Response[bytes]:
    """Make an invitation useless."""
    try:
        await invitations.revoke(visit.actor, project_id, invitation_uuid)
    except DomainError as error:
        return await _members_page(visit, project_id, Problem("member", error, visit.form))
    return visit.to(f"/projects/{project_id}/members", "The invitation is revoked.")


@get("/invitation")
async def invitation_page(visit: Here, token: Text = "") -> Response[bytes]:
    """Ask whether to accept an invitation."""
    return visit.page("invitation.html", token=token)


@post("/invitation")
async def accept(visit: Here) -> Response[bytes]:
    """Become a member."""
    try:
        member = await invitations.accept(visit.actor, visit.form.text("token").strip())
    except DomainError as error:
        return visit.page("invitation.html", token="", problem=Problem("accept", error, visit.form))
    return visit.to(f"/projects/{member.project_id}", f"Welcome. You are {member.role.value} here.")


@get(KEYS)
async def keys_page(visit: Here, project_id: ProjectId) -> Response[bytes]:
    """List the API keys of a project."""
    return await _keys_page(visit, project_id)


async def _keys_page(
    visit: Visit, project_id: int, problem: Problem | None = None, secret: str | None = None
) -> Response[bytes]:
    return visit.page(
        "keys.html",
        shell=await visit.shell(project_id),
        section="keys",
        keys=await api_keys.list_keys(visit.actor, project_id),
        scopes=list(Scope),
        secret=secret,
        problem=problem,
    )


@post(KEYS)
async def create_key(visit: Here, project_id: ProjectId) -> Response[bytes]:
    """Make a key; its secret is shown now and never again."""
    form = visit.form
    try:
        scopes = [Scope(scope) for scope in form.all("scopes") if scope in tuple(Scope)]
        made = await api_keys.create(visit.actor, project_id, form.text("name"), scopes, form.moment("expires_at"))
    except DomainError as error:
        return await _keys_page(visit, project_id, Problem("key", error, form))
    return await _keys_page(visit, project_id, secret=made.secret)


@post(f"{KEYS}/{{key_uuid:uuid}}/revoke")
async def revoke_key(visit: Here, project_id: ProjectId, key_uuid: EnvUuid) -> Response[bytes]:
    """Revoke a key for good."""
    try:
        await api_keys.revoke(visit.actor, project_id, key_uuid)
    except DomainError as error:
        return await _keys_page(visit, project_id, Problem("revoke", error, visit.form))
    return visit.to(f"/projects/{project_id}/keys", "The key is revoked.")


def member_pages() -> list[HTTPRouteHandler]:
    """Return the pages of members and keys."""
    return [
        members_page,
        invite,
        change,
        remove,
        revoke_invitation,
        invitation_page,
        accept,
        keys_page,
        create_key,
        revoke_key,
    ]
