"""The difference of two states, as the guide shows it (reference guide, "GET /api/sandbox/diff")."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.patch import Patch, diff, from_json, leaves, to_json
from app.domain.pointer import Path
from app.domain.protected import Places
from app.domain.values import MISSING, State, Value, lookup


@dataclass(frozen=True, slots=True)
class Difference:
    """What ``new`` has beside ``old``: exact paths with values in full. Arrays differ as whole values."""

    added: Mapping[Path, Value]
    removed: Mapping[Path, Value]
    modified: Mapping[Path, tuple[Value, Value]]
    patch: Patch

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.removed or self.modified)


def difference(old: State, new: State) -> Difference:
    """Return how ``new`` differs from ``old``.

    Beside an entity that is not there, an object shows its members one by one, as beside ``{}``.
    """
    added: dict[Path, Value] = {}
    removed: dict[Path, Value] = {}
    modified: dict[Path, tuple[Value, Value]] = {}
    patch = diff(old, new)
    whole = old is MISSING or new is MISSING
    for path, after in leaves(diff(_opened(old, new), _opened(new, old)) if whole else patch):
        before = lookup(old, path)
        if before is MISSING:
            assert after is not MISSING
            added[path] = after
        elif after is MISSING:
            removed[path] = before
        else:
            modified[path] = (before, after)
    return Difference(added, removed, modified, patch)


def _opened(state: State, other: State) -> State:
    return {} if state is MISSING and isinstance(other, dict) and other else state


def masked(found: Difference, places: Places) -> Difference:
    """Return the difference as readers see it: of protected values, only that they differ."""
    if not places.active:
        return found
    mask = places.mask_below
    return Difference(
        added={path: mask(path, value) for path, value in found.added.items()},
        removed={path: mask(path, value) for path, value in found.removed.items()},
        modified={path: (mask(path, old), mask(path, new)) for path, (old, new) in found.modified.items()},
        patch=from_json(places.mask_flat(to_json(found.patch))),
    )
