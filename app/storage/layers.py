"""Layers: reading the stacks that documents are resolved from. Writing them is ``changes.record``'s work."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from app.domain.carrying import NO_LAYER, LineLayer, base_of
from app.domain.layers import resolve, version_tag
from app.domain.model import Document, Entity, Generation
from app.domain.patch import NOTHING, Patch, to_json
from app.domain.protected import NOTHING_PROTECTED, Places, Protection, protection
from app.domain.sealing import seal_base
from app.domain.values import MISSING, State
from app.storage import db
from app.storage.lookups import keyed
from app.storage.protections import IN_FORCE
from app.storage.sealed import Found, Sealer
from app.storage.stored_patch import patch_of


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """Names one document in one generation."""

    generation_uuid: UUID
    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class Layer:
    uuid: UUID
    generation_uuid: UUID
    form: str
    data: str | None
    version: int
    base: str | None = None
    sealed: Patch | None = None
    sealed_base: Patch | None = None

    @property
    def patch(self) -> Patch:
        """What the layer says, with references in the place of protected values."""
        return patch_of(self.form, self.data) if self.sealed is None else self.sealed

    def carrying(self, parent: State) -> LineLayer:
        """Return the layer with its base. One that was never told has seen what ``parent`` shows now."""
        patch = self.patch
        if self.sealed_base is not None:
            return LineLayer(patch, self.sealed_base)
        return LineLayer(patch, patch_of("patch", self.base) if self.base else base_of(patch, parent))

    def with_references(self, patch: Patch, places: Places, sealer: Sealer) -> "Layer":
        """Return the layer with ``patch`` as what it says, and its base without protected values, too."""
        base = seal_base(places, patch_of("patch", self.base), sealer.keep) if self.base else None
        return replace(self, sealed=patch, sealed_base=base)


@dataclass(frozen=True, slots=True)
class Stack:
    """The layers of one entity on the path of one generation, uppermost ancestor first.

    ``in_sight`` is False for a user that a filtered fork left outside. ``protection`` is what is in force in the
    generation, after ``list_version`` changes of lists; ``found`` are values that are stored as they are, in the
    place of which the stack has references already.
    """

    entity: Entity
    generation_uuid: UUID
    layers: Sequence[Layer] = field(default_factory=tuple)
    in_sight: bool = True
    protection: Protection = NOTHING_PROTECTED
    list_version: int = 0
    found: Sequence[Found] = ()

    def under(self, wanted: Protection) -> "Stack":
        """Return the stack with the places protected that ``wanted`` names."""
        return self if wanted == self.protection else self._sealed(wanted)

    def _sealed(self, wanted: Protection) -> "Stack":
        places = wanted.of(self.entity.kind)
        if not places.patterns:
            return replace(self, protection=wanted)
        sealer = Sealer(self.entity.project_id, self.entity.uuid)
        raw = [patch_of(layer.form, layer.data) for layer in self.layers]
        layers = [
            layer.with_references(patch, places, sealer)
            for layer, patch in zip(self.layers, sealer.patches(places, raw), strict=True)
        ]
        return replace(self, layers=layers, protection=wanted, found=tuple(sealer.found.values()))

    @property
    def places(self) -> Places:
        """What is protected in documents like this one."""
        return self.protection.of(self.entity.kind)

    @property
    def seen(self) -> State:
        """The document as readers see it."""
        return self.places.mask(self.state)

    @property
    def state(self) -> State:
        return resolve(layer.patch for layer in self.layers) if self.in_sight else MISSING

    @property
    def version(self) -> str:
        return version_tag(self.generation_uuid, [layer.version for layer in self.layers], self.protection.tag)

    @property
    def own(self) -> Layer | None:
        """The layer of the generation itself."""
        last = self.layers[-1] if self.layers else None
        return last if last and last.generation_uuid == self.generation_uuid else None

    @property
    def carrying(self) -> LineLayer:
        """The layer of the generation itself with the base of what it carries."""
        return self.own.carrying(self.above_state) if self.own else NO_LAYER

    @property
    def above(self) -> Sequence[Layer]:
        """The layers of the ancestors."""
        return self.layers[:-1] if self.own else self.layers

    @property
    def above_state(self) -> State:
        """What the parent shows, whether or not a filter hides it here."""
        return resolve(layer.patch for layer in self.above)

    def document(self) -> Document:
        """Return the stack as the document that readers see."""
        own, state, places = self.own, self.state, self.places
        patch = own.patch if own else NOTHING
        return Document(
            entity=self.entity,
            generation_uuid=self.generation_uuid,
            state=places.mask(state),
            version=self.version,
            layer_uuid=self.layers[-1].uuid if self.layers else None,
            overrides=places.mask_flat(to_json(patch)) if self.above else to_json(NOTHING),
            protected=places.pointers(state),
        )


def state_of(layer: Layer | None) -> State:
    """Return what a layer with nothing above it shows."""
    return resolve([layer.patch]) if layer else MISSING


# In a filtered generation a user is in sight only if the filter's generation, or one below it, has a layer of
# it. A snapshot of a filtered line holds nobody else, so there any layer will do.
IN_SIGHT: Final = (
    "(entity.kind <> 'user' OR gen.filter_uuid IS NULL"
    " OR EXISTS (SELECT FROM layer seen WHERE seen.project_id = entity.project_id"
    "    AND seen.entity_uuid = entity.uuid AND seen.generation_uuid = ANY"
    "    (gen.path[coalesce(array_position(gen.path, gen.filter_uuid), 1):])))"
)

# Shown is what the nearest layer that does not merge makes whole: merging layers change no visibility.
SHOWN: Final = (
    "(SELECT shape.form FROM layer shape WHERE shape.project_id = entity.project_id"
    " AND shape.entity_uuid = entity.uuid AND shape.generation_uuid = ANY (gen.path) AND shape.form <> 'patch'"
    " ORDER BY array_position(gen.path, shape.generation_uuid) DESC LIMIT 1) = 'whole'"
)

STACK_COLUMNS: Final = (
    "entity.uuid AS entity_uuid, entity.kind, entity.key, gen.uuid AS gen_uuid, layer.uuid AS layer_uuid,"
    f" layer.generation_uuid, layer.form, layer.data, layer.version, {IN_SIGHT} AS in_sight, {IN_FORCE}"
)
LAYERS_ON_PATH: Final = keyed(
    "layer",
    "layer.project_id = $1 AND layer.entity_uuid = entity.uuid AND layer.generation_uuid = ANY (gen.path)",
    "LEFT JOIN",
)
BY_DEPTH: Final = "array_position(gen.path, layer.generation_uuid)"


def group(project_id: int, rows: Iterable[db.Record]) -> dict[tuple[UUID, UUID], Stack]:
    """Group rows that are ordered by depth into stacks, keyed by (generation, entity)."""
    heads: dict[tuple[UUID, UUID], Stack] = {}
    layers: dict[tuple[UUID, UUID], list[Layer]] = {}
    for row in rows:
        at = (row["gen_uuid"], row["entity_uuid"])
        if at not in heads:
            entity = Entity(project_id, row["entity_uuid"], row["kind"], row["key"])
            heads[at] = Stack(entity, at[0], (), row["in_sight"], protection(row["globs"]), row["list_version"])
            layers[at] = []
        if row["layer_uuid"] is not None:
            layers[at].append(
                Layer(
                    row["layer_uuid"],
                    row["generation_uuid"],
                    row["form"],
                    row["data"],
                    row["version"],
                    row.get("base"),
                )
            )
    stacks = {at: replace(head, layers=tuple(layers[at])) for at, head in heads.items()}
    return {at: stack._sealed(stack.protection) if stack.protection.globs else stack for at, stack in stacks.items()}


async def stacks(project_id: int, keys: Sequence[DocumentKey]) -> list[Stack | None]:
    """Return the stack of each key in one statement; None where no such entity was ever named."""
    rows = await db.fetch(
        f"SELECT {STACK_COLUMNS} FROM unnest($2::uuid[], $3::text[], $4::text[]) AS wanted (generation, kind, key)"
        " JOIN generation gen ON gen.project_id = $1 AND gen.uuid = wanted.generation"
        f" {keyed('entity', 'entity.project_id = $1 AND entity.kind = wanted.kind AND entity.key = wanted.key')}"
        f" {LAYERS_ON_PATH} ORDER BY {BY_DEPTH}",
        project_id,
        [key.generation_uuid for key in keys],
        [key.kind for key in keys],
        [key.key for key in keys],
    )
    named = {
        DocumentKey(at[0], stack.entity.kind, stack.entity.key): stack for at, stack in group(project_id, rows).items()
    }
    return [named.get(key) for key in keys]


# A generation on the line that the caller names, which may be a former one (``generations.at_version``).
# What is protected there is what is protected in the generation now.
_GIVEN: Final = (
    "(SELECT $1::integer AS project_id, $2::uuid AS uuid, $3::uuid[] AS path, $4::uuid AS filter_uuid,"
    " (SELECT known.ancestors FROM generation known WHERE known.project_id = $1 AND known.uuid = $2) AS ancestors) gen"
)


async def stack_on(generation: Generation, kind: str, key: str) -> Stack | None:
    """Return the stack of one document on the line that ``generation`` says; None if it was never named."""
    rows = await db.fetch(
        f"SELECT {STACK_COLUMNS} FROM {_GIVEN}"
        f" {keyed('entity', 'entity.project_id = $1 AND entity.kind = $5 AND entity.key = $6')}"
        f" {LAYERS_ON_PATH} ORDER BY {BY_DEPTH}",
        generation.project_id,
        generation.uuid,
        generation.path,
        generation.filter_uuid,
        kind,
        key,
    )
    return next(iter(group(generation.project_id, rows).values()), None)


async def stacks_of(project_id: int, generation_uuid: UUID, entity_uuids: Sequence[UUID]) -> dict[UUID, Stack]:
    """Return the stacks of entities in one generation, by entity, in one statement; layers with their bases."""
    rows = await db.fetch(
        f"SELECT {STACK_COLUMNS}, layer.base FROM generation gen"
        " JOIN entity ON entity.project_id = $1 AND entity.uuid = ANY ($3::uuid[])"
        f" {LAYERS_ON_PATH} WHERE gen.project_id = $1 AND gen.uuid = $2 ORDER BY {BY_DEPTH}",
        project_id,
        generation_uuid,
        entity_uuids,
    )
    return {at[1]: stack for at, stack in group(project_id, rows).items()}


async def list_page(
    generation: Generation,
    kind: str | None,
    limit: int,
    after: tuple[str, str] | None,
    *,
    shown_only: bool = True,
) -> list[Stack]:
    """Return up to ``limit`` stacks by kind and key, in one statement: those that the generation shows.

    ``shown_only=False`` gives every entity ever named, for a reader who winds the stacks back in time.
    """
    visible = f"{SHOWN} AND {IN_SIGHT}" if shown_only else "true"
    # Written out for each case: a condition that may be switched off keeps the index from starting at it.
    position = "(entity.kind, entity.key) > ($5, $6)" if kind is None else "entity.kind = $5 AND entity.key > $6"
    last_kind, last_key = after or ("", "")
    rows = await db.fetch(
        f"WITH page AS (SELECT entity.* FROM {_GIVEN} JOIN entity ON entity.project_id = gen.project_id"
        f"  WHERE entity.project_id = $1 AND {position} AND {visible}"
        "  ORDER BY entity.kind, entity.key LIMIT $7)"
        f" SELECT {STACK_COLUMNS} FROM page entity CROSS JOIN {_GIVEN}"
        f" {LAYERS_ON_PATH} ORDER BY entity.kind, entity.key, {BY_DEPTH}",
        generation.project_id,
        generation.uuid,
        generation.path,
        generation.filter_uuid,
        last_kind if kind is None else kind,
        last_key,
        limit,
    )
    return list(group(generation.project_id, rows).values())
