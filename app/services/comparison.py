"""Comparing: two states of a document, or everything an environment shows against another (semantics §2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain.diff import Difference, difference, masked
from app.domain.errors import EnvironmentArchived, StateNotFound, UnknownKind, ValidationFailed
from app.domain.model import (
    PROJECT_KEY,
    PROJECT_KIND,
    Actor,
    Entity,
    EntityStatus,
    EnvStatus,
    Generation,
)
from app.domain.names import check_key, check_kind
from app.domain.paging import Page, check_limit, decode_cursor, encode_cursor
from app.domain.policy import Operation
from app.domain.protected import NOTHING_PROTECTED, Places
from app.domain.values import MISSING, State, same
from app.services import access, writing
from app.storage import entities, environments, generations, layers, snapshots
from app.storage.layers import DocumentKey, Stack
from app.storage.snapshots import Located

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Compared:
    """Two states of one document, and how ``new`` differs from ``old``."""

    old: State
    new: State
    difference: Difference


@dataclass(frozen=True, slots=True)
class EntityDifference:
    """How a document differs; of a protected value that differs, only that it does."""

    entity: Entity
    status: EntityStatus
    sides: "_Sides"

    @property
    def old(self) -> State:
        return self.sides.places.mask(self.sides.old)

    @property
    def new(self) -> State:
        return self.sides.places.mask(self.sides.new)

    @property
    def difference(self) -> Difference:
        return self.sides.difference


@dataclass(frozen=True, slots=True)
class EnvironmentDiff:
    """How many documents differ, and a page of them by kind and key."""

    added: int
    removed: int
    modified: int
    page: Page[EntityDifference]


async def diff(
    actor: Actor,
    a: UUID,
    b: UUID,
    *,
    kind: str = PROJECT_KIND,
    key: str | None = None,
    project_id: int | None = None,
) -> Compared:
    """Compare a document in two states; ``a`` and ``b`` name layers, entities, generations or anchors.

    Where a UUID names a whole generation, ``kind`` and ``key`` pick the document; without a key, the document
    that the other UUID names. Raises StateNotFound, UnknownKind, ValidationFailed.
    """
    check_kind(kind)
    places = [await _locate(actor, project_id, uuid) for uuid in (a, b)]
    if places[0].project_id != places[1].project_id:
        raise StateNotFound(b)
    await access.authorize(actor, places[0].project_id, Operation.READ)
    keys = [await _document(place, places, kind, key) for place in places]
    old, new = await layers.stacks(places[0].project_id, keys)
    found = _Sides.of(old, new)
    return Compared(found.places.mask(found.old), found.places.mask(found.new), found.difference)


@dataclass(frozen=True, slots=True)
class _Sides:
    """Two states as they are stored, with all protected that is protected in either."""

    old: State
    new: State
    places: Places

    @classmethod
    def of(cls, old: Stack | None, new: Stack | None) -> "_Sides":
        known = old or new
        if known is None:
            return cls(MISSING, MISSING, NOTHING_PROTECTED.of(PROJECT_KIND))
        both = known.protection
        for stack in (old, new):
            both = both.with_(stack.protection.globs) if stack else both
        old, new = (stack and stack.under(both) for stack in (old, new))
        return cls(old.state if old else MISSING, new.state if new else MISSING, both.of(known.entity.kind))

    @property
    def difference(self) -> Difference:
        return masked(difference(self.old, self.new), self.places)


async def _locate(actor: Actor, project_id: int | None, uuid: UUID) -> Located:
    place = await access.seek(actor, project_id, lambda ids: snapshots.locate(ids, uuid))
    if place is None:
        raise StateNotFound(uuid)
    if place.is_removed:
        raise EnvironmentArchived(uuid)
    return place


async def _document(place: Located, places: Sequence[Located], kind: str, key: str | None) -> DocumentKey:
    named = place.entity or (next((other.entity for other in places if other.entity), None) if key is None else None)
    if named is not None:
        return DocumentKey(place.generation_uuid, named.kind, named.key)
    if kind != PROJECT_KIND and not await entities.kind_exists(place.project_id, kind):
        raise UnknownKind(kind)
    if key is None and kind != PROJECT_KIND:
        raise ValidationFailed(f"Name the key of the {kind!r} to compare.", field="key")
    return DocumentKey(place.generation_uuid, kind, PROJECT_KEY if key is None else check_key(kind, key))


async def environment_diff(
    actor: Actor,
    env_uuid: UUID,
    *,
    against: UUID | None = None,
    limit: int = 50,
    cursor: str | None = None,
    project_id: int | None = None,
) -> EnvironmentDiff:
    """Compare all that an environment shows with ``against`` (default: production): counts, and a page.

    Raises EnvironmentNotFound, StateNotFound.
    """
    check_limit(limit)
    environment = await access.environment_by_uuid(actor, env_uuid, Operation.READ, project_id)
    if environment.status is EnvStatus.ARCHIVED:
        raise EnvironmentArchived(env_uuid)
    new = await writing.head_of(environment)
    old = await _against(actor, environment.project_id, against)
    after = decode_cursor(cursor, str, str) if cursor else None
    counts = dict.fromkeys(EntityStatus, 0)
    page: list[EntityDifference] = []
    candidates = await snapshots.may_differ(old, new)
    for start in range(0, len(candidates), _CHUNK):
        for item in await _differences(old, new, candidates[start : start + _CHUNK]):
            counts[item.status] += 1
            if len(page) <= limit and (after is None or (item.entity.kind, item.entity.key) > after):
                page.append(item)
    last = page[limit - 1].entity if len(page) > limit else None
    return EnvironmentDiff(
        counts[EntityStatus.ADDED],
        counts[EntityStatus.REMOVED],
        counts[EntityStatus.MODIFIED],
        Page(page[:limit], encode_cursor(last.kind, last.key) if last else None),
    )


async def _against(actor: Actor, project_id: int, uuid: UUID | None) -> Generation:
    if uuid is None:
        return await writing.head_of(await environments.production(project_id))
    place = await _locate(actor, project_id, uuid)
    generation = await generations.get([project_id], place.generation_uuid)
    if generation is None or place.entity is not None:
        raise StateNotFound(uuid)
    return generation


async def _differences(old: Generation, new: Generation, chunk: Sequence[Entity]) -> list[EntityDifference]:
    uuids = [entity.uuid for entity in chunk]
    before = await layers.stacks_of(old.project_id, old.uuid, uuids)
    after = await layers.stacks_of(old.project_id, new.uuid, uuids)
    found = []
    for entity in chunk:
        left, right = before[entity.uuid], after[entity.uuid]
        sides = _Sides.of(left, right)
        if left.in_sight and right.in_sight and not same(sides.old, sides.new):
            found.append(EntityDifference(entity, _status(sides.old, sides.new), sides))
    return found


def _status(old: State, new: State) -> EntityStatus:
    if old is MISSING:
        return EntityStatus.ADDED
    return EntityStatus.REMOVED if new is MISSING else EntityStatus.MODIFIED
