"""Layers with the protected values taken out of them as they are read, whether or not they are stored so already."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from app.domain import layer_history, sealing
from app.domain.patch import Patch
from app.domain.pointer import Path, format_pointer
from app.domain.protected import Places
from app.domain.references import reference
from app.domain.values import State, Value
from app.storage import master_key
from app.storage.codec import encode_document


@dataclass(frozen=True, slots=True)
class Found:
    """A protected value that is to be sealed, and the UUID that it is referred to by."""

    uuid: UUID
    pointer: str
    value: Value


class FreshSealer:
    """Gives each protected value a reference of its own, wherever in one write it stands."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, bytes], Found] = {}

    @property
    def found(self) -> Sequence[Found]:
        """What has to be sealed."""
        return list(self._known.values())

    def keep(self, path: Path, value: Value) -> Value:
        """Return the reference to a value."""
        item = Found(uuid4(), format_pointer(path), value)
        return reference(self._known.setdefault((path, encode_document(value)), item).uuid)


class Sealer:
    """Gives the protected values of one entity their references, the same value at the same place the same one.

    That is for values that were there before their place was protected: they stay equal where they were equal. What
    is written later never has a reference that says whether it is what was there.
    """

    def __init__(self, project_id: int, entity_uuid: UUID) -> None:
        self._name = f"{project_id}:{entity_uuid}:"
        self.found: dict[UUID, Found] = {}

    def keep(self, path: Path, value: Value) -> Value:
        """Return the reference to a value, which is noted."""
        pointer = format_pointer(path)
        key = master_key.current().derive("references to protected values")
        text = f"{self._name}{pointer}\0".encode() + encode_document(value)
        uuid = UUID(bytes=hmac.digest(key, text, "sha256")[:16])
        self.found[uuid] = Found(uuid, pointer, value)
        return reference(uuid)

    def patches(self, places: Places, patches: Sequence[Patch]) -> list[Patch]:
        """Return a path's layers with references."""
        return sealing.seal_patches(places, patches, self.keep)

    def state(self, places: Places, state: State) -> State:
        """Return a document with references."""
        return sealing.seal(places, state, self.keep)

    def flat(self, places: Places, flat: Mapping[str, Value]) -> Mapping[str, Value]:
        """Return a flat patch of a document with references."""
        return sealing.seal_flat(places, flat, self.keep)

    def layer_flat(self, places: Places, flat: Mapping[str, Value]) -> Mapping[str, Value]:
        """Return a flat patch of a layer with references."""
        return layer_history.seal_layer_patch(places, flat, self.keep)
