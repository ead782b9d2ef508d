"""Taking out of all that is stored what was there before its place was protected (semantics §7, §11.26).

Readers see markers from the moment that a list is in force. This rewrites the rows behind: layers, bases and
snapshots, changes, releases, promotion requests, answers kept for repeated requests, and filters of forks. It goes on
where it stopped, in short transactions, beside everything else.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from app.domain.audit import Action, Object, ObjectType
from app.domain.jobs import JobKind
from app.domain.model import USER_KIND
from app.domain.protected import Protection
from app.domain.rules import without_values
from app.domain.values import State, Value, same
from app.services import jobs, recording, redacting
from app.storage import codec, db, entities, layers, promotions, protections, secrets, sweeps, swept_copies
from app.storage.sealed import Sealer
from app.storage.sweeps import Sweep

LAYERS: Final = "layers"
DONE: Final = "done"
_LAYER_ROWS: Final = 200
_CHANGE_ROWS: Final = 500
_RELEASE_ROWS: Final = 200
_JOB_SECONDS: Final = 30.0


async def sweep(project_id: int) -> bool:
    """Do one bounded step; return whether there is more to do. It never does anything twice."""
    return await _step(project_id)


@db.atomic(statement_timeout="1min")
async def _step(project_id: int) -> bool:
    seen = await sweeps.lock(project_id, LAYERS)
    if seen is None or seen.stage == DONE:
        return False
    after, rewritten = await _STAGES[seen.stage](seen)
    await sweeps.save(after)
    if rewritten or after.stage == DONE:
        facts: State = {"stage": seen.stage, "rows": rewritten, "done": after.stage == DONE}
        thing = Object(ObjectType.PROJECT, str(project_id))
        await recording.record_as(None, Action.SWEEP_PROTECTED, thing, project_id, after=facts)
    return after.stage != DONE


def _next(seen: Sweep, stage: str) -> Sweep:
    return replace(seen, stage=stage, depth=None, generation_uuid=None, entity_uuid=None)


async def _sweep_layers(seen: Sweep) -> tuple[Sweep, int]:
    generation = await sweeps.next_generation(seen)
    if generation is None:
        return _next(seen, "changes"), 0
    after = seen.entity_uuid if generation.uuid == seen.generation_uuid else None
    uuids = await sweeps.entities_in(generation, after, _LAYER_ROWS)
    if not uuids:
        following = await sweeps.following_generation(seen, generation)
        return (sweeps.at(seen, following, None) if following else _next(seen, "changes")), 0
    await entities.lock_many(seen.project_id, uuids)
    stacks = await layers.stacks_of(seen.project_id, generation.uuid, uuids)
    rewritten = 0
    for uuid in uuids:
        stack = stacks[uuid]
        await secrets.add(seen.project_id, uuid, generation.env_uuid, stack.found)
        rewritten += await sweeps.rewrite_layer(stack)
    return sweeps.at(seen, generation, uuids[-1]), rewritten


async def _sweep_changes(seen: Sweep) -> tuple[Sweep, int]:
    rows = await sweeps.changes_after(seen, _CHANGE_ROWS)
    rewritten = 0
    for row in rows:
        sealer = Sealer(seen.project_id, row.entity_uuid)
        undone = row.layer_reverse
        sealed = replace(
            row,
            forward=sealer.flat(row.places, row.forward),
            reverse=sealer.flat(row.places, row.reverse),
            layer_reverse=None if undone is None else sealer.layer_flat(row.places, undone),
        )
        if sealed != row:
            await secrets.add(seen.project_id, row.entity_uuid, row.env_uuid, sealer.found.values())
            await sweeps.rewrite_change(seen.project_id, sealed, list(sealer.found))
            rewritten += 1
    if len(rows) < _CHANGE_ROWS:
        return _next(replace(seen, change_version=seen.started), "releases"), rewritten
    return replace(seen, change_version=rows[-1].version), rewritten


async def _sweep_releases(seen: Sweep) -> tuple[Sweep, int]:
    rows = await swept_copies.releases_after(seen, _RELEASE_ROWS)
    rewritten = 0
    for row in rows:
        sealer = Sealer(seen.project_id, row.entity_uuid)
        before, after = sealer.state(row.places, row.before), sealer.state(row.places, row.after)
        if sealer.found:
            await secrets.add(seen.project_id, row.entity_uuid, row.env_uuid, sealer.found.values())
            sealed = replace(row, before=before, after=after)
            await swept_copies.rewrite_release(seen.project_id, sealed, list(sealer.found))
            rewritten += 1
    if len(rows) < _RELEASE_ROWS:
        return _next(seen, "others"), rewritten
    return replace(seen, generation_uuid=rows[-1].release_uuid, entity_uuid=rows[-1].entity_uuid), rewritten


async def _sweep_others(seen: Sweep) -> tuple[Sweep, int]:
    protected = await protections.everywhere(seen.project_id)
    rewritten = await promotions.mask_stored(seen.project_id, protected)
    for key, answer in await swept_copies.answers(seen.project_id):
        value = codec.loads(answer)
        masked = redacting.answer(value, protected)
        if not same(masked, value):
            await swept_copies.rewrite_answer(key, codec.dumps(masked))
            rewritten += 1
    for uuid, filter_ in await swept_copies.filters(seen.project_id):
        without = _without_values(filter_, protected)
        if without != filter_:
            await swept_copies.rewrite_filter(seen.project_id, uuid, without)
            rewritten += 1
    return _next(seen, "end"), rewritten


def _without_values(filter_: Mapping[str, Value], protected: Protection) -> dict[str, Value]:
    return {**filter_, "rules": without_values(filter_["rules"], protected.of(USER_KIND))}


async def _end(seen: Sweep) -> tuple[Sweep, int]:
    # A snapshot that was being taken meanwhile may have what the pass had not come to: nobody takes one now.
    await protections.lock(seen.project_id)
    if await sweeps.has_new_snapshots(seen):
        return await sweeps.again(seen, LAYERS), 0
    return _next(seen, DONE), 0


_STAGES: Final[Mapping[str, Callable[[Sweep], Awaitable[tuple[Sweep, int]]]]] = {
    LAYERS: _sweep_layers,
    "changes": _sweep_changes,
    "releases": _sweep_releases,
    "others": _sweep_others,
    "end": _end,
}


async def sweep_project(project_id: int) -> None:
    """Sweep a project, for as long as a job may take; what is left then is promised again."""
    until = time.monotonic() + _JOB_SECONDS
    while await sweep(project_id):
        if time.monotonic() > until:
            await promise(project_id)
            return


@db.atomic()
async def promise(project_id: int) -> None:
    """Promise that a project is swept."""
    await jobs.enqueue(JobKind.SWEEP_PROTECTED, project_id=project_id)


async def find_unswept() -> None:
    """Promise a sweep for each project that needs one, and drop data keys that seal nothing any more."""
    for project_id in await unswept():
        await promise(project_id)
    await secrets.drop_unused_keys()


async def unswept() -> list[int]:
    """Return the projects that have to be swept."""
    return await sweeps.unswept(DONE)
