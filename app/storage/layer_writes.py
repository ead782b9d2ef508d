"""Layers that are to be written: where they go, and without anything protected in them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from app.domain.model import Origin
from app.domain.patch import Patch, diff, to_json
from app.domain.sealing import seal, seal_base, seal_patches
from app.domain.values import MISSING, State
from app.storage import secrets
from app.storage.codec import dumps, loads
from app.storage.layers import Stack
from app.storage.sealed import Found, FreshSealer
from app.storage.stored_patch import stored_form


@dataclass(frozen=True, slots=True)
class Place:
    """Where writes go and who makes them."""

    project_id: int
    env_uuid: UUID
    generation_uuid: UUID
    is_root: bool
    origin: Origin
    actor: str


@dataclass(frozen=True, slots=True)
class LayerWrite:
    """One entity's new layer in a generation: from ``stack`` (as it was) to ``patch``, ``before`` to ``after``.

    ``base`` is that of what a layer of a line carries; None in production.
    """

    stack: Stack
    patch: Patch
    before: State
    after: State
    base: Patch | None = None

    @property
    def stored_base(self) -> str | None:
        """The base as it is stored."""
        return None if self.base is None else dumps(to_json(self.base))

    @property
    def shown_delta(self) -> int:
        """Change in the number of entities shown: 1, 0 or -1."""
        return int(self.after is not MISSING) - int(self.before is not MISSING)

    def layer_uuid_in(self, place: Place) -> UUID | None:
        """The uuid that a new layer must have: in production, the entity's own (semantics §1)."""
        own = self.stack.own
        if own:
            return own.uuid
        return self.stack.entity.uuid if place.is_root else None

    def layer_reverse(self, place: Place) -> str | None:
        """What turns the layer back into what it was; None in production, where ``reverse`` says it all."""
        if place.is_root:
            return None
        own = self.stack.own
        return dumps(to_json(diff(layer_value(self.patch), layer_value(own.patch if own else None))))


def layer_value(patch: Patch | None) -> State:
    """Return a layer as a JSON value, so that a layer's history is a patch too; MISSING for no layer."""
    if patch is None:
        return MISSING
    form, data = stored_form(patch)
    return {"form": form} if data is None else {"form": form, "data": loads(data)}


async def sealed_writes(place: Place, writes: Sequence[LayerWrite]) -> list[LayerWrite]:
    """Return the writes with references in the place of protected values, which are sealed.

    The stacks have references already; a value that is left came with the write, and is a new one.
    """
    done = []
    for write in writes:
        made, found = _sealed(write)
        await secrets.add(place.project_id, write.stack.entity.uuid, place.env_uuid, found)
        done.append(made)
    return done


def _sealed(write: LayerWrite) -> tuple[LayerWrite, Sequence[Found]]:
    places = write.stack.places
    if not places.patterns:
        return write, ()
    sealer = FreshSealer()
    (patch,) = seal_patches(places, [write.patch], sealer.keep)
    sealed = replace(
        write,
        patch=patch,
        before=seal(places, write.before, sealer.keep),
        after=seal(places, write.after, sealer.keep),
        base=None if write.base is None else seal_base(places, write.base, sealer.keep),
    )
    return sealed, (*write.stack.found, *sealer.found)
