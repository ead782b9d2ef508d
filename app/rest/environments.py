"""``/api/sandbox``: environments."""

from typing import Annotated
from uuid import UUID

from litestar import Router, delete, get, patch, post
from litestar.params import FromQuery, JSONBody, QueryParameter
from msgspec import UNSET

from app.domain.errors import BadRequest
from app.domain.model import EnvStatus, EnvType
from app.domain.values import MISSING
from app.rest.bodies import EnvironmentSettings, ForkRequest
from app.rest.context import implied_project, named_once, project_of
from app.rest.environment_answers import ArchivedAnswer, EnvironmentAnswer, Environments, Forked, with_heads
from app.rest.parameters import Caller, Cursor, ImpliedProjectId, Limit
from app.services import environments
from app.services.branching import ForkOptions
from app.services.environments import EnvironmentUpdate

Statuses = Annotated[list[EnvStatus] | None, QueryParameter(name="status", description="Only these; repeatable.")]
Types = Annotated[list[EnvType] | None, QueryParameter(name="env_type", description="Only these; repeatable.")]


@post("/fork", status_code=201)
async def fork(data: JSONBody[ForkRequest], actor: Caller, project_id: ImpliedProjectId = None) -> Forked:
    """Fork production, or an environment, into a new environment.

    Nothing is copied: the environment holds only what is changed in it. Without `expires_at` it lives as long as the
    plan allows. Needs a user's token.
    """
    options = _options(data)
    source = await project_of(actor, named_once(project_id, data.source_project_id), data.parent_env_uuid)
    return Forked.of(await environments.fork(actor, source, options))


def _options(data: ForkRequest) -> ForkOptions:
    user_uuids = user_rules = None
    if data.user_filter is not None:
        if data.segment_id is not None:
            raise BadRequest("A fork takes a user_filter or a segment_id, not both.")
        if (data.user_filter.rules is None) == (data.user_filter.user_uuids is None):
            raise BadRequest("A user_filter has either rules or user_uuids.", path="/user_filter")
        user_uuids, user_rules = data.user_filter.user_uuids, data.user_filter.rules
    return ForkOptions(
        env_name=data.env_name,
        env_type=data.env_type,
        parent_env_uuid=data.parent_env_uuid,
        user_uuids=user_uuids,
        user_rules=user_rules,
        segment_id=data.segment_id,
        rollout_steps=data.rollout_steps,
        shadow_writes=data.shadow_writes,
        expires_at=data.expires_at,
    )


@get("/environments")
async def list_environments(
    actor: Caller,
    project_id: ImpliedProjectId = None,
    status: Statuses = None,
    env_type: Types = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Environments:
    """List the environments of a project, production first."""
    project = implied_project(actor, project_id)
    page = await environments.list_environments(
        actor, project, statuses=status or (), types=env_type or (), limit=limit, cursor=cursor
    )
    return Environments(environments=await with_heads(project, page.items), next_cursor=page.next_cursor)


@patch("/environment")
async def update_environment(
    data: JSONBody[EnvironmentSettings], actor: Caller, project_id: ImpliedProjectId = None
) -> EnvironmentAnswer:
    """Change an environment's name and settings.

    An `expires_at` of null is as late as the plan allows; on Enterprise never.
    """
    updated = await environments.update(actor, data.env_uuid, _update(data), project_id)
    return (await with_heads(updated.project_id, [updated]))[0]


def _update(data: EnvironmentSettings) -> EnvironmentUpdate:
    if data.name is not UNSET and data.env_name not in (UNSET, data.name):
        raise BadRequest("env_name and name are two words for one thing, and they differ here.", path="/name")
    name = data.name if data.env_name is UNSET else data.env_name
    return EnvironmentUpdate(
        name=MISSING if name is UNSET else name,
        expires_at=MISSING if data.expires_at is UNSET else data.expires_at,
        rollout_steps=MISSING if data.rollout_steps is UNSET else data.rollout_steps,
        shadow_writes=MISSING if data.shadow_writes is UNSET else data.shadow_writes,
        shadow_overwrite=MISSING if data.shadow_overwrite is UNSET else data.shadow_overwrite,
        segments=MISSING if data.segments is UNSET else data.segments,
    )


@delete("/environment", status_code=200)
async def archive_environment(
    env_uuid: FromQuery[UUID], actor: Caller, project_id: ImpliedProjectId = None
) -> ArchivedAnswer:
    """Archive an environment and clean up what nothing else stands on. Needs a user's token."""
    archived = await environments.archive(actor, env_uuid, project_id)
    environment = archived.environment
    return ArchivedAnswer(anchor_uuid=environment.uuid, status=environment.status, removed_diffs=archived.removed_diffs)


def environment_routes() -> Router:
    """Return the routes of environments."""
    handlers = [fork, list_environments, update_environment, archive_environment]
    return Router("/api/sandbox", route_handlers=handlers, tags=["Environments"])
