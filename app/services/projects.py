"""Projects: made with their production environment, read by their members."""

from datetime import UTC, datetime
from secrets import token_hex
from uuid import uuid4

from app.domain import policy
from app.domain.audit import Action, Object
from app.domain.errors import ProjectNotFound
from app.domain.members import Membership
from app.domain.model import (
    PRODUCTION_NAME,
    PROJECT_KEY,
    PROJECT_KIND,
    Actor,
    Environment,
    EnvStatus,
    EnvType,
    Generation,
    GenerationKind,
    Origin,
    Plan,
    Project,
    Role,
)
from app.domain.names import check_label
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.policy import Operation
from app.domain.rollout import DEFAULT_STEPS
from app.domain.values import MISSING
from app.services import access, recording, writing
from app.services.operation import operation
from app.storage import db, entities, environments, generations, layers, projects


@operation(Action.CREATE_PROJECT)
async def create(actor: Actor, name: str, plan: Plan = Plan.PRO) -> Project:
    """Make a project that ``actor`` owns, with production and an empty project document.

    Raises ValidationFailed, TokenKindForbidden.
    """
    policy.check(actor, None, Operation.CREATE_PROJECT)
    check_label(name, "name")
    project = await _create(actor, name, plan)
    access.forget(actor.account_uuid)
    return project


@db.atomic()
async def _create(actor: Actor, name: str, plan: Plan) -> Project:
    production_uuid, root_uuid, now = uuid4(), uuid4(), datetime.now(UTC)
    project = await projects.add(name, plan, production_uuid, actor.account_uuid)
    root = Generation(
        project_id=project.id,
        uuid=root_uuid,
        number=0,
        kind=GenerationKind.LINE,
        env_uuid=production_uuid,
        parent_uuid=None,
        ancestors=(root_uuid,),
        path=(root_uuid,),
        filter_uuid=None,
        sealed=False,
        label=None,
        entity_count=0,
        version=0,
        created_at=now,
        created_by=actor.name,
    )
    production = Environment(
        project_id=project.id,
        uuid=production_uuid,
        name=PRODUCTION_NAME,
        env_type=EnvType.PRODUCTION,
        status=EnvStatus.LIVE,
        head_uuid=root_uuid,
        pinned_uuid=None,
        parent_uuid=None,
        traffic_weight=100,
        rollout_steps=DEFAULT_STEPS,
        segments=[],
        ab_seed=token_hex(8),
        shadow_writes=False,
        shadow_overwrite=False,
        expires_at=None,
        created_at=now,
        updated_at=now,
    )
    await environments.add(production)
    await generations.add(root)
    entity = await entities.lock(project.id, PROJECT_KIND, PROJECT_KEY)
    stack = (await layers.stacks_of(project.id, root_uuid, [entity.uuid]))[entity.uuid]
    target = writing.Target(production, root, production.status)
    entry = recording.entry(
        project.id,
        Object.of(project),
        env_uuid=production_uuid,
        change=(MISSING, {"name": project.name, "plan": project.plan.value}),
    )
    await writing.write(actor, target, [writing.DocumentWrite(stack, {})], Origin.WRITE, entry)
    return project


async def get(actor: Actor, project_id: int) -> Project:
    """Return a project. Raises ProjectNotFound, Forbidden."""
    await access.authorize(actor, project_id, Operation.READ)
    project = await projects.get(project_id)
    if project is None:
        raise ProjectNotFound
    return project


async def role(actor: Actor, project_id: int) -> Role | None:
    """Return the actor's role in the project; None for one of its API keys. Raises ProjectNotFound."""
    membership = await access.authorize(actor, project_id, Operation.READ_ROLE)
    return membership.role if membership else None


async def memberships(actor: Actor) -> dict[int, Membership]:
    """Return what a user is in each of its projects, by their ids; an API key is a member of none."""
    policy.check(actor, None, Operation.LIST_PROJECTS)
    return dict(sorted((await access.memberships(actor)).items()))


async def list_projects(actor: Actor, *, limit: int = 50, cursor: str | None = None) -> Page[Project]:
    """Return the projects that the actor can see, by id. Raises Forbidden."""
    policy.check(actor, None, Operation.LIST_PROJECTS)
    check_limit(limit)
    after = int(decode_cursor(cursor, int)[0]) if cursor else 0
    found = await projects.list_page(await access.project_ids(actor, fresh=True), limit + 1, after)
    return Page(found[:limit], encode_cursor(found[limit - 1].id) if len(found) > limit else None)
