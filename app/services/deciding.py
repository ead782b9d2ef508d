"""Deciding on promotion requests: approving, rejecting, expiring (semantics §3, §11.16, §11.17)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from app.domain import approvals, promotion
from app.domain.audit import Action, Object
from app.domain.errors import BadRequest, EnvironmentNotFound, ValidationFailed
from app.domain.events import EventType
from app.domain.model import Actor, Environment
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.policy import Operation
from app.domain.promotion import CarriedChange, Promotion, PromotionStatus
from app.domain.promotion_errors import PromotionNotFound, PromotionNotPending
from app.domain.values import MISSING, State, Value
from app.services import access, canaries, recording
from app.services.carried import Prepared
from app.services.carrying_out import carry_out, unfrozen
from app.services.checking import as_needed_now, as_status, carry_anew, check, editors, settle_status
from app.services.ending import is_overdue
from app.services.operation import operation
from app.services.publishing import publish
from app.services.swap import prepare_held
from app.storage import db, environments, promotions, reviews
from app.storage.promotions import Wanted

MAX_REASON: Final = 2_000
MAX_OFFSET: Final = 25_000
TIMEOUT: Final = "5min"


@dataclass(frozen=True, slots=True)
class Decision:
    """A request after somebody approved it.

    ``changed`` is what is carried otherwise than when the request was made or last looked at: then all approvals,
    this one included, are void, and the request holds what is carried now.
    """

    promotion: Promotion
    changed: list[CarriedChange] = field(default_factory=list)


async def get(actor: Actor, promotion_uuid: UUID, project_id: int | None = None) -> Promotion:
    """Return a request. Raises PromotionNotFound."""
    found = await _find(actor, promotion_uuid, project_id)
    await access.authorize(actor, found.project_id, Operation.READ)
    return found


async def _find(actor: Actor, uuid: UUID, project_id: int | None) -> Promotion:
    found = await access.seek(actor, project_id, lambda ids: promotions.get(ids, uuid))
    if found is None:
        raise PromotionNotFound
    return found


async def _named(actor: Actor, promotion_uuid: UUID | None, env_uuid: UUID | None, project_id: int | None) -> Promotion:
    if promotion_uuid is not None:
        return await _find(actor, promotion_uuid, project_id)
    if env_uuid is None:
        raise BadRequest("Name the promotion, or the environment that has one pending.")
    named = env_uuid
    environment = await access.seek(actor, project_id, lambda ids: environments.get(ids, named))
    if environment is None:
        raise EnvironmentNotFound(str(named))
    found = await promotions.open_of(environment.project_id, named)
    if found is None:
        raise PromotionNotFound
    return found


async def list_promotions(
    actor: Actor,
    project_id: int,
    *,
    env_uuid: UUID | None = None,
    statuses: Sequence[PromotionStatus] = (),
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Promotion]:
    """Return the project's requests, newest first. Raises ProjectNotFound, Forbidden, EnvironmentNotFound."""
    await access.authorize(actor, project_id, Operation.READ)
    check_limit(limit)
    if env_uuid is not None:
        await access.environment_by_uuid(actor, env_uuid, Operation.READ, project_id)
    before = decode_cursor(cursor, int, str) if cursor else None
    found = await promotions.list_page(project_id, Wanted(env_uuid, statuses), limit + 1, before)
    last = found[limit - 1] if len(found) > limit else None
    return Page(found[:limit], encode_cursor(*promotions.sort_key(last)) if last else None)


async def timeline(actor: Actor, project_id: int, *, limit: int = 50, offset: int = 0) -> list[Promotion]:
    """Return requests that have ended, newest first. Raises ProjectNotFound, Forbidden, ValidationFailed."""
    await access.authorize(actor, project_id, Operation.READ)
    check_limit(limit)
    if not 0 <= offset <= MAX_OFFSET:
        raise ValidationFailed(f"An offset is 0 to {MAX_OFFSET:,}.", field="offset")
    return await promotions.list_page(project_id, Wanted(ended=True), limit, None, offset)


async def open_of(actor: Actor, env_uuid: UUID, project_id: int | None = None) -> Promotion | None:
    """Return the request of an environment that is pending or rolling out, if there is one.

    Raises EnvironmentNotFound.
    """
    environment = await access.environment_by_uuid(actor, env_uuid, Operation.READ, project_id)
    return await promotions.open_of(environment.project_id, env_uuid)


@operation(Action.APPROVE_PROMOTION)
async def approve(
    actor: Actor,
    promotion_uuid: UUID | None,
    project_id: int | None = None,
    *,
    env_uuid: UUID | None = None,
    override_freeze: bool = False,
) -> Decision:
    """Approve a pending request, named itself or by its environment; with the last approval it is carried out.

    Where none is needed, its requester may make the blue-green switch. All checks run again. Of one that rolls out,
    the step that it stands at is approved. Raises PromotionNotFound, PromotionNotPending, NothingToApprove,
    SelfApprovalForbidden, ProductionFrozen, Forbidden.
    """
    request = await _named(actor, promotion_uuid, env_uuid, project_id)
    rolling = request.status is PromotionStatus.ROLLING_OUT
    op = Operation.APPROVE if request.required_approvals or rolling else Operation.PROMOTE
    await access.authorize(actor, request.project_id, op, request.env_uuid)
    if rolling:
        return Decision(*await canaries.approve_step(actor, request))
    return await _approve(actor, request, override_freeze)


