"""Why an environment serves a user, and where a value there comes from (semantics §6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain import bucketing
from app.domain.canary import bucket
from app.domain.layers import resolve
from app.domain.model import Change, Environment, Generation
from app.domain.patch import Patch, Replace
from app.domain.pointer import Path
from app.domain.routing import Canary, Place, Reason, Reserved, Route, Trial
from app.domain.segments import Segment, matches
from app.domain.values import MISSING, State, Value, lookup


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """A rule as it was written, and whether the user passes it."""

    rule: Value
    passed: bool


@dataclass(frozen=True, slots=True)
class Consideration:
    """One reason for which an environment could serve a user, and whether it holds; the first that does decides.

    ``bucket`` is the user's, ``weight`` the share in percent that it is held against: of the users in a rollout (of
    10,000 buckets), or on side B of a test (of 100).
    """

    reason: Reason
    passed: bool
    place: Place | None = None
    bucket: int | None = None
    weight: int | None = None
    test_uuid: UUID | None = None
    variant: str | None = None
    segment_id: UUID | None = None
    segment_name: str | None = None
    rules: tuple[RuleCheck, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """What a generation says of a value: ``value`` is what is seen with it and all above it, MISSING if nothing is."""

    generation: Generation
    environment: Environment | None
    value: State


@dataclass(frozen=True, slots=True)
class Explanation:
    """``settings`` begin with the generation that set the value, and go on with the ancestors that it overrides.

    ``change`` is the one that set it, where one is known. All values are as readers see them.
    """

    user: str
    route: Route
    considered: Sequence[Consideration]
    kind: str
    key: str
    path: Path
    value: State
    protected: bool
    settings: Sequence[Setting]
    change: Change | None


def considered(
    user: str,
    production: Place,
    user_document: State,
    *,
    explicit: Place | None,
    trial: Trial | None,
    canary: Canary | None,
    reserved: Sequence[Reserved],
) -> list[Consideration]:
    """Return all reasons there are for the user, in the order in which they are asked for."""
    found = [Consideration(Reason.EXPLICIT, explicit is not None, explicit)]
    if trial is not None:
        found.append(_tried(user, trial))
    if canary is not None:
        number = bucket(canary.place.env_uuid, user)
        passed = number < canary.weight * 100
        found.append(Consideration(Reason.CANARY, passed, canary.place, bucket=number, weight=canary.weight))
    for environment in reserved:
        found += [_reserved(environment.place, segment, user_document) for segment in environment.segments]
    return [*found, Consideration(Reason.PRODUCTION, True, production)]


def _tried(user: str, trial: Trial) -> Consideration:
    assigned, experiment = trial.assigned(user), trial.experiment
    return Consideration(
        Reason.EXPERIMENT,
        True,
        assigned.place,
        bucket=bucketing.bucket(user, experiment.ab_seed),
        weight=experiment.split_pct,
        test_uuid=assigned.test_uuid,
        variant=assigned.variant,
    )


def _reserved(place: Place, segment: Segment, user_document: State) -> Consideration:
    return Consideration(
        Reason.SEGMENT,
        segment.matches(user_document),
        place,
        segment_id=segment.segment_id,
        segment_name=segment.name,
        rules=tuple(RuleCheck(rule.to_json(), matches((rule,), user_document)) for rule in segment.rules),
    )


def touches(patch: Patch, path: Path) -> bool:
    """Return whether a patch says anything of what stands at ``path``."""
    for key in path:
        if isinstance(patch, Replace):
            return True
        if key not in patch:
            return False
        patch = patch[key]
    return isinstance(patch, Replace) or bool(patch)


def set_at(patches: Sequence[Patch], path: Path) -> list[tuple[int, State]]:
    """Return which of the layers on a path, uppermost ancestor first, say something of ``path``: the last one first.

    With each comes what is seen there with it and all before it. A whole document that has nothing there says
    something only where it hides something.
    """
    found: list[tuple[int, State]] = []
    for index, patch in enumerate(patches):
        if touches(patch, path):
            value = lookup(resolve(patches[: index + 1]), path)
            if found or value is not MISSING:
                found.append((index, value))
    return found[::-1]
