"""Promotion: checking an environment, asking for production to become it, and deciding (reference guide)."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from app.domain import lifecycle, promotion
from app.domain.audit import Action
from app.domain.errors import (
    EnvironmentArchived,
    Forbidden,
    ProductionProtected,
    TokenKindForbidden,
    ValidationFailed,
)
from app.domain.events import EventType
from app.domain.experiment_errors import ExperimentRunning
from app.domain.guards import Guard, check_guards
from app.domain.model import Actor, Environment, EnvStatus, Strategy
from app.domain.names import check_message
from app.domain.policy import Operation
from app.domain.promotion import (
    Checks,
    DocumentConflict,
    DocumentPaths,
    DocumentResolution,
    Plan,
    Promotion,
    PromotionStatus,
)
from app.domain.promotion_errors import PromotionPending
from app.domain.rollout import check_steps
from app.domain.values import Value
from app.services import access, experiment_ends, project_settings
from app.services.carried import Prepared, bound, prepare
from app.services.carrying_out import carry_out, record, record_request, unfrozen
from app.services.checking import Checked, as_status, check, needed_approvals, settle_status
from app.services.ending import OVERDUE, end, is_overdue, promise_expiry
from app.services.operation import operation
from app.services.publishing import publish
from app.services.swap import prepare_held
from app.storage import db, environments, promotions

PENDING_DAYS: Final = 14
TIMEOUT: Final = "5min"


@dataclass(frozen=True, slots=True)
class PromoteOptions:
    """How to promote. ``paths`` None carries all changes; ``rollout_steps`` None are the environment's.

    ``override_freeze`` passes a freeze, for who may. ``guards`` None are those of the project's settings.
    """

    strategy: Strategy = Strategy.IMMEDIATE
    rollout_steps: list[Value] | None = None
    paths: list[DocumentPaths] | None = None
    resolutions: list[DocumentResolution] = field(default_factory=list)
    message: str | None = None
    override_freeze: bool = False
    guards: list[Guard] | None = None


@dataclass(frozen=True, slots=True)
class Validated:
    """An environment after its checks were run, with what they said."""

    environment: Environment
    checks: Checks
    conflicts: list[DocumentConflict]


async def dry_run(actor: Actor, env_uuid: UUID, options: PromoteOptions, project_id: int | None = None) -> Checked:
    """Return what ``promote`` would do now, and change nothing. Raises as ``promote`` does."""
    seen = await _environment(actor, env_uuid, Operation.READ, project_id)
    return await _look(seen, _plan(seen, options))


@db.atomic("repeatable_read", statement_timeout=TIMEOUT)
async def _look(seen: Environment, plan: Plan) -> Checked:
    prepared = await prepare(seen, plan)
    return await check(prepared, as_status(prepared.environment))


async def _environment(actor: Actor, env_uuid: UUID, op: Operation, project_id: int | None) -> Environment:
    seen = await access.environment_by_uuid(actor, env_uuid, op, project_id)
    if seen.is_production:
        raise ProductionProtected("Production is what others are promoted to.")
    if seen.status is EnvStatus.ARCHIVED:
        raise EnvironmentArchived(env_uuid)
    return seen


def _plan(environment: Environment, options: PromoteOptions) -> Plan:
    check_message(options.message)
    steps = environment.rollout_steps if options.rollout_steps is None else check_steps(options.rollout_steps)
    if options.strategy is not Strategy.CANARY:
        if options.rollout_steps is not None:
            raise ValidationFailed("Only a canary has rollout steps.", field="rollout_steps")
        if options.guards is not None:
            raise ValidationFailed("Only a canary has guards.", field="guards")
        steps = []
    guards = None if options.guards is None else check_guards(options.guards)
    return Plan(options.strategy, steps, options.paths, options.resolutions, guards)


@operation(Action.VALIDATE_ENVIRONMENT)
async def validate(actor: Actor, env_uuid: UUID, project_id: int | None = None) -> Validated:
    """Run the checks; the environment is ``ready`` afterwards if all passed, else ``draft``.

    Raises EnvironmentNotFound, EnvironmentArchived, ProductionProtected, InvalidTransition.
    """
    seen = await _environment(actor, env_uuid, Operation.VALIDATE, project_id)
    settings = await project_settings.of(seen.project_id, fresh=True)
    checked = await _validate(seen)
    if checked.checks.all_passed and settings.auto_promote_on_all_pass:
        with suppress(Forbidden, TokenKindForbidden, ExperimentRunning):
            await access.enter(actor, seen, Operation.PROMOTE)
            await _promote(actor, seen, PromoteOptions(settings.auto_promote_strategy))
        checked = replace(checked, environment=await again(seen))
    return checked


@db.atomic(statement_timeout=TIMEOUT)
async def _validate(seen: Environment) -> Validated:
    seen = await again(seen)
    if seen.status is not EnvStatus.READY:
        lifecycle.check_move(seen, EnvStatus.VALIDATING)
    prepared, _ = await prepare_held(seen, Plan(Strategy.IMMEDIATE, []))
    checked = await check(prepared, as_status(seen))
    after = await settle_status(seen, checked.checks)
    await record(after, {"checks": dict(checked.checks.passed)})
    return Validated(after, checked.checks, checked.conflicts)


async def again(seen: Environment) -> Environment:
    """Return an environment as it is now. Raises EnvironmentArchived."""
    found = await environments.get([seen.project_id], seen.uuid)
    if found is None or found.status is EnvStatus.ARCHIVED:
        raise EnvironmentArchived(seen.uuid)
    return found


@operation(Action.PROMOTE)
async def promote(actor: Actor, env_uuid: UUID, options: PromoteOptions, project_id: int | None = None) -> Promotion:
    """Ask for production to become what the environment carries; record the request, whatever becomes of it.

    All checks run under the lock of the swap. The answer's status says what happened: ``blocked`` with checks and
    conflicts, ``completed``, ``rolling_out``, or ``pending_approval``. Raises EnvironmentNotFound,
    EnvironmentArchived, ProductionProtected, PathNotCarried, UnknownConflict, PromotionPending, ProductionFrozen,
    ExperimentRunning, ValidationFailed.
    """
    seen = await _environment(actor, env_uuid, Operation.PROMOTE, project_id)
    return await _promote(actor, seen, options)


@db.atomic(statement_timeout=TIMEOUT)
async def _promote(actor: Actor, seen: Environment, options: PromoteOptions) -> Promotion:
    async with unfrozen(actor, seen.project_id, override=options.override_freeze):
        return await ask(actor, await again(seen), options)


Asked = Callable[[Promotion], Awaitable[None]]


async def ask(actor: Actor, seen: Environment, options: PromoteOptions, asked: Asked | None = None) -> Promotion:
    """Do what ``promote`` does, in the transaction under way and once nothing is frozen.

    ``asked`` is called with a request that is not blocked, before it is carried out: with it, the environment may be
    a side of a test that runs.
    """
    plan = _plan(seen, options)
    prepared, locked = await prepare_held(seen, plan)
    if asked is None:
        await experiment_ends.check_not_running(seen)
    pending = await promotions.open_of(seen.project_id, seen.uuid)
    if pending is not None and is_overdue(pending):
        await end(pending, OVERDUE)
    elif pending is not None and pending.status is PromotionStatus.PENDING_APPROVAL:
        raise PromotionPending(str(pending.uuid))
    settings = await project_settings.of(seen.project_id, fresh=True)
    checked = await check(prepared, as_status(seen, gates_required=settings.require_gates_passed_on_promote))
    request = await _request(actor, prepared, checked, bound(plan, prepared.merges), options.message)
    after = await settle_status(seen, checked.checks)
    made = await promotions.add(request)
    if made.status is PromotionStatus.BLOCKED:
        await record_request(made, after)
        return made
    if asked is not None:
        await asked(made)
    return await _begin(actor, made, replace(prepared, environment=after), locked)


async def _request(actor: Actor, prepared: Prepared, checked: Checked, plan: Plan, message: str | None) -> Promotion:
    carried = prepared.changes
    needed, reason = await needed_approvals(actor.account_uuid, prepared)
    checks = checked.checks
    if reason is not None and checks.all_passed:
        checks = Checks(checks.passed, {**checks.reasons, "approval": reason})
    environment = prepared.environment
    return Promotion(
        project_id=environment.project_id,
        uuid=uuid4(),
        env_uuid=environment.uuid,
        plan=plan,
        status=PromotionStatus.PENDING_APPROVAL if checks.all_passed else PromotionStatus.BLOCKED,
        checks=checks,
        conflicts=checked.conflicts,
        carried=carried,
        content_hash=promotion.content_hash(carried, plan),
        required_approvals=needed,
        message=message,
        reason=None,
        account_uuid=actor.account_uuid,
        actor=actor.name,
        release_uuid=None,
        step=None,
        step_started_at=None,
        previous_weight=environment.traffic_weight,
        created_at=datetime.now(UTC),
        approved_at=None,
        ended_at=None,
        expires_at=datetime.now(UTC) + timedelta(days=PENDING_DAYS),
    )


async def _begin(actor: Actor, request: Promotion, prepared: Prepared, locked: Sequence[Environment]) -> Promotion:
    waits = request.required_approvals > 0 or request.plan.strategy is Strategy.BLUE_GREEN
    if not waits:
        return await carry_out(actor, request, prepared, locked)
    await publish(
        request.project_id,
        EventType.PROMOTION_REQUESTED,
        env_uuid=request.env_uuid,
        subject=request.uuid,
        data={"strategy": request.plan.strategy.value, "required_approvals": request.required_approvals},
    )
    await promise_expiry(request)
    await record_request(request, prepared.environment)
    return request
