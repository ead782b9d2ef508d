"""What promoting an environment would do, worked out before anything is locked (semantics §3, §11.33)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from app.domain.carrying import Carried, LineLayer, base_of, carried_by, uncarried_by, without
from app.domain.layers import resolve
from app.domain.model import USER_KIND, Entity, Environment, Generation, GenerationKind
from app.domain.patch import NOTHING, Patch, Replace, diff, leaves, restrict
from app.domain.pointer import Path, format_pointer, parse_pointer
from app.domain.promotion import CarriedChange, DocumentConflict, DocumentPaths, DocumentResolution, EntityMerge, Plan
from app.domain.promotion_errors import PathNotCarried, UnknownConflict
from app.domain.protected import NOTHING_PROTECTED, Places
from app.domain.sealing import travelling
from app.domain.three_way import Resolution, Resolve, merge_carried
from app.domain.values import MISSING, State, same
from app.services import resolution, writing
from app.services.resolution import View
from app.storage import changes, environments, generations, layers, lines, protections, releases, snapshots
from app.storage.layers import Layer
from app.storage.lines import Fingerprint, LineLayers

CHUNK: Final = 500
_NOTHING: Final = Carried(NOTHING, NOTHING)


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a promotion needs. ``line`` is what is above production, uppermost first.

    ``layers`` are those whose bases the promotion marks; ``seen`` tells all that was read.
    """

    environment: Environment
    production: Environment
    head: Generation
    root: Generation
    line: Sequence[Generation]
    merges: Sequence[EntityMerge]
    layers: Sequence[LineLayers]
    seen: Fingerprint

    @property
    def is_partial(self) -> bool:
        return any(merge.rest.changes for merge in self.merges)

    @property
    def changes(self) -> list[CarriedChange]:
        """Every carried path."""
        return [change for merge in self.merges for change in merge.changes()]

    @property
    def conflicts(self) -> list[DocumentConflict]:
        """Those that are open."""
        return [DocumentConflict.of(item.entity, found) for item in self.merges for found in item.merged.conflicts]

    @property
    def merged_depth(self) -> int:
        """Generations of changes above the nearest whole document."""
        return len(self.head.path) - 1


async def prepare(environment: Environment, plan: Plan, *, strict: bool = True) -> Prepared:
    """Work out what promoting ``environment`` does, conflicts included.

    Raises PathNotCarried for a path that names no carried change, UnknownConflict for a resolution without one; not
    where ``strict`` is False, for a plan that was made when there were.
    """
    production = await environments.production(environment.project_id)
    head, root = await writing.head_of(environment), await writing.head_of(production)
    await check_resolutions(head, plan.resolutions)
    known = await generations.get_many(head.project_id, head.ancestors)
    above = [known[uuid] for uuid in head.ancestors if uuid != root.uuid and known[uuid].kind is GenerationKind.LINE]
    if head.replaces_version is None:
        found = await lines.layers_of(root.uuid, above)
        seen = lines.fingerprint((item.entity, item.all_layers) for item in found)
        found = [item for item in found if _in_sight(item, head)]
        merges = await _carried(found, root, plan)
    else:
        own = [generation for generation in above if generation.replaces_version is not None]
        found = await lines.layers_of(root.uuid, own)
        uncarried = {item.entity.uuid: uncarried_by(carrying(item, layers.state_of(item.root))) for item in found}
        merges, seen = await _replacing(View(production, root, head.replaces_version), head, plan, uncarried)
    if strict:
        _check_plan(plan, merges)
    return Prepared(environment, production, head, root, above, merges, found, seen)


async def is_as_read(prepared: Prepared) -> bool:
    """Return whether all is as ``prepare`` read it; to be asked when everything is locked."""
    head, root = prepared.head, prepared.root
    if head.replaces_version is None:
        line = [generation.uuid for generation in prepared.line]
        return await lines.fingerprint_now(root.project_id, root.uuid, line) == prepared.seen
    candidates = [entity.uuid for entity in await _candidates(root, head, head.replaces_version)]
    return await lines.fingerprint_now(root.project_id, root.uuid, head.path, candidates) == prepared.seen


