"""Environments: forked in constant time, found, changed, archived (semantics §1, reference guide "Fork Flow")."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from app.domain import lifecycle, plans
from app.domain.audit import Action, Object, environment_facts
from app.domain.errors import (
    EnvironmentArchived,
    ProductionProtected,
    ValidationFailed,
    WriteWhileRollingOut,
)
from app.domain.events import EventType
from app.domain.jobs import JobKind
from app.domain.model import (
    PRODUCTION_NAME,
    USER_KIND,
    Actor,
    Environment,
    EnvStatus,
    EnvType,
)
from app.domain.names import check_key, environment_name
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.plans import Limit
from app.domain.policy import Operation
from app.domain.rollout import check_steps
from app.domain.rules import check_unprotected, parse_rules
from app.domain.values import MISSING, Missing, State, Value
from app.services import access, calls, defined_segments, jobs, plan_limits, recording, writing
from app.services.branching import Chosen, Fork, ForkOptions, branch, lock_source
from app.services.ending import end_requests_of
from app.services.operation import operation
from app.services.publishing import publish
from app.services.resolution import View
from app.storage import db, environments, protections, shadows, snapshots

MAX_USERS: Final = 100_000


@dataclass(frozen=True, slots=True)
class EnvironmentUpdate:
    """What to change; MISSING leaves a member as it is."""

    name: str | Missing = MISSING
    expires_at: datetime | Missing | None = MISSING
    rollout_steps: list[Value] | Missing = MISSING
    shadow_writes: bool | Missing = MISSING
    shadow_overwrite: bool | Missing = MISSING
    segments: list[Value] | Missing = MISSING


@dataclass(frozen=True, slots=True)
class Archived:
    environment: Environment
    removed_diffs: int


async def get(actor: Actor, env_uuid: UUID, project_id: int | None = None) -> Environment:
    """Return an environment, archived or not. Raises EnvironmentNotFound."""
    return await access.environment_by_uuid(actor, env_uuid, Operation.READ, project_id)


async def find(actor: Actor, project_id: int, reference: str | None) -> Environment:
    """Return the environment that a request means: the one it names, else the user's active one, else production.

    Raises EnvironmentNotFound, EnvironmentArchived.
    """
    return await access.environment_in_context(actor, project_id, reference, Operation.READ)


async def list_environments(
    actor: Actor,
    project_id: int,
    *,
    statuses: Sequence[EnvStatus] = (),
    types: Sequence[EnvType] = (),
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Environment]:
    """Return the project's environments, production first, then the oldest first."""
    await access.authorize(actor, project_id, Operation.READ)
    check_limit(limit)
    after = decode_cursor(cursor, int, int, str) if cursor else None
    found = await environments.list_page(project_id, statuses, types, limit + 1, after)
    more = len(found) > limit
    return Page(found[:limit], encode_cursor(*environments.sort_key(found[limit - 1])) if more else None)


@operation(Action.FORK_ENVIRONMENT)
async def fork(actor: Actor, project_id: int, options: ForkOptions) -> Fork:
    """Fork production or an environment: anchor, generation, empty project layer and manifest, nothing more.

    Raises EnvironmentNameTaken, EnvironmentNotFound, EnvironmentArchived, DepthLimitExceeded, SandboxLimitExceeded,
    SandboxNotAvailable, ValidationFailed, TokenKindForbidden.
    """
    await access.authorize(actor, project_id, Operation.FORK)
    if options.env_type is EnvType.PRODUCTION:
        raise ValidationFailed("A project has one production environment; fork another type.", field="env_type")
    _check_filter(options)
    if options.user_rules is not None:
        parse_rules(list(options.user_rules), ("user_filter", "rules"))
    checked = replace(
        options,
        env_name=environment_name(options.env_name),
        rollout_steps=check_steps(options.rollout_steps) if options.rollout_steps is not None else None,
        expires_at=_in_future(options.expires_at),
    )
    return await _fork(actor, project_id, checked)


