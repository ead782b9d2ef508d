"""Finding objects again by their global ids."""

import asyncio
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import strawberry

from app.domain.errors import DomainError, Forbidden, Kind, TokenKindForbidden, ValidationFailed
from app.domain.paging import MAX_LIMIT
from app.domain.policy import Operation
from app.services import access
from app.storage import freezes
from schema.api_keys import ApiKeyNode
from schema.context import Context, Info
from schema.describe import field
from schema.environments import EnvironmentNode
from schema.experiments import ExperimentNode
from schema.freezes import FreezeNode
from schema.generations import GenerationNode
from schema.members import InvitationNode, MemberNode
from schema.nodes import GlobalId, Node
from schema.projects import ProjectNode
from schema.promotions import PromotionNode
from schema.releases import ReleaseNode
from schema.webhooks import WebhookNode


@strawberry.type
class NodeQuery:
    @field
    async def node(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The object's `id`.")],  # noqa: A002
    ) -> Node | None:
        """An object by its global id; null if it is not there, or not there for this caller."""
        return (await _found(info.context, [GlobalId.decode(id)]))[0]

    @field
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="The objects' `id`s, at most 200.")],
    ) -> list[Node | None]:
        """Objects by their global ids, in the order of the ids."""
        if len(ids) > MAX_LIMIT:
            raise ValidationFailed(f"At most {MAX_LIMIT} ids can be asked for at once.", field="ids")
        return await _found(info.context, [GlobalId.decode(text) for text in ids])


async def _found(context: Context, ids: Sequence[GlobalId]) -> list[Node | None]:
    readable = {
        project_id: await _may_read(context, project_id) for project_id in {wanted.project_id for wanted in ids}
    }
    loaded = (_load(context, wanted) if readable[wanted.project_id] else _nothing() for wanted in ids)
    return list(await asyncio.gather(*loaded))


async def _may_read(context: Context, project_id: int) -> bool:
    try:
        await access.authorize(context.actor, project_id, Operation.READ)
    except DomainError as error:
        if error.kind in (Kind.NOT_FOUND, Kind.FORBIDDEN):
            return False
        raise
    return True


async def _nothing() -> None:
    return None


async def _load(context: Context, wanted: GlobalId) -> Node | None:
    loaders = context.loaders
    match wanted:
        case GlobalId("Project", project_id, None):
            return ProjectNode.of(project_id) if await loaders.projects.load(project_id) else None
        case GlobalId("Environment", project_id, UUID() as uuid):
            env = await loaders.environments.load((project_id, uuid))
            return EnvironmentNode.of(env) if env else None
        case GlobalId("Generation", project_id, UUID() as uuid):
            generation = await loaders.generations.load((project_id, uuid))
            return GenerationNode.of(generation) if generation else None
        case GlobalId("PromotionRequest", project_id, UUID() as uuid):
            promotion = await loaders.promotions.load((project_id, uuid))
            return PromotionNode.of(promotion) if promotion else None
        case GlobalId("Release", project_id, UUID() as uuid):
            release = await loaders.releases.load((project_id, uuid))
            return ReleaseNode.of(release) if release else None
        case GlobalId("Freeze" | "Experiment" as type_name, project_id, UUID() as uuid):
            return await _of_production(context, type_name, project_id, uuid)
        case GlobalId(type_name, project_id, UUID() as uuid):
            return await _listed(context, type_name, project_id, uuid)
    return None


async def _of_production(context: Context, type_name: str, project_id: int, uuid: UUID) -> Node | None:
    """Return what decides on the way to production, beside promotions."""
    if type_name == "Experiment":
        experiment = await context.loaders.experiments.load((project_id, uuid))
        return ExperimentNode.of(experiment) if experiment else None
    freeze = await freezes.get(project_id, uuid)
    return FreezeNode.of(freeze) if freeze else None


async def _listed(context: Context, type_name: str, project_id: int, uuid: UUID) -> Node | None:
    """Return what only some may list, and only they may find."""
    loaders = context.loaders
    try:
        match type_name:
            case "ApiKey":
                keys = await loaders.api_keys.load(project_id)
                return next((ApiKeyNode.of(key) for key in keys if key.uuid == uuid), None)
            case "Member":
                members = await loaders.members.load(project_id)
                return next((MemberNode.of(member) for member in members if member.account_uuid == uuid), None)
            case "Invitation":
                invitations = await loaders.invitations.load(project_id)
                return next((InvitationNode.of(item) for item in invitations if item.uuid == uuid), None)
            case "Webhook":
                webhooks = await loaders.webhooks.load(project_id)
                return next((WebhookNode.of(item) for item in webhooks if item.uuid == uuid), None)
    except (Forbidden, TokenKindForbidden):
        pass
    return None