def _in_sight(item: LineLayers, head: Generation) -> bool:
    """Return whether the head's filter lets a document be carried: users need a layer at the filter or below it."""
    if head.filter_uuid is None or item.entity.kind != USER_KIND:
        return True
    place = head.ancestors.index(head.filter_uuid)
    return any(layer.generation_uuid in head.ancestors[place:] for layer in item.layers)


async def _carried(found: Sequence[LineLayers], root: Generation, plan: Plan) -> list[EntityMerge]:
    resolutions, paths = resolutions_by_document(plan.resolutions), _chosen(plan.paths)
    hidden = [item.entity.uuid for item in found if item.root is not None and layers.state_of(item.root) is MISSING]
    last = await changes.last_shown(root.project_id, hidden, root.uuid) if hidden else {}
    merges = []
    for item in found:
        ours = layers.state_of(item.root)
        line = carrying(item, ours)
        shown = resolve([Replace(ours), *(layer.patch for layer in line)])
        merges.append(
            _merge(
                item.entity,
                carried_by(line),
                ours,
                shown,
                paths,
                resolutions,
                last.get(item.entity.uuid, MISSING),
                places=item.places,
            )
        )
    return merges


def carrying(item: LineLayers, above: State) -> list[LineLayer]:
    """Return an entity's layers with their bases; ``above`` is what stands above the first."""
    line = []
    state = above
    for layer in item.layers:
        told = layer.carrying(state)
        line.append(told)
        state = resolve([Replace(state), told.patch])
    return line


def _merge(
    entity: Entity,
    carried: Carried,
    ours: State,
    shown: State,
    paths: dict[tuple[str, str], list[Path]] | None,
    resolutions: dict[tuple[str, str], dict[Path, Resolution]],
    last: State = MISSING,
    *,
    places: Places,
) -> EntityMerge:
    name = (entity.kind, entity.key)
    chosen, rest = _choose(carried, name, paths, lambda patch: travelling(places, patch, ours))
    resolve_: Resolve = resolutions.get(name, {})
    return EntityMerge(entity, chosen, rest, ours, shown, merge_carried(ours, chosen, resolve_, last=last))


def _choose(
    carried: Carried,
    name: tuple[str, str],
    paths: dict[tuple[str, str], list[Path]] | None,
    travelling: Callable[[Patch], Patch],
) -> tuple[Carried, Carried]:
    if paths is None:
        return Carried(travelling(carried.changes), travelling(carried.base)), _NOTHING
    chosen = travelling(restrict(carried.changes, paths.get(name, [])))
    base = travelling(restrict(carried.base, [path for path, _ in leaves(chosen)]))
    return Carried(chosen, base), Carried(without(carried.changes, chosen), without(carried.base, chosen))


async def _replacing(
    view: View, head: Generation, plan: Plan, uncarried: Mapping[UUID, Patch]
) -> tuple[list[EntityMerge], Fingerprint]:
    """Production becomes this state: what differs from production as it was when the rollback was made (§11.11).

    ``view`` is that production. What was mirrored or reverted since is ``uncarried``.
    """
    root = view.generation
    resolutions, paths = resolutions_by_document(plan.resolutions), _chosen(plan.paths)
    merges: list[EntityMerge] = []
    seen: list[tuple[Entity, Sequence[Layer]]] = []
    candidates = await _candidates(root, head, view.version or 0)
    for start in range(0, len(candidates), CHUNK):
        chunk = candidates[start : start + CHUNK]
        uuids = [entity.uuid for entity in chunk]
        now = await layers.stacks_of(root.project_id, root.uuid, uuids)
        wanted = await layers.stacks_of(root.project_id, head.uuid, uuids)
        then = await resolution.wound_back(view, [now[uuid] for uuid in uuids])
        for entity, document in zip(chunk, then, strict=True):
            ours, theirs = now[entity.uuid], wanted[entity.uuid]
            seen += [(entity, ours.layers), (entity, theirs.layers)]
            if theirs.in_sight:
                change = without(diff(document.state, theirs.state), uncarried.get(entity.uuid, NOTHING))
                carried = Carried(change, base_of(change, document.state))
                merges.append(
                    _merge(
                        entity,
                        carried,
                        ours.state,
                        theirs.state,
                        paths,
                        resolutions,
                        document.state,
                        places=theirs.places,
                    )
                )
    return [merge for merge in merges if merge.carried.changes or merge.rest.changes], lines.fingerprint(seen)