@db.atomic(statement_timeout="1min")
async def _fork(actor: Actor, project_id: int, options: ForkOptions) -> Fork:
    reference = str(options.parent_env_uuid) if options.parent_env_uuid else PRODUCTION_NAME
    seen = await access.environment_in_context(actor, project_id, reference, Operation.FORK)
    usage = await plan_limits.hold(project_id, Limit.ENVIRONMENT_COUNT)
    plans.check_environment(usage)
    source = await lock_source(seen)
    head = await writing.head_of(source)
    users = await _chosen(View(source, head), options)
    fork = await branch(actor, source, head, options, usage, users=users)
    await access.let_change(actor, fork.environment)
    return fork


def _check_filter(options: ForkOptions) -> None:
    filters = [given for given in (options.user_rules, options.user_uuids, options.segment_id) if given is not None]
    if len(filters) > 1:
        raise ValidationFailed("A fork takes rules, named users or a segment, one of them.", field="user_filter")
    if options.user_uuids is not None:
        if len(options.user_uuids) > MAX_USERS:
            raise ValidationFailed(f"A filter names at most {MAX_USERS:,} users.", field="user_filter")
        for key in options.user_uuids:
            check_key(USER_KIND, key)


async def _chosen(source: View, options: ForkOptions) -> Chosen | None:
    if options.user_uuids is not None:
        return Chosen(options.user_uuids)
    if options.segment_id is not None:
        segment = await defined_segments.get(source, options.segment_id)
        return await _matching(source, Chosen(rules=segment.rules, segment=segment))
    if options.user_rules is not None:
        return await _matching(source, Chosen(rules=parse_rules(list(options.user_rules), ("user_filter", "rules"))))
    return None


async def _matching(source: View, users: Chosen) -> Chosen:
    protected = await protections.of(source.environment.project_id, source.generation.uuid)
    check_unprotected(users.rules or (), protected.of(USER_KIND))
    return users


@operation(Action.UPDATE_ENVIRONMENT)
async def update(actor: Actor, env_uuid: UUID, wanted: EnvironmentUpdate, project_id: int | None = None) -> Environment:
    """Change an environment's name and settings (semantics §11.21).

    An expiry of None is as late as the plan allows. Raises EnvironmentNotFound, EnvironmentArchived,
    EnvironmentNameTaken, ProductionProtected, WriteWhileRollingOut, SandboxLimitExceeded, SandboxNotAvailable,
    ValidationFailed.
    """
    environment = await access.environment_by_uuid(actor, env_uuid, Operation.UPDATE_ENVIRONMENT, project_id)
    if environment.is_production and (wanted.name is not MISSING or wanted.expires_at is not MISSING):
        raise ProductionProtected("Production keeps its name and never expires.")
    if environment.is_production and wanted.shadow_writes is True:
        raise ProductionProtected("Production is not mirrored into itself.")
    return await _update(environment, wanted)


@db.atomic()
async def _update(seen: Environment, wanted: EnvironmentUpdate) -> Environment:
    before = environment = (await writing.lock_exclusively(seen)).environment
    if environment.status is EnvStatus.ROLLING_OUT:
        raise WriteWhileRollingOut
    environment = await _within_plan(environment, wanted)
    if wanted.name is not MISSING:
        environment = replace(environment, name=environment_name(wanted.name))
    if wanted.rollout_steps is not MISSING:
        environment = replace(environment, rollout_steps=check_steps(wanted.rollout_steps))
    if wanted.segments is not MISSING:
        environment = replace(environment, segments=_segment_ids(wanted.segments))
    if wanted.shadow_overwrite is not MISSING:
        environment = replace(environment, shadow_overwrite=wanted.shadow_overwrite)
    saved = await environments.save(environment)
    facts, made = environment_facts(before), environment_facts(saved)
    changed: dict[str, Value] = {name: value for name, value in made.items() if value != facts[name]}
    await publish(saved.project_id, EventType.ENVIRONMENT_UPDATED, env_uuid=saved.uuid, data=changed)
    if saved.expires_at != before.expires_at:
        await jobs.archive_on_expiry(saved)
    await recording.record(
        saved.project_id,
        Object.of(saved),
        env_uuid=saved.uuid,
        change=(facts, made),
    )
    return saved


