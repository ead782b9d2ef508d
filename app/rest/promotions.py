"""``/api/sandbox``: promoting, deciding on requests, validating, rebasing."""

from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.domain.errors import BadRequest
from app.domain.model import Actor
from app.domain.paging import check_limit, decode_cursor, encode_cursor
from app.domain.promotion import Promotion, PromotionStatus
from app.domain.protected import shown
from app.domain.values import MISSING
from app.rest.context import project_of
from app.rest.operations import Deciding, Promoting
from app.rest.parameters import Caller, Cursor, ImpliedProjectId, Limit
from app.rest.promotion_answers import (
    CheckAnswers,
    ConflictAnswer,
    DecisionAnswer,
    DryRunAnswer,
    PromotionAnswer,
    PromotionsAnswer,
    RebasedAnswer,
    ResultAnswer,
    ValidationAnswer,
)
from app.rest.promotion_bodies import (
    ApproveRequest,
    DecisionRequest,
    PromoteRequest,
    RebaseRequest,
    ValidateRequest,
    resolutions,
)
from app.services import deciding, promoting, rebasing
from app.services.carried import changed_documents
from app.services.checking import Checked

Statuses = Annotated[list[PromotionStatus] | None, QueryParameter(name="status", description="Only these; repeatable.")]

_HTTP = {PromotionStatus.COMPLETED: 201, PromotionStatus.BLOCKED: 409}


@post("/promote", status_code=201, operation_class=Promoting)
async def promote(
    data: JSONBody[PromoteRequest], actor: Caller, project_id: ImpliedProjectId = None
) -> Response[PromotionAnswer]:
    """Bring an environment's changes to production.

    Answers 201 when that is done, 202 when it rolls out or waits for approval, 409 when a check fails or conflicts are
    open; with `dry_run` 200 and the exact documents that production would have, and nothing is changed.
    """
    if data.dry_run:
        checked = await promoting.dry_run(actor, data.env_uuid, data.options(), project_id)
        return Response(_dry(checked, data.limit, data.cursor), status_code=200)  # type: ignore[arg-type]
    made = await promoting.promote(actor, data.env_uuid, data.options(), project_id)
    return Response(PromotionAnswer.of(made), status_code=_HTTP.get(made.status, 202))


def _dry(checked: Checked, limit: int, cursor: str | None) -> DryRunAnswer:
    check_limit(limit)
    after = decode_cursor(cursor, str, str) if cursor else None
    changed = changed_documents(checked.merges)
    left = [item for item in changed if after is None or (item.entity.kind, item.entity.key) > after]
    page = left[:limit]
    more = encode_cursor(page[-1].entity.kind, page[-1].entity.key) if len(left) > limit else None
    return DryRunAnswer(
        env_uuid=checked.environment.uuid,
        status="dry_run",
        checks=CheckAnswers.of(checked.checks),
        reasons=dict(checked.checks.reasons),
        conflicts=[ConflictAnswer.of(item) for item in checked.conflicts],
        documents=[
            ResultAnswer(
                kind=item.entity.kind,
                key=item.entity.key,
                deleted=item.merged.state is MISSING,
                data=None if item.merged.state is MISSING else shown(item.merged.state),
            )
            for item in page
        ],
        total=len(changed),
        next_cursor=more,
    )


@post("/approve", status_code=200, operation_class=Deciding)
async def approve(
    data: JSONBody[ApproveRequest], actor: Caller, project_id: ImpliedProjectId = None
) -> Response[DecisionAnswer]:
    """Approve or reject a pending promotion, or make a blue-green switch.

    With the last approval that it needs, it is carried out. If what it carries has changed since, nothing is approved:
    the answer is 409 with what `changed`, and approvals given before are void.
    """
    if (data.promotion_id is None) == (data.env_uuid is None):
        raise BadRequest("Name either promotion_id or env_uuid.", path="/promotion_id")
    return await decide(actor, data.promotion_id, data, project_id, data.env_uuid)


async def decide(
    actor: Actor,
    promotion_id: UUID | None,
    data: ApproveRequest | DecisionRequest,
    project_id: int | None,
    env_uuid: UUID | None = None,
) -> Response[DecisionAnswer]:
    """Approve or reject, as the body says."""
    if data.reject:
        rejected = await deciding.reject(actor, promotion_id, data.reason or "", project_id, env_uuid=env_uuid)
        return Response(DecisionAnswer.after(deciding.Decision(rejected)))
    decision = await deciding.approve(
        actor, promotion_id, project_id, env_uuid=env_uuid, override_freeze=data.override_freeze
    )
    refused = decision.changed or _failed(decision.promotion)
    return Response(DecisionAnswer.after(decision), status_code=409 if refused else 200)


def _failed(promotion: Promotion) -> bool:
    return promotion.status is PromotionStatus.PENDING_APPROVAL and not promotion.checks.all_passed


@post("/promote/{promotion_id:str}/approve", status_code=200, operation_class=Deciding)
async def approve_promotion(
    promotion_id: FromPath[UUID],
    data: JSONBody[DecisionRequest],
    actor: Caller,
    project_id: ImpliedProjectId = None,
) -> Response[DecisionAnswer]:
    """Approve or reject a pending promotion."""
    return await decide(actor, promotion_id, data, project_id)


@get("/promotions")
async def list_promotions(
    actor: Caller,
    project_id: ImpliedProjectId = None,
    env_uuid: FromQuery[UUID | None] = None,
    status: Statuses = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PromotionsAnswer:
    """List promotion requests, newest first."""
    project = await project_of(actor, project_id, env_uuid)
    page = await deciding.list_promotions(
        actor, project, env_uuid=env_uuid, statuses=status or (), limit=limit, cursor=cursor
    )
    return PromotionsAnswer(promotions=[PromotionAnswer.of(item) for item in page.items], next_cursor=page.next_cursor)


@get("/promotions/{promotion_id:str}")
async def get_promotion(
    promotion_id: FromPath[UUID], actor: Caller, project_id: ImpliedProjectId = None
) -> PromotionAnswer:
    """Show a promotion request."""
    return PromotionAnswer.of(await deciding.get(actor, promotion_id, project_id))


@post("/validate", status_code=200)
async def validate(
    data: JSONBody[ValidateRequest], actor: Caller, project_id: ImpliedProjectId = None
) -> ValidationAnswer:
    """Run the checks of a promotion; the environment is `ready` afterwards if all passed, else `draft`."""
    return ValidationAnswer.of(await promoting.validate(actor, data.env_uuid, project_id))


@post("/rebase", status_code=200)
async def rebase(data: JSONBody[RebaseRequest], actor: Caller, project_id: ImpliedProjectId = None) -> RebasedAnswer:
    """Put what an environment overrides onto what its parent shows now."""
    done = await rebasing.rebase(actor, data.env_uuid, resolutions(data.resolutions), project_id)
    return RebasedAnswer.of(done)


def promotion_routes() -> Router:
    """Return the routes of promotions."""
    return Router(
        "/api/sandbox",
        route_handlers=[
            promote,
            approve,
            approve_promotion,
            list_promotions,
            get_promotion,
            validate,
            rebase,
        ],
        tags=["Promotion"],
    )