async def _candidates(root: Generation, head: Generation, version: int) -> list[Entity]:
    current = await changes.current_version(root.project_id)
    touched = await releases.touched_between(root.project_id, root.uuid, version, current)
    found = {entity.uuid: entity for entity in [*await snapshots.may_differ(root, head), *touched]}
    return sorted(found.values(), key=lambda entity: (entity.kind, entity.key))


async def check_resolutions(shown: Generation, given: Sequence[DocumentResolution]) -> None:
    """Raise ValidationFailed for a value that is given to a protected place: it would be kept with the request."""
    values = [item for item in given if item.take is None and item.state is not MISSING]
    protected = await protections.of(shown.project_id, shown.uuid) if values else NOTHING_PROTECTED
    for item in values:
        assert item.state is not MISSING
        message = "A protected value is written into a document; a resolution takes a side."
        protected.of(item.kind).check_outside(parse_pointer(item.path), item.state, message)


def resolutions_by_document(given: Iterable[DocumentResolution]) -> dict[tuple[str, str], dict[Path, Resolution]]:
    """Return resolutions by the document and the path of the conflict that each is for."""
    found: dict[tuple[str, str], dict[Path, Resolution]] = {}
    for item in given:
        settled = Resolution(item.take, item.state, item.triple)
        found.setdefault((item.kind, item.key), {})[parse_pointer(item.path)] = settled
    return found


def _chosen(given: Sequence[DocumentPaths] | None) -> dict[tuple[str, str], list[Path]] | None:
    if given is None:
        return None
    found: dict[tuple[str, str], list[Path]] = {}
    for item in given:
        found.setdefault((item.kind, item.key), []).extend(map(parse_pointer, item.paths))
    return found


def _check_plan(plan: Plan, merges: Sequence[EntityMerge]) -> None:
    carried = {(merge.entity.kind, merge.entity.key): merge.carried.changes for merge in merges}
    for item in plan.paths or ():
        changes = carried.get((item.kind, item.key), NOTHING)
        for path in item.paths or [""]:
            if not restrict(changes, [parse_pointer(path)]):
                raise PathNotCarried(item.kind, item.key, path)
    met = (
        DocumentConflict.of(merge.entity, found)
        for merge in merges
        for found in (*merge.merged.conflicts, *merge.merged.resolved)
    )
    # One that was given for a conflict is kept with its request; the conflict may have gone since.
    check_met([given for given in plan.resolutions if given.triple is None], met)


def check_met(given: Iterable[DocumentResolution], met: Iterable[DocumentConflict]) -> None:
    """Raise UnknownConflict for a resolution of a conflict that is not among ``met``."""
    known = {(conflict.kind, conflict.key, conflict.path) for conflict in met}
    for item in given:
        if (item.kind, item.key, item.path) not in known:
            raise UnknownConflict(item.kind, item.key, item.path)


def bound(plan: Plan, merges: Sequence[EntityMerge]) -> Plan:
    """Return the plan with each resolution bound to the conflict that it settled (§11.18)."""
    triples = {
        (merge.entity.kind, merge.entity.key, format_pointer(found.path)): found.triple
        for merge in merges
        for found in merge.merged.resolved
    }
    kept = [
        DocumentResolution(
            item.kind,
            item.key,
            item.path,
            item.take,
            item.state,
            triples.get((item.kind, item.key, item.path), item.triple),
        )
        for item in plan.resolutions
    ]
    return replace(plan, resolutions=kept)


def changed_documents(merges: Iterable[EntityMerge]) -> list[EntityMerge]:
    """Return the merges that leave production another document."""
    return [merge for merge in merges if not same(merge.ours, merge.merged.state)]