async def _within_plan(environment: Environment, wanted: EnvironmentUpdate) -> Environment:
    expires_at, shadow_writes = wanted.expires_at, wanted.shadow_writes
    # What stays as it is, is no growth: a client that sends everything back goes on working on a smaller plan.
    if expires_at is not MISSING and (expires_at is None or expires_at != environment.expires_at):
        usage = await plan_limits.usage_of(environment.project_id)
        expires_at = plans.expiry(usage.plan, _in_future(expires_at), datetime.now(UTC))
        environment = replace(environment, expires_at=expires_at)
    if shadow_writes is not MISSING and shadow_writes != environment.shadow_writes:
        if shadow_writes:
            plans.check_shadow_writes(await plan_limits.usage_of(environment.project_id))
            await shadows.begin(environment.project_id, environment.uuid)
        environment = replace(environment, shadow_writes=shadow_writes)
    return environment


def _segment_ids(segments: list[Value]) -> list[Value]:
    if not all(isinstance(item, str) and access.as_uuid(item) for item in segments):
        raise ValidationFailed("'segments' is an array of segment UUIDs.", field="segments")
    return segments


def _in_future(expires_at: datetime | None) -> datetime | None:
    if expires_at is None:
        return None
    if expires_at.tzinfo is None:
        raise ValidationFailed("A time needs an offset, as in 2030-01-31T12:00:00Z.", field="expires_at")
    if expires_at <= datetime.now(UTC):
        raise ValidationFailed("The expiry lies in the past.", field="expires_at")
    return expires_at


@operation(Action.ARCHIVE_ENVIRONMENT)
async def archive(actor: Actor, env_uuid: UUID, project_id: int | None = None) -> Archived:
    """Archive an environment and remove the layers that nothing else stands on.

    Raises EnvironmentNotFound, EnvironmentArchived, ProductionProtected, TokenKindForbidden.
    """
    environment = await access.environment_by_uuid(actor, env_uuid, Operation.ARCHIVE, project_id)
    if environment.is_production:
        raise ProductionProtected("Production cannot be archived.")
    return await _archive(environment)


async def find_expired() -> None:
    """Promise the archiving of every environment that has expired, should its own job have been lost."""
    for project_id, env_uuid in await environments.expired():
        await jobs.enqueue_missing(JobKind.ARCHIVE_EXPIRED, project_id=project_id, env_uuid=env_uuid)


async def archive_expired(project_id: int, env_uuid: UUID) -> None:
    """Archive an environment by itself, if its time is over and nobody has archived it."""
    environment = await environments.get([project_id], env_uuid)
    if environment is None or environment.expires_at is None or environment.status is EnvStatus.ARCHIVED:
        return
    with calls.begun(calls.Call(Action.ARCHIVE_ENVIRONMENT, None, project_id)), suppress(EnvironmentArchived):
        await _archive_expired(environment)


@db.atomic(statement_timeout="1min")
async def _archive_expired(seen: Environment) -> None:
    environment = (await writing.lock_exclusively(seen)).environment
    if await environments.is_expired(environment.project_id, environment.uuid):
        await _archive_locked(environment)


@db.atomic(statement_timeout="1min")
async def _archive(seen: Environment) -> Archived:
    return await _archive_locked((await writing.lock_exclusively(seen)).environment)


async def _archive_locked(environment: Environment) -> Archived:
    lifecycle.check_move(environment, EnvStatus.ARCHIVED)
    saved = await environments.save(replace(environment, status=EnvStatus.ARCHIVED, traffic_weight=0))
    await end_requests_of(environment)
    archived = Archived(saved, await snapshots.removable_layers(saved.project_id, saved.uuid))
    await publish(
        saved.project_id,
        EventType.ENVIRONMENT_ARCHIVED,
        env_uuid=saved.uuid,
        data={"env_name": saved.name, "previous_status": environment.status.value},
    )
    change: tuple[State, State] = (environment_facts(environment), environment_facts(saved))
    await recording.record(saved.project_id, Object.of(saved), env_uuid=saved.uuid, change=change)
    return archived
