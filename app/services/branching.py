"""How a new environment branches off a generation; called inside the transaction of the service that wants one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import Final
from uuid import UUID, uuid4

from app.domain import plans
from app.domain.audit import Entry, Object, environment_facts, generation_facts
from app.domain.errors import DepthLimitExceeded
from app.domain.events import EventType
from app.domain.model import (
    PROJECT_KEY,
    PROJECT_KIND,
    Actor,
    Environment,
    EnvStatus,
    EnvType,
    Generation,
    Origin,
)
from app.domain.patch import NOTHING
from app.domain.plans import Usage
from app.domain.rollout import DEFAULT_STEPS
from app.domain.rules import Rule
from app.domain.segments import Segment
from app.domain.values import MISSING, Value
from app.services import jobs, recording, writing
from app.services.publishing import publish
from app.storage import (
    changes,
    db,
    entities,
    environments,
    generations,
    layers,
    manifests,
    segments,
    shadows,
    snapshots,
)
from app.storage.changes import LayerWrite, Place
from app.storage.codec import dumps

MAX_DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class ForkOptions:
    """What to fork and how.

    ``user_uuids`` limits the users that the fork shows to those; ``user_rules`` and ``segment_id`` to those that match
    rules, or a segment of what is forked, when it is made. ``expires_at`` of None is as late as the plan allows.
    ``replaces_version`` is that of the production which a rollback replaces when it is promoted.
    """

    env_name: str
    env_type: EnvType = EnvType.SANDBOX
    parent_env_uuid: UUID | None = None
    user_uuids: Sequence[str] | None = None
    user_rules: Sequence[Value] | None = None
    segment_id: UUID | None = None
    rollout_steps: list[Value] | None = None
    shadow_writes: bool = False
    expires_at: datetime | None = None
    replaces_version: int | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The users that a filtered fork shows: those named, or those that match ``rules``, of a segment or not."""

    user_uuids: Sequence[str] = ()
    rules: Sequence[Rule] | None = None
    segment: Segment | None = None

    async def add(self, source: Generation, target: Generation) -> int:
        """Put them into ``target``, as far as ``source`` shows them; return how many they are."""
        if self.rules is None:
            return await snapshots.add_matching_users(source, target, self.user_uuids)
        return await segments.add_matching(source, target, self.rules)

    def described(self) -> dict[str, Value]:
        """Return what the manifest says of them."""
        if self.rules is None:
            return {"user_uuids": list(self.user_uuids)}
        rules: dict[str, Value] = {"rules": [rule.to_json() for rule in self.rules]}
        segment = self.segment
        return rules if segment is None else {**rules, "segment_id": str(segment.segment_id), "name": segment.name}


@dataclass(frozen=True, slots=True)
class Fork:
    """A new environment. ``forked_count`` is the number of entities it starts with."""

    environment: Environment
    generation: Generation
    fork_project_uuid: UUID
    forked_count: int
    manifest_uuid: UUID


async def lock_source(seen: Environment) -> Environment:
    """Lock an environment against being moved while something branches off it. Raises EnvironmentArchived."""
    source = await environments.lock(seen.project_id, seen.uuid, "SHARE")
    if source is None or source.status is not seen.status:
        raise db.Retry
    return source


async def branch(
    actor: Actor,
    source: Environment,
    parent: Generation,
    options: ForkOptions,
    usage: Usage,
    *,
    users: Chosen | None = None,
    beyond_limit: bool = False,
) -> Fork:
    """Add an environment on top of ``parent`` and record it, in the transaction that holds a place for it.

    ``usage`` is what is in use under that hold; ``users`` are the only ones that it shows, None: all;
    ``beyond_limit`` marks the one rollback of a checkpoint that needs no place. Raises DepthLimitExceeded,
    SandboxLimitExceeded, SandboxNotAvailable.
    """
    if parent.number + 1 > MAX_DEPTH:
        raise DepthLimitExceeded(f"Environments can be {MAX_DEPTH} generations deep.", max=MAX_DEPTH)
    environment = _new_environment(source, _within_plan(options, parent, usage))
    generation = writing.child_of(parent, environment, actor)
    if users is not None:
        generation = replace(generation, filter_uuid=generation.uuid)
    if options.replaces_version is not None:
        generation = replace(generation, replaces_version=options.replaces_version)
    environment = replace(environment, head_uuid=generation.uuid)
    await environments.add(environment)
    await jobs.archive_on_expiry(environment)
    generation = await generations.add(generation)
    matching = None if users is None else await users.add(parent, generation)
    forked_count = await snapshots.count_shown(generation)
    entry = recording.entry(
        environment.project_id,
        Object.of(environment),
        env_uuid=environment.uuid,
        change=(MISSING, {**environment_facts(environment), "parent_generation_uuid": str(parent.uuid)}),
    )
    layer_uuid, version = await _project_layer(actor, generation, entry)
    if environment.shadow_writes:
        await shadows.begin(environment.project_id, environment.uuid)
    await generations.set_version(parent.project_id, generation.uuid, version)
    await publish(
        parent.project_id,
        EventType.GENERATION_CREATED,
        env_uuid=environment.uuid,
        subject=generation.uuid,
        data={**generation_facts(generation), "env_name": environment.name, "parent_uuid": str(parent.uuid)},
    )
    user_filter = None if users is None else dumps({**users.described(), "matching": matching})
    manifest_uuid = await manifests.add(
        generation, parent, forked_count, user_filter, actor.name, beyond_limit=beyond_limit
    )
    saved = await environments.get([environment.project_id], environment.uuid)
    return Fork(saved or environment, replace(generation, version=version), layer_uuid, forked_count, manifest_uuid)


def _within_plan(options: ForkOptions, parent: Generation, usage: Usage) -> ForkOptions:
    plans.check_depth(usage.plan, parent.number + 1)
    if options.shadow_writes:
        plans.check_shadow_writes(usage)
    return replace(options, expires_at=plans.expiry(usage.plan, options.expires_at, datetime.now(UTC)))


def _new_environment(source: Environment, options: ForkOptions) -> Environment:
    now = datetime.now(UTC)
    return Environment(
        project_id=source.project_id,
        uuid=uuid4(),
        name=options.env_name,
        env_type=options.env_type,
        status=EnvStatus.DRAFT,
        head_uuid=source.head_uuid,
        pinned_uuid=None,
        parent_uuid=source.uuid,
        traffic_weight=0,
        rollout_steps=options.rollout_steps or DEFAULT_STEPS,
        segments=[],
        ab_seed=token_hex(8),
        shadow_writes=options.shadow_writes,
        shadow_overwrite=False,
        expires_at=options.expires_at,
        created_at=now,
        updated_at=now,
    )


async def _project_layer(actor: Actor, generation: Generation, entry: Entry) -> tuple[UUID, int]:
    entity = await entities.lock(generation.project_id, PROJECT_KIND, PROJECT_KEY)
    stack = (await layers.stacks_of(generation.project_id, generation.uuid, [entity.uuid]))[entity.uuid]
    place = Place(generation.project_id, generation.env_uuid, generation.uuid, False, Origin.FORK, actor.name)
    recorded = await changes.record(place, [LayerWrite(stack, NOTHING, stack.state, stack.state, NOTHING)], entry)
    return recorded[0].layer_uuid, recorded[0].change.version
