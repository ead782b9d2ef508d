"""What the person at the machine may do without a token: the command line's services."""

from app.domain.audit import Action, Object
from app.domain.errors import NotFound, ProjectNotFound
from app.domain.model import Actor, Plan, Project
from app.services import identity, recording
from app.storage import accounts, db, projects


async def actor(email: str) -> Actor:
    """Return the account of an e-mail address as an actor. Raises NotFound."""
    found = await accounts.account_with_hash(email.strip().lower())
    if found is None:
        raise NotFound(f"There is no account {email}; make one with 'strata account create'.")
    return Actor(account_uuid=found[0].uuid, name=found[0].email)


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
    await recording.record_as(None, Action.SET_PLAN, Object.of(found), found.id, after={"plan": found.plan.value})
    return found
