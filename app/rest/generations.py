"""``/api/generations/{project_id}``: promotion as existing client libraries call it (``rest.md``)."""

from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from app.domain.model import EnvStatus
from app.rest.context import named_once
from app.rest.environment_answers import EnvironmentAnswer, Environments, with_heads
from app.rest.gate_answers import (
    GateAnswers,
    GenerationStatus,
    Queue,
    QueuedEnvironment,
    Timeline,
)
from app.rest.operations import Deciding
from app.rest.parameters import Caller, Cursor, Limit, ProjectId
from app.rest.promotion_answers import DecisionAnswer, PromotionAnswer
from app.rest.promotion_bodies import DecisionRequest, NotifyRequest, PendingRequest
from app.rest.promotions import decide
from app.services import deciding, environments, notifying, promoting
from app.services.promoting import PromoteOptions

MAX_OFFSET = 25_000
OPEN = (EnvStatus.DRAFT, EnvStatus.VALIDATING, EnvStatus.READY, EnvStatus.ROLLING_OUT)

Offset = Annotated[
    int,
    QueryParameter(
        description="How many to pass over.", schema_extra={"minimum": 0, "maximum": MAX_OFFSET, "default": 0}
    ),
]


@get("/{project_id:str}")
async def list_generations(
    project_id: ProjectId, actor: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Environments:
    """List the environments of a project, production first."""
    page = await environments.list_environments(actor, project_id, limit=limit, cursor=cursor)
    return Environments(environments=await with_heads(project_id, page.items), next_cursor=page.next_cursor)


@get("/{project_id:str}/status")
async def generation_status(project_id: ProjectId, actor: Caller) -> GenerationStatus:
    """Show what production is, which environment is live, and which rolls out with what share of traffic."""
    wanted = (EnvStatus.LIVE, EnvStatus.ROLLING_OUT)
    page = await environments.list_environments(actor, project_id, statuses=wanted, limit=50)
    return GenerationStatus.of(page.items)


@get("/{project_id:str}/queue")
async def generation_queue(project_id: ProjectId, actor: Caller, limit: Limit = 20, cursor: Cursor = None) -> Queue:
    """List the environments that are open, each with what its checks say now."""
    page = await environments.list_environments(actor, project_id, statuses=OPEN, limit=limit, cursor=cursor)
    queued = []
    for environment, shown in zip(page.items, await with_heads(project_id, page.items), strict=True):
        checked = await promoting.dry_run(actor, environment.uuid, PromoteOptions(), project_id)
        queued.append(QueuedEnvironment(environment=shown, gates=GateAnswers.of(checked)))
    return Queue(queue=queued, next_cursor=page.next_cursor)


@get("/{project_id:str}/gates/{env_uuid:str}")
async def show_gates(project_id: ProjectId, env_uuid: FromPath[UUID], actor: Caller) -> GateAnswers:
    """Show what the checks of an environment say now; nothing is changed."""
    return GateAnswers.of(await promoting.dry_run(actor, env_uuid, PromoteOptions(), project_id))


@post("/{project_id:str}/gates/run", status_code=200)
async def run_gates(project_id: ProjectId, data: JSONBody[PendingRequest], actor: Caller) -> GateAnswers:
    """Run the checks; the environment is `ready` afterwards if all passed, else `draft`."""
    named_once(project_id, data.project_id)
    return GateAnswers.of(await promoting.validate(actor, data.env_uuid, project_id))


@post("/{project_id:str}/approve", status_code=200, operation_class=Deciding)
async def approve_generation(
    project_id: ProjectId, data: JSONBody[PendingRequest], actor: Caller
) -> Response[DecisionAnswer]:
    """Approve the pending promotion of an environment."""
    named_once(project_id, data.project_id)
    return await decide(actor, None, DecisionRequest(), project_id, data.env_uuid)


@get("/{project_id:str}/timeline")
async def generation_timeline(project_id: ProjectId, actor: Caller, limit: Limit = 50, offset: Offset = 0) -> Timeline:
    """List the promotions that have ended, newest first."""
    found = await deciding.timeline(actor, project_id, limit=limit, offset=offset)
    return Timeline(timeline=[PromotionAnswer.of(item) for item in found])


@post("/{project_id:str}/notify", status_code=202)
async def notify(project_id: ProjectId, data: JSONBody[NotifyRequest], actor: Caller) -> EnvironmentAnswer:
    """Tell whoever follows the project about an environment: the event `generation.notify_manual`."""
    environment = await notifying.notify(actor, data.env_uuid, data.message, project_id)
    return (await with_heads(project_id, [environment]))[0]


def generation_routes() -> Router:
    """Return the routes of existing client libraries."""
    return Router(
        "/api/generations",
        route_handlers=[
            list_generations,
            generation_status,
            generation_queue,
            show_gates,
            run_gates,
            approve_generation,
            generation_timeline,
            notify,
        ],
        tags=["Generations"],
    )