@db.atomic(statement_timeout=TIMEOUT)
async def _approve(actor: Actor, seen: Promotion, override_freeze: bool) -> Decision:
    async with unfrozen(actor, seen.project_id, override=override_freeze):
        return await _decide(actor, seen)


async def _decide(actor: Actor, seen: Promotion) -> Decision:
    environment = await _environment_of(seen)
    prepared, locked = await prepare_held(environment, seen.plan, strict=False)
    request = await as_needed_now(await _lock_pending(seen), prepared)
    if request.required_approvals:
        await access.authorize(actor, request.project_id, Operation.APPROVE, request.env_uuid)
        approvals.check_approver(actor.account_uuid, request.account_uuid, await editors(prepared))
    changed = await _adopt_changes(request, prepared)
    if changed is not None:
        await _record(changed.promotion, environment, {"changed": len(changed.changed)})
        return changed
    if request.required_approvals:
        await reviews.approve(request, actor.account_uuid, actor.name)
        request = await promotions.save(request)
    return await _carry_out_if_enough(actor, request, prepared, locked)


async def _environment_of(request: Promotion) -> Environment:
    environment = await environments.get([request.project_id], request.env_uuid)
    if environment is None:
        raise PromotionNotFound
    return environment


async def _lock_pending(seen: Promotion) -> Promotion:
    request = await promotions.lock(seen.project_id, seen.uuid)
    if request is None or request.status is not PromotionStatus.PENDING_APPROVAL:
        raise PromotionNotPending(request.status.value if request else "gone")
    if is_overdue(request):
        raise PromotionNotPending(PromotionStatus.EXPIRED.value)
    return request


async def _adopt_changes(request: Promotion, prepared: Prepared) -> Decision | None:
    """Return the request with what it carries now, where that is not what approvals were given for."""
    saved = await carry_anew(request, prepared, request.plan)
    return Decision(saved, promotion.changed_since(request.carried, saved.carried)) if saved else None


async def _carry_out_if_enough(
    actor: Actor, request: Promotion, prepared: Prepared, locked: Sequence[Environment]
) -> Decision:
    if len(request.approvers) < request.required_approvals:
        await publish(
            request.project_id,
            EventType.PROMOTION_APPROVED,
            env_uuid=request.env_uuid,
            subject=request.uuid,
            data={"approvals": len(request.approvers), "required_approvals": request.required_approvals},
        )
        await _record(request, prepared.environment, {"approvals": len(request.approvers)})
        return Decision(request)
    checked = await check(prepared, as_status(prepared.environment))
    after = await settle_status(prepared.environment, checked.checks)
    request = replace(request, checks=checked.checks, conflicts=checked.conflicts, approved_at=datetime.now(UTC))
    if not checked.checks.all_passed:
        saved = await promotions.save(replace(request, approved_at=None))
        await _record(saved, after, {"checks": dict(checked.checks.passed)})
        return Decision(saved)
    done = await carry_out(actor, request, replace(prepared, environment=after), locked)
    return Decision(done)


@operation(Action.REJECT_PROMOTION)
async def reject(
    actor: Actor,
    promotion_uuid: UUID | None,
    reason: str,
    project_id: int | None = None,
    *,
    env_uuid: UUID | None = None,
) -> Promotion:
    """Reject a pending request, or take back one's own; nothing else changes.

    Raises PromotionNotFound, PromotionNotPending, Forbidden, ValidationFailed for want of a reason.
    """
    if not len(reason.strip()) >= 1 or len(reason) > MAX_REASON:
        raise ValidationFailed(f"A rejection has a reason of 1 to {MAX_REASON:,} characters.", field="reason")
    request = await _named(actor, promotion_uuid, env_uuid, project_id)
    own = request.account_uuid == actor.account_uuid
    await access.authorize(actor, request.project_id, Operation.PROMOTE if own else Operation.APPROVE, request.env_uuid)
    return await _reject(request, reason)


@db.atomic()
async def _reject(seen: Promotion, reason: str) -> Promotion:
    environment = await _environment_of(seen)
    await environments.lock(seen.project_id, seen.env_uuid, "NO KEY UPDATE")
    request = await _lock_pending(seen)
    saved = await promotions.save(replace(request, status=PromotionStatus.REJECTED, reason=reason))
    await publish(saved.project_id, EventType.PROMOTION_REJECTED, env_uuid=saved.env_uuid, subject=saved.uuid)
    await _record(saved, environment, {"reason": reason})
    return saved


async def _record(request: Promotion, environment: Environment, facts: dict[str, Value]) -> None:
    change: tuple[State, State] = (
        MISSING,
        {"promotion_id": str(request.uuid), "status": request.status.value, **facts},
    )
    await recording.record(request.project_id, Object.of(environment), env_uuid=environment.uuid, change=change)
