"""What the person at the machine may do without a token: the command line's services."""

from app.domain.audit import Action, Object, ObjectType
from app.domain.errors import NotFound, ProjectNotFound
from app.domain.events import EventType
from app.domain.model import Actor, Plan, Project
from app.services import identity, recording, tokens
from app.services.publishing import publish
from app.storage import accounts, db, projects
from app.storage.accounts import ApiKey


async def actor(email: str) -> Actor:
    """Return the account of an e-mail address as an actor. Raises NotFound."""
    found = await accounts.account_with_hash(email.strip().lower())
    if found is None:
        raise NotFound(f"There is no account {email}; make one with 'strata account create'.")
    return Actor(account_uuid=found[0].uuid, name=found[0].name)


async def token(email: str, seconds: int) -> str:
    """Return an access token of the account. Raises NotFound."""
    owner = await actor(email)
    return await identity.keyring.sign(owner.account_uuid, owner.name, seconds)


async def list_projects() -> list[Project]:
    """Return every project of this installation."""
    return await projects.list_all()


@db.atomic()
async def set_plan(project_id: int, plan: Plan) -> Project:
    """Set the plan of a project. Raises ProjectNotFound."""
    found = await projects.set_plan(project_id, plan)
    if found is None:
        raise ProjectNotFound
    await publish(found.id, EventType.PLAN_CHANGED, data={"plan": found.plan.value})
    await recording.record_as(None, Action.SET_PLAN, Object.of(found), found.id, after={"plan": found.plan.value})
    return found


async def list_keys(project_id: int) -> list[ApiKey]:
    """Return the API keys of a project, newest first, revoked ones included. Raises ProjectNotFound."""
    if await projects.get(project_id) is None:
        raise ProjectNotFound
    return await accounts.list_keys(project_id)


@db.atomic()
async def revoke_key(prefix_or_uuid: str) -> ApiKey:
    """Revoke an API key for good; servers refuse it within a second. Raises NotFound."""
    found = await accounts.find_key(prefix_or_uuid.strip())
    key = found and await accounts.lock_key(found.project_id, found.uuid)
    if key is None:
        raise NotFound(f"There is no API key {prefix_or_uuid}; 'strata key list' shows those of a project.")
    if key.revoked_at is not None:
        return key
    revoked = await accounts.revoke_key(key.project_id, key.uuid)
    thing = Object(ObjectType.API_KEY, str(key.uuid), key.name)
    await publish(key.project_id, EventType.API_KEY_REVOKED, subject=key.uuid)
    await recording.record_as(None, Action.REVOKE_API_KEY, thing, key.project_id, after={"prefix": key.prefix})
    return revoked


@db.atomic()
async def rotate_signing_key(*, at_once: bool = False) -> str:
    """Make a new signing key and return its id; servers learn of it by themselves.

    Tokens of the old ones are taken until the last of them has expired; with ``at_once``, no longer at all.
    """
    kid = await tokens.rotate(at_once=at_once)
    thing = Object(ObjectType.SIGNING_KEY, kid)
    await recording.record_as(None, Action.ROTATE_SIGNING_KEY, thing, after={"at_once": at_once})
    return kid
