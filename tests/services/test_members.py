"""Members and invitations: who may make whom what, and that a project is never without an owner."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from app.domain.errors import (
    AlreadyMember,
    Conflict,
    DirectProductionWriteForbidden,
    DomainError,
    EnvironmentNotFound,
    EnvironmentRestricted,
    Forbidden,
    InvitationForAnother,
    InvitationNotFound,
    LastOwner,
    MemberNotFound,
    ProjectNotFound,
    ValidationFailed,
)
from app.domain.members import Member, Membership
from app.domain.model import Actor, Project, Role, Scope
from app.services import (
    access,
    active_environment,
    api_keys,
    checkpoints,
    documents,
    environments,
    invitations,
    members,
    project_settings,
    projects,
)
from app.services.branching import ForkOptions
from app.services.environments import EnvironmentUpdate
from app.services.invitations import Invited
from app.services.members import MemberChange
from app.storage import db
from app.storage import invitations as stored_invitations
from app.storage import members as stored
from tests.conftest import Database, MakeActor
from tests.services.shop import Shop

ROUNDS = 10


class Team:
    """A project with a member of each role beside its owner, and ways to make more."""

    def __init__(self, shop: Shop, make_actor: MakeActor) -> None:
        self.shop, self.owner, self.make_actor = shop, shop.actor, make_actor
        self.project_id = shop.project_id

    async def join(self, role: Role, *environments: str) -> Actor:
        """Return a new member, who was invited and accepted."""
        member = await self.make_actor()
        await invitations.accept(member, token(await self.invite(member.name, role, *environments)))
        return member

    async def invite(self, email: str, role: Role, *environments: str) -> Invited:
        return await invitations.invite(self.owner, self.project_id, email, role, environments or None)

    async def change(self, by: Actor, whom: Actor, change: MemberChange) -> Member:
        return await members.change(by, self.project_id, whom.account_uuid, change)

    async def remove(self, by: Actor, whom: Actor) -> Member:
        return await members.remove(by, self.project_id, whom.account_uuid)

    async def role(self, of: Actor) -> Role | None:
        found = await stored.get(self.project_id, of.account_uuid)
        return found.role if found else None


def token(invited: Invited) -> str:
    assert invited.token is not None
    return invited.token


@pytest.fixture
def team(shop: Shop, make_actor: MakeActor) -> Team:
    return Team(shop, make_actor)


def to(role: Role) -> MemberChange:
    return MemberChange(role=role)


async def test_the_last_owner_stays(team: Team) -> None:
    admin = await team.join(Role.ADMIN)
    with pytest.raises(LastOwner):
        await team.remove(team.owner, team.owner)
    for role in (Role.ADMIN, Role.EDITOR, Role.VIEWER):
        with pytest.raises(LastOwner):
            await team.change(team.owner, team.owner, to(role))
    await team.change(team.owner, admin, to(Role.OWNER))
    await team.remove(team.owner, team.owner)
    assert await team.role(team.owner) is None
    assert await team.role(admin) is Role.OWNER
    with pytest.raises(LastOwner):
        await team.remove(admin, admin)


async def test_of_two_owners_who_leave_at_once_one_stays(team: Team) -> None:
    for round_ in range(ROUNDS):
        project = await projects.create(team.owner, f"Round {round_}")
        second = await team.make_actor()
        await stored.add(project.id, second.account_uuid, Role.OWNER, None)
        first = members.remove(team.owner, project.id, team.owner.account_uuid)
        if round_ % 2:
            other = members.change(team.owner, project.id, second.account_uuid, to(Role.VIEWER))
        else:
            other = members.remove(second, project.id, second.account_uuid)
        results = await asyncio.gather(first, other, return_exceptions=True)
        refusals = [result for result in results if isinstance(result, BaseException)]
        assert len(refusals) == 1, results
        assert isinstance(refusals[0], (LastOwner, ProjectNotFound, Forbidden)), results
        assert await stored.count_owners(project.id) == 1


async def test_the_database_keeps_an_owner_too(database: Database, project: Project) -> None:
    connection = await asyncpg.connect(database.app_dsn)
    try:
        for statement in ("DELETE FROM member", "UPDATE member SET role = 'viewer'"):
            with pytest.raises(asyncpg.RestrictViolationError):
                await connection.execute(f"{statement} WHERE project_id = $1", project.id)
        for limit in ("'{}'", f"ARRAY['{uuid4()}'::uuid]"):
            with pytest.raises(asyncpg.CheckViolationError):
                await connection.execute(f"UPDATE member SET environments = {limit} WHERE project_id = $1", project.id)
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await connection.execute(
                "UPDATE member SET active_env_uuid = gen_random_uuid() WHERE project_id = $1", project.id
            )
    finally:
        await connection.close()


async def test_who_may_deal_with_whom(team: Team) -> None:
    people = {role: await team.join(role) for role in Role}
    for own in (Role.EDITOR, Role.VIEWER):
        for other in Role:
            calls: list[Awaitable[object]] = [
                team.change(people[own], people[other], to(Role.VIEWER)),
                invitations.invite(people[own], team.project_id, f"{uuid4()}@example.com", other),
            ]
            if own is not other:
                calls.append(team.remove(people[own], people[other]))
            for call in calls:
                with pytest.raises(Forbidden):
                    await call
    admin = people[Role.ADMIN]
    for call in (
        team.change(admin, people[Role.OWNER], to(Role.ADMIN)),
        team.remove(admin, people[Role.OWNER]),
        team.change(admin, people[Role.EDITOR], to(Role.OWNER)),
        team.change(admin, admin, to(Role.OWNER)),
    ):
        with pytest.raises(Forbidden):
            await call
    with pytest.raises(Forbidden):
        await invitations.invite(admin, team.project_id, f"{uuid4()}@example.com", Role.OWNER)
    assert {role: await team.role(actor) for role, actor in people.items()} == {role: role for role in Role}
    await team.change(admin, people[Role.VIEWER], to(Role.ADMIN))
    await team.remove(admin, people[Role.EDITOR])
    assert (await team.change(team.owner, people[Role.OWNER], to(Role.EDITOR))).role is Role.EDITOR


async def test_whoever_leaves_is_a_member_no_more(team: Team) -> None:
    for role in Role:
        member = await team.join(role)
        assert (await team.remove(member, member)).role is role
        with pytest.raises(ProjectNotFound):
            await projects.get(member, team.project_id)
        with pytest.raises(ProjectNotFound):
            await team.remove(member, member)
        with pytest.raises(MemberNotFound):
            await team.remove(team.owner, member)


async def test_keys_of_who_left_stay_with_the_project(team: Team) -> None:
    admin = await team.join(Role.ADMIN)
    key = (await api_keys.create(admin, team.project_id, "key", [Scope.READ])).key
    await team.remove(team.owner, admin)
    by_key = Actor(admin.account_uuid, "key", key.uuid, team.project_id, frozenset(key.scopes))
    assert (await projects.get(by_key, team.project_id)).id == team.project_id


async def test_an_invitation_is_good_once_for_its_address_until_it_ends(team: Team, make_actor: MakeActor) -> None:
    guest, other = await make_actor(), await make_actor()
    text = token(await team.invite(guest.name.upper(), Role.EDITOR))
    with pytest.raises(InvitationForAnother):
        await invitations.accept(other, text)
    for wrong in ("", "x", text[:-1], text + "A", text.replace("invitation_", "invitation_0"), f"invitation_1_{text}"):
        with pytest.raises(InvitationNotFound):
            await invitations.accept(guest, wrong)
    assert (await invitations.accept(guest, text)).role is Role.EDITOR
    assert await invitations.pending(team.owner, team.project_id) == []
    with pytest.raises(InvitationNotFound):
        await invitations.accept(guest, text)
    with pytest.raises(AlreadyMember):
        await team.invite(guest.name, Role.VIEWER)
    await team.remove(team.owner, guest)
    with pytest.raises(InvitationNotFound):
        await invitations.accept(guest, text)


async def test_replaced_revoked_and_old_invitations_are_good_for_nothing(team: Team, make_actor: MakeActor) -> None:
    guest = await make_actor()
    first = await team.invite(guest.name, Role.ADMIN)
    second = await team.invite(guest.name, Role.VIEWER)
    assert [item.uuid for item in await invitations.pending(team.owner, team.project_id)] == [second.invitation.uuid]
    await invitations.revoke(team.owner, team.project_id, second.invitation.uuid)
    third = await team.invite(guest.name, Role.VIEWER)
    await db.execute(
        "UPDATE invitation SET expires_at = clock_timestamp() WHERE project_id = $1 AND uuid = $2",
        team.project_id,
        third.invitation.uuid,
    )
    for invited in (first, second, third):
        with pytest.raises(InvitationNotFound):
            await invitations.accept(guest, token(invited))
        with pytest.raises(InvitationNotFound):
            await invitations.revoke(team.owner, team.project_id, invited.invitation.uuid)
    assert third.invitation.expires_at - third.invitation.created_at >= timedelta(days=6, hours=23)
    await invitations.accept(guest, token(await team.invite(guest.name, Role.VIEWER)))
    rows = await db.fetch("SELECT t::text AS t FROM invitation t WHERE project_id = $1", team.project_id)
    assert not any(token(invited)[-43:] in row["t"] for invited in (first, second, third) for row in rows)


async def test_what_a_demoted_member_invited_to_is_void(team: Team, make_actor: MakeActor) -> None:
    owner, guests = await team.join(Role.OWNER), [await make_actor() for _ in range(3)]
    roles = (Role.OWNER, Role.ADMIN, Role.VIEWER)
    made = [
        await invitations.invite(owner, team.project_id, guest.name, role)
        for guest, role in zip(guests, roles, strict=True)
    ]
    await team.change(team.owner, owner, to(Role.ADMIN))
    with pytest.raises(InvitationNotFound):
        await invitations.accept(guests[0], token(made[0]))
    await invitations.accept(guests[1], token(made[1]))
    await team.remove(team.owner, owner)
    with pytest.raises(InvitationNotFound):
        await invitations.accept(guests[2], token(made[2]))


async def test_one_invitation_accepted_at_once_makes_one_member(team: Team, make_actor: MakeActor) -> None:
    guest = await make_actor()
    text = token(await team.invite(guest.name, Role.VIEWER))
    results = await asyncio.gather(*(invitations.accept(guest, text) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(result, Member) for result in results) == 1
    assert all(isinstance(result, (Member, InvitationNotFound)) for result in results)


async def test_an_account_without_an_address_accepts_nothing(team: Team, make_actor: MakeActor) -> None:
    guest = await make_actor()
    text = token(await team.invite(guest.name, Role.VIEWER))
    await db.execute("UPDATE account SET email = NULL, password_hash = NULL WHERE uuid = $1", guest.account_uuid)
    with pytest.raises(InvitationForAnother):
        await invitations.accept(guest, text)


async def test_a_project_has_so_many_members_at_most(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.domain.members.MAX_MEMBERS", 3)
    await team.join(Role.VIEWER)
    await team.invite(f"{uuid4()}@example.com", Role.VIEWER)
    with pytest.raises(Conflict):
        await team.invite(f"{uuid4()}@example.com", Role.VIEWER)


async def test_pages_of_members_and_invitations(team: Team) -> None:
    people = [team.owner, *[await team.join(Role.VIEWER) for _ in range(4)]]
    invited = [(await team.invite(f"{uuid4()}@example.com", Role.VIEWER)).invitation.uuid for _ in range(5)]
    found, cursor = [], None
    while True:
        page = await members.list_members(team.owner, team.project_id, limit=2, cursor=cursor)
        found += [member.account_uuid for member in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert found == [actor.account_uuid for actor in people]
    assert [member.account_uuid for member in await members.everyone(team.owner, team.project_id)] == found
    listed, cursor = [], None
    while True:
        shown = await invitations.list_invitations(team.owner, team.project_id, limit=2, cursor=cursor)
        listed += [item.uuid for item in shown.items]
        if (cursor := shown.next_cursor) is None:
            break
    assert listed == invited[::-1]
    assert await stored_invitations.count(team.project_id) == 5


async def _refused(calling: Awaitable[object], *errors: type[DomainError]) -> None:
    with pytest.raises(errors):
        await calling


async def test_a_limited_editor_changes_its_environments_only(team: Team) -> None:
    shop, project_id = team.shop, team.project_id
    mine, other = await shop.fork("mine"), await shop.fork("other")
    await shop.put("mine", {"n": 0})
    beside = (await shop.checkpoint(other)).uuid
    limited = await team.join(Role.EDITOR, "mine")
    for env, uuid in ((None, shop.production), ("other", other)):
        for calling in (
            documents.put(limited, project_id, env, "page", "a", {}),
            documents.merge(limited, project_id, env, "page", "a", {}),
            documents.delete(limited, project_id, env, "page", "a"),
            checkpoints.checkpoint(limited, uuid, None),
            checkpoints.pin(limited, uuid),
            environments.update(limited, uuid, EnvironmentUpdate(name="renamed")),
            environments.archive(limited, uuid),
            environments.fork(limited, project_id, ForkOptions("copy", parent_env_uuid=uuid)),
        ):
            await _refused(calling, EnvironmentRestricted)
    await _refused(checkpoints.rollback(limited, beside), EnvironmentRestricted)
    await _refused(checkpoints.delete_checkpoint(limited, beside), EnvironmentRestricted)
    await documents.put(limited, project_id, "mine", "page", "a", {"n": 1})
    for env in (None, "other"):
        await documents.read(limited, project_id, env, "page", "a")
    made = (await environments.fork(limited, project_id, ForkOptions("copy", parent_env_uuid=mine))).environment
    await documents.put(limited, project_id, "copy", "page", "a", {"n": 2})
    rolled = await checkpoints.rollback(limited, (await checkpoints.checkpoint(limited, mine, None)).uuid)
    await documents.put(limited, project_id, rolled.environment.name, "page", "a", {"n": 3})
    member = await stored.get(project_id, limited.account_uuid)
    assert member is not None
    assert member.membership.environments == frozenset({mine, made.uuid, rolled.environment.uuid})
    assert await shop.state(None) != {"n": 1}


async def test_limits_are_lifted_and_set(team: Team) -> None:
    await team.shop.fork("one")
    two = await team.shop.fork("two")
    member = await team.join(Role.EDITOR, "one")
    limits = MemberChange(environments=["two", str(two)])
    assert (await team.change(team.owner, member, limits)).membership.environments == frozenset({two})
    await _refused(documents.put(member, team.project_id, "one", "page", "a", {}), EnvironmentRestricted)
    assert (await team.change(team.owner, member, to(Role.VIEWER))).membership.environments == frozenset({two})
    assert (await team.change(team.owner, member, to(Role.ADMIN))).membership.environments is None
    await _refused(team.change(team.owner, member, limits), ValidationFailed)
    await _refused(team.invite(f"{uuid4()}@example.com", Role.ADMIN, "one"), ValidationFailed)
    await _refused(team.change(team.owner, member, MemberChange(Role.EDITOR, [])), ValidationFailed)
    await _refused(team.change(team.owner, member, MemberChange(Role.EDITOR, ["three"])), EnvironmentNotFound)
    await _refused(team.change(team.owner, member, MemberChange(Role.EDITOR, [str(uuid4())])), EnvironmentNotFound)
    await team.change(team.owner, member, MemberChange(Role.EDITOR, ["one"]))
    assert (await team.change(team.owner, member, MemberChange(environments=None))).membership.environments is None


async def test_who_may_write_to_production_directly(team: Team) -> None:
    editor = await team.join(Role.EDITOR)
    await team.shop.fork("env")
    await documents.put(editor, team.project_id, None, "page", "a", {"n": 1})
    await db.execute(
        'INSERT INTO project_settings (project_id, settings) VALUES ($1, \'{"direct_prod_roles": ["owner"]}\')',
        team.project_id,
    )
    project_settings._remembered.clear()
    key = Actor(team.owner.account_uuid, "key", uuid4(), team.project_id, frozenset(Scope))
    for caller in (editor, key):
        writing = documents.put(caller, team.project_id, None, "page", "a", {"n": 2})
        await _refused(writing, DirectProductionWriteForbidden)
        await documents.put(caller, team.project_id, "env", "page", "a", {"n": 2})
    await documents.put(team.owner, team.project_id, None, "page", "a", {"n": 3})


async def test_where_a_member_works(team: Team) -> None:
    shop, project_id = team.shop, team.project_id
    env = await shop.fork("env")
    editor = await team.join(Role.EDITOR)
    assert (await active_environment.chosen(editor, project_id)).uuid == shop.production
    await active_environment.choose(editor, project_id, "env")
    await documents.put(editor, project_id, None, "page", "a", {"n": 1})
    assert await shop.state("env") == {"n": 1}
    assert await shop.state(None) != {"n": 1}
    assert (await environments.find(team.owner, project_id, None)).uuid == shop.production
    membership = await access.membership_in(editor, project_id)
    assert membership == Membership(Role.EDITOR, None, env)


async def test_a_former_member_does_not_fall_back_to_production(team: Team) -> None:
    await team.shop.fork("env")
    editor = await team.join(Role.EDITOR)
    await active_environment.choose(editor, team.project_id, "env")
    await projects.get(editor, team.project_id)
    before = await team.shop.state(None)
    # Another process removed it: this one does not know yet.
    await stored.remove(team.project_id, editor.account_uuid)
    await _refused(documents.put(editor, team.project_id, None, "page", "a", {"n": 1}), ProjectNotFound)
    await _refused(documents.read(editor, team.project_id, None, "page", "a"), ProjectNotFound)
    assert await team.shop.state(None) == before


async def test_a_key_has_no_active_environment(team: Team) -> None:
    key = replace(team.owner, name="key", key_uuid=uuid4(), project_id=team.project_id, scopes=frozenset(Scope))
    await team.shop.fork("env")
    await active_environment.choose(team.owner, team.project_id, "env")
    assert (await environments.find(key, team.project_id, None)).uuid == team.shop.production
