"""Two projects with everything in them, and everybody who could ask."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast
from uuid import UUID, uuid4

import httpx
from litestar import Litestar

from app.domain.members import Membership
from app.domain.model import Actor, Plan, Role, Scope
from app.services import api_keys, environments, identity, projects
from app.services import members as member_service
from app.services.branching import ForkOptions
from app.storage import accounts, members
from tests.doors import OwnTask
from tests.matrix.requests import Scene
from tests.operations.world import World

if TYPE_CHECKING:
    from httpx._transports.asgi import _ASGIApp

ARCHIVED = "archived environment"
LIMITED = "editor of one environment"


@dataclass(frozen=True)
class Identity:
    """Somebody who asks: a member or key of the project ``home``, or of none.

    ``actor`` is None for whoever no door knows, ``membership`` for keys.
    """

    name: str
    client: httpx.AsyncClient
    actor: Actor | None = None
    home: int | None = None
    membership: Membership | None = None


@dataclass
class Stage:
    """``home`` is the project of most, ``abroad`` another one; ``archived`` an environment of each."""

    home: World
    abroad: World
    archived: dict[int, UUID]
    identities: list[Identity]
    cast: "Cast"

    def world(self, who: Identity, *, own: bool) -> Scene:
        """Return what ``who`` asks about; an archived environment takes the place of the living one for its owner."""
        world = self.home if own else self.abroad
        env = self.archived[world.project.id] if who.name == ARCHIVED else world.env
        account = who.actor.account_uuid if who.actor else uuid4()
        return Scene(**{**vars(world), "client": who.client, "env": env}, account=account)


class Cast:
    """Makes those who ask, each with a client of its own."""

    def __init__(self, app: Litestar, home: World) -> None:
        self._app, self._home = app, home

    def client(self, authorization: str | None = None, **headers: str) -> httpx.AsyncClient:
        headers |= {"Authorization": f"Bearer {authorization}"} if authorization else {}
        transport = OwnTask(app=cast("_ASGIApp", self._app), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers)

    async def again(self, who: Identity) -> Identity:
        """Return the same user with another token."""
        if who.actor is None or who.actor.is_key:
            return who
        return replace(who, client=self.client(await _token(who.actor)))

    async def user(
        self, name: str, actor: Actor, world: World, membership: Membership | None, **headers: str
    ) -> Identity:
        home = world.project.id if membership else None
        return Identity(name, self.client(await _token(actor), **headers), actor, home, membership)

    async def member(self, role: Role, name: str = "", *limits: UUID, **headers: str) -> Identity:
        actor = await account()
        await members.add(self._home.project.id, actor.account_uuid, role, limits or None)
        membership = Membership(role, frozenset(limits) if limits else None)
        return await self.user(name or role.value, actor, self._home, membership, **headers)

    async def expired(self) -> Identity:
        return Identity("expired JWT", self.client(await _token(self._home.actor, -600)))

    async def removed(self) -> Identity:
        actor = await account()
        await members.add(self._home.project.id, actor.account_uuid, Role.ADMIN, None)
        await projects.get(actor, self._home.project.id)
        await member_service.remove(self._home.actor, self._home.project.id, actor.account_uuid)
        return await self.user("removed member", actor, self._home, None)

    async def key(self, name: str, world: World, *scopes: Scope) -> Identity:
        made = await api_keys.create(world.actor, world.project.id, name, scopes)
        client = self.client(made.secret)
        actor = Actor(world.actor.account_uuid, name, made.key.uuid, world.project.id, frozenset(scopes))
        return Identity(name, client, actor, world.project.id)


async def _token(actor: Actor, seconds: int = 900) -> str:
    return await identity.keyring.sign(actor.account_uuid, actor.name, seconds)


async def account() -> Actor:
    """Return a new account."""
    made = await accounts.add_account(f"{uuid4().hex}@example.com", "none")
    return Actor(made.uuid, made.name)


async def _world(client: httpx.AsyncClient) -> tuple[World, UUID]:
    owner = await account()
    project = await projects.create(owner, "Shop", Plan.PREMIUM)
    world = await World.made(client, owner, project)
    # With one owner only, nobody could try to leave.
    await members.add(project.id, (await account()).account_uuid, Role.OWNER, None)
    old = (await environments.fork(owner, project.id, ForkOptions("old"))).environment.uuid
    await environments.archive(owner, old)
    return world, old


async def set_up(app: Litestar) -> Stage:
    """Return the stage."""
    nobody = httpx.AsyncClient()
    (home, old), (abroad, old_abroad) = await _world(nobody), await _world(nobody)
    make = Cast(app, home)
    foreigner = await account()
    await members.add(abroad.project.id, foreigner.account_uuid, Role.OWNER, None)
    identities = [
        Identity("anonymous", make.client()),
        await make.expired(),
        await make.user("foreign JWT", foreigner, abroad, Membership(Role.OWNER)),
        await make.key("foreign key", abroad, *Scope),
        *[await make.key(f"own key: {scope.value}", home, scope) for scope in Scope],
        await make.key("own key: read and write", home, Scope.READ, Scope.WRITE),
        await make.key("own key: everything", home, *Scope),
        *[await make.member(role) for role in (Role.VIEWER, Role.EDITOR, Role.ADMIN)],
        await make.member(Role.EDITOR, LIMITED, home.env, **{"X-AgentStack-Env": "env"}),
        await make.user("owner", home.actor, home, Membership(Role.OWNER)),
        await make.removed(),
        await make.user(ARCHIVED, home.actor, home, Membership(Role.OWNER), **{"X-AgentStack-Env": str(old)}),
    ]
    return Stage(home, abroad, {home.project.id: old, abroad.project.id: old_abroad}, identities, make)
