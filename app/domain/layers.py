"""How the layers of a path become one document, and how a write becomes a layer (semantics §1, §11)."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from uuid import UUID

from app.domain.patch import Patch, Replace, apply, diff
from app.domain.values import MISSING, State


def resolve(path: Iterable[Patch]) -> State:
    """Return the effective state that the layers of one entity give, uppermost ancestor first.

    A layer that merges over nothing is hidden: its parent does not, or no longer, show the entity.
    """
    state: State = MISSING
    for patch in path:
        if isinstance(patch, Replace) or state is not MISSING:
            state = apply(state, patch)
    return state


def canonical_layer(parent: State, own: State) -> Patch:
    """Return the one layer that turns what the parent shows into ``own``.

    Minimal, and a function of the two states alone: how the environment got there leaves no trace in it.
    """
    return diff(parent, own)


def version_tag(generation_uuid: UUID, layer_versions: Sequence[int], protected: str = "") -> str:
    """Return the version of a document: a digest of the head and of all layer versions on its path.

    A write to any layer of the path, an ancestor's included, changes it (semantics §11.5), and so does the list of
    protected fields, whose tag is ``protected``. 32 hex digits.
    """
    versions = ",".join(map(str, layer_versions))
    return sha256(f"{generation_uuid}:{versions}{protected}".encode()).hexdigest()[:32]
