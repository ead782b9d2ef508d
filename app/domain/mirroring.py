"""What writes to production make of a document in an environment that mirrors them (semantics §9, §11.20)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from app.domain.carrying import base_of
from app.domain.patch import NOTHING, Patch, Replace, apply, at, compose, leaves
from app.domain.protected import Places
from app.domain.values import MISSING, State, lookup


@dataclass(frozen=True, slots=True)
class Lag:
    """What production wrote and an environment does not mirror yet: how many changes, the oldest so many seconds."""

    versions: int
    seconds: float


def mirrored(shown: State, writes: Sequence[Patch], kept: Patch) -> State:
    """Return the document ``shown`` after writes that it does not see by itself, in their order.

    ``kept`` is what the environment overrides and is to go on showing: ``NOTHING`` if the mirror overwrites. A
    document that production deletes stays where something of it is kept. A write that merges into a document which
    the environment does not show is none of its business.
    """
    for patch in writes:
        shown = _after(shown, patch, kept)
    return shown


def followed(shown: State, writes: Sequence[Patch], kept: Patch, overrides: Patch, production: State) -> State:
    """Return the document ``shown``, a live overlay of ``production``, after writes to it that ``overrides`` hides.

    What is not overridden shows through already, and later writes with it: so what the writes touched becomes what
    production is now.
    """
    touched: Patch = reduce(compose, writes, NOTHING)
    return _after(shown, _following(touched, overrides, production), kept)


def _after(shown: State, patch: Patch, kept: Patch) -> State:
    if shown is MISSING and not isinstance(patch, Replace):
        return MISSING
    after = apply(shown, patch)
    if not kept:
        return after
    if after is MISSING:
        return shown
    # What is kept shows what it shows, also where a mirrored write once went deeper than an override.
    return apply(after, kept if shown is MISSING else base_of(kept, shown))


def _following(touched: Patch, overrides: Patch, production: State) -> Patch:
    if not touched or not overrides:
        return NOTHING
    if isinstance(touched, Replace) or not isinstance(production, dict):
        return Replace(production)
    patch: dict[str, Patch] = {}
    for key, inner in touched.items():
        hiding = overrides if isinstance(overrides, Replace) else overrides.get(key, NOTHING)
        if below := _following(inner, hiding, production.get(key, MISSING)):
            patch[key] = below
    return patch


def lifted(patch: Patch, places: Places, production: State) -> Patch:
    """Return a patch that replaces a protected place whole by what production has there now, where it reaches into it.

    A change that was made before the place was protected can; what is sealed there since, has no inside.
    """
    lifted: Patch = NOTHING
    for path, state in leaves(patch):
        place = places.covering(path)
        if place is None or place == path:
            lifted = compose(lifted, at(path, Replace(state)))
        else:
            lifted = compose(lifted, at(place, Replace(lookup(production, place))))
    return lifted
