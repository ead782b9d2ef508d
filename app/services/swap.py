"""The swap: carried changes become production's, in one transaction with all that follows (semantics §3, §11.12)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from app.domain import lifecycle
from app.domain.audit import Entry
from app.domain.carrying import Carried, base_of, without
from app.domain.events import EventType
from app.domain.layers import canonical_layer
from app.domain.model import Actor, Environment, EnvStatus, Generation, GenerationKind, Origin
from app.domain.names import MAX_NAME
from app.domain.patch import Patch, Replace, apply
from app.domain.promotion import Plan
from app.domain.values import MISSING, same
from app.services import project_settings, writing
from app.services.carried import Prepared, carrying, changed_documents, is_as_read, prepare
from app.services.ending import end_requests_of
from app.services.publishing import publish
from app.services.writing import DocumentWrite, Target
from app.storage import (
    changes,
    db,
    entities,
    environments,
    generations,
    layers,
    lines,
    protections,
    releases,
    snapshots,
)
from app.storage.changes import LayerWrite
from app.storage.releases import NewRelease, Release, ReleasedEntity

WHOLE_WEIGHT = 100


async def prepare_held(
    environment: Environment, plan: Plan, *, strict: bool = True
) -> tuple[Prepared, list[Environment]]:
    """Work out what promoting ``environment`` does, and lock all that it touches; return both.

    The work is done before anything is locked, and again under the locks only if what it read was written to
    meanwhile. Raises Retry if an anchor moved, and as ``prepare`` does.
    """
    prepared = await prepare(environment, plan, strict=strict)
    locked = await _hold_still(prepared)
    if not await is_as_read(prepared):
        prepared = await prepare(environment, plan, strict=strict)
    await entities.lock_many(environment.project_id, [merge.entity.uuid for merge in prepared.merges])
    return prepared, locked


async def _hold_still(prepared: Prepared) -> list[Environment]:
    """Lock the anchors in the one order, and check that they are as they were read."""
    project_id = prepared.environment.project_id
    await lines.lock_releasing(project_id)
    own = [prepared.production.uuid, prepared.environment.uuid, *{item.env_uuid for item in prepared.line}]
    around = await lines.environments_around(project_id, own, [item.uuid for item in prepared.line])
    locked = await lines.lock_all(project_id, [item.uuid for item in around])
    again = await lines.environments_around(project_id, own, [item.uuid for item in prepared.line])
    heads = {item.uuid: (item.head_uuid, item.status) for item in locked}
    seen = (prepared.environment, prepared.production)
    if {item.uuid for item in again} != set(heads) or any(
        heads.get(item.uuid) != (item.head_uuid, item.status) for item in seen
    ):
        raise db.Retry
    return locked


@dataclass(frozen=True, slots=True)
class Swap:
    """Who brings what to production, and under which request; ``entry`` is the trail's row for it."""

    actor: Actor
    prepared: Prepared
    locked: Sequence[Environment]
    promotion_uuid: UUID
    message: str | None
    entry: Entry

    async def run(self) -> Release:
        """Change production, record the release, and let everything around follow."""
        if (await project_settings.of(self.prepared.root.project_id, fresh=True)).auto_checkpoint_before_promote:
            await self._checkpoint_production()
        released, first_version = await self._production()
        release = await releases.add(
            NewRelease(
                project_id=self.prepared.root.project_id,
                uuid=uuid4(),
                env_uuid=self.prepared.environment.uuid,
                promotion_uuid=self.promotion_uuid,
                undoes_uuid=None,
                message=self.message,
                actor=self.actor.name,
            ),
            released,
        )
        movable = self._leaves_descendants_as_they_are()
        await self._mark_promoted()
        if self.prepared.is_partial:
            await self._keep_the_rest()
        else:
            await self._become_live()
            if movable:
                await self._move_descendants()
            await self._retire_former()
        await publish(
            release.project_id,
            EventType.GENERATION_PROMOTED,
            env_uuid=release.env_uuid,
            subject=self.promotion_uuid,
            data={
                "release_id": str(release.uuid),
                "release_number": release.number,
                "entities": release.entity_count,
                "partial": self.prepared.is_partial,
            },
            covers=first_version,
        )
        return release

    async def _checkpoint_production(self) -> None:
        root, production = self.prepared.root, self.prepared.production
        label = f"before {self.prepared.environment.name}"[:MAX_NAME]
        snapshot = writing.snapshot_of(root, production, self.actor, GenerationKind.CHECKPOINT, label)
        await generations.add(snapshot)
        list_version = await protections.hold(root.project_id)
        count = await snapshots.copy_shown(root, snapshot)
        await protections.freeze(root.project_id, root.uuid, snapshot.uuid)
        version = await changes.next_version(root.project_id)
        await protections.confirm(root.project_id, list_version)
        await generations.complete_snapshot(root.project_id, snapshot.uuid, count, version)
        await generations.mark_automatic(root.project_id, snapshot.uuid)

    async def _production(self) -> tuple[list[ReleasedEntity], int | None]:
        prepared = self.prepared
        target = Target(prepared.production, prepared.root, prepared.production.status)
        writes: list[DocumentWrite] = []
        merges = changed_documents(prepared.merges)
        for start in range(0, len(merges), writing.CHUNK):
            chunk = merges[start : start + writing.CHUNK]
            uuids = [merge.entity.uuid for merge in chunk]
            stacks = await layers.stacks_of(prepared.root.project_id, prepared.root.uuid, uuids)
            for merge in chunk:
                if not same(stacks[merge.entity.uuid].state, merge.ours):
                    raise db.Retry
                writes.append(DocumentWrite(stacks[merge.entity.uuid], merge.merged.state))
        recorded = await writing.write(self.actor, target, writes, Origin.PROMOTION, self.entry)
        released = [ReleasedEntity(merge.entity, merge.ours, merge.merged.state) for merge in merges]
        return released, recorded[0].change.version if recorded else None

    def _leaves_descendants_as_they_are(self) -> bool:
        prepared = self.prepared
        return (
            prepared.head.path[0] == prepared.root.uuid
            and prepared.head.filter_uuid is None
            and not prepared.is_partial
            and all(same(merge.shown, merge.merged.state) for merge in prepared.merges)
        )

    async def _mark_promoted(self) -> None:
        """Let the old line show what it shows and never carry it again."""
        prepared, project_id = self.prepared, self.prepared.root.project_id
        if not prepared.is_partial:
            line = [generation.uuid for generation in prepared.line]
            await lines.clear_bases(project_id, line, [item.entity.uuid for item in prepared.layers])
            return
        carried = {merge.entity.uuid: merge.carried.changes for merge in prepared.merges if merge.carried.changes}
        bases: dict[UUID, Patch] = {}
        for item in prepared.layers:
            promoted = carried.get(item.entity.uuid)
            if promoted is None:
                continue
            line_layers = carrying(item, layers.state_of(item.root))
            for layer, told in zip(item.layers, line_layers, strict=True):
                left = without(told.base, promoted)
                if left != told.base:
                    bases[layer.uuid] = left
        if bases:
            await lines.set_bases(project_id, bases)

    async def _become_live(self) -> None:
        environment, head = self.prepared.environment, self.prepared.head
        generation = replace(
            writing.child_of(self.prepared.root, environment, self.actor), filter_uuid=None, replaces_version=None
        )
        await writing.stand_on(generation, head)
        await environments.save(
            replace(
                lifecycle.through(environment, EnvStatus.LIVE),
                head_uuid=generation.uuid,
                traffic_weight=WHOLE_WEIGHT,
            )
        )
        await generations.seal(head.project_id, head.uuid)

    async def _keep_the_rest(self) -> None:
        prepared = self.prepared
        rest = [(merge.entity.uuid, merge.rest) for merge in prepared.merges if merge.rest.changes]
        generation = writing.child_of(prepared.root, prepared.environment, self.actor)
        if prepared.head.filter_uuid is not None:
            generation = replace(generation, filter_uuid=generation.uuid)
        await writing.stand_on(generation, prepared.head)
        await lines.keep_filter(prepared.head, generation)
        await write_overrides(self.actor, generation, rest)
        await generations.seal(prepared.head.project_id, prepared.head.uuid)
        await environments.save(
            replace(
                lifecycle.through(prepared.environment, EnvStatus.LIVE, EnvStatus.DRAFT),
                head_uuid=generation.uuid,
                traffic_weight=0,
            )
        )

    async def _move_descendants(self) -> None:
        prepared = self.prepared
        line = [item.uuid for item in prepared.line]
        env_uuid = prepared.environment.uuid
        own = [item.uuid for item in prepared.line if item.env_uuid == env_uuid]
        moved = [item.uuid for item in await lines.standing_on(prepared.root.project_id, own, env_uuid)]
        if moved:
            await protections.keep(prepared.root.project_id, moved)
            await lines.move_to_root(prepared.root.project_id, prepared.root.uuid, line, moved)

    async def _retire_former(self) -> None:
        for former in self.locked:
            if former.status is EnvStatus.LIVE and former.uuid not in (
                self.prepared.environment.uuid,
                self.prepared.production.uuid,
            ):
                await self._retire(former)

    async def _retire(self, former: Environment) -> None:
        head = await writing.head_of(former)
        own = [uuid for uuid in head.ancestors if uuid != self.prepared.root.uuid]
        if await lines.carries(former.project_id, own):
            await environments.save(replace(lifecycle.through(former, EnvStatus.DRAFT), traffic_weight=0))
            return
        await environments.save(replace(lifecycle.through(former, EnvStatus.ARCHIVED), traffic_weight=0))
        await end_requests_of(former)
        await snapshots.removable_layers(former.project_id, former.uuid)
        await publish(
            former.project_id,
            EventType.ENVIRONMENT_ARCHIVED,
            env_uuid=former.uuid,
            data={"env_name": former.name, "previous_status": former.status.value},
        )


async def write_overrides(actor: Actor, generation: Generation, overrides: Sequence[tuple[UUID, Carried]]) -> None:
    """Give an environment's new generation the overrides that it goes on carrying, with their bases."""
    place = writing.place_in(generation, actor, Origin.PROMOTION)
    await entities.lock_many(generation.project_id, [uuid for uuid, _ in overrides])
    for start in range(0, len(overrides), writing.CHUNK):
        chunk = overrides[start : start + writing.CHUNK]
        stacks = await layers.stacks_of(generation.project_id, generation.uuid, [uuid for uuid, _ in chunk])
        await changes.record(place, [_override(stacks[uuid], carried) for uuid, carried in chunk])


def _override(stack: layers.Stack, carried: Carried) -> LayerWrite:
    parent = stack.above_state
    if parent is MISSING and not isinstance(carried.changes, Replace):
        # Hidden, since production no longer shows what it changes; so it stays.
        return LayerWrite(stack, carried.changes, MISSING, MISSING, carried.base)
    after = apply(parent, carried.changes)
    patch = canonical_layer(parent, after)
    return LayerWrite(stack, patch, parent, after, base_of(patch, apply(parent, carried.base)))
