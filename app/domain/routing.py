"""Which environment serves a user, and why (semantics §4, §6; ``rest.md``, route)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.domain.bucketing import Variant
from app.domain.canary import bucket
from app.domain.errors import FieldProtected, ValidationFailed
from app.domain.experiments import Experiment
from app.domain.json_text import unstorable_text
from app.domain.protected import Places
from app.domain.segments import Segment, check_unprotected
from app.domain.values import State

MAX_USER: Final = 256


class Reason(StrEnum):
    """Why an environment serves a user; the first of these that holds, in this order."""

    EXPLICIT = "explicit"
    EXPERIMENT = "experiment"
    CANARY = "canary"
    SEGMENT = "segment"
    PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Place:
    """An environment, by what clients need to go there."""

    env_uuid: UUID
    env_name: str


@dataclass(frozen=True, slots=True)
class Canary:
    """An environment that rolls out, and its share of users in percent."""

    place: Place
    weight: int


@dataclass(frozen=True, slots=True)
class Assigned:
    """The side of a running experiment that a user is on."""

    place: Place
    test_uuid: UUID
    variant: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A test that runs, and where its sides are."""

    experiment: Experiment
    a: Place
    b: Place

    def assigned(self, user: str) -> Assigned:
        """Return the side that ``user`` is dealt to."""
        variant = self.experiment.variant_of(user)
        return Assigned(self.a if variant is Variant.A else self.b, self.experiment.uuid, variant.value)


@dataclass(frozen=True, slots=True)
class Reserved:
    """An environment for the users of some segments."""

    place: Place
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Matched:
    """An environment for a segment that a user matches."""

    place: Place
    segment_id: UUID


@dataclass(frozen=True, slots=True)
class Route:
    """Where a user goes. ``bucket`` is the user's in the rollout under way, 0 to 9,999, None if there is none."""

    place: Place
    reason: Reason
    bucket: int | None = None
    experiment: Assigned | None = None
    segment: Matched | None = None


def route(
    user: str,
    production: Place,
    *,
    explicit: Place | None = None,
    experiment: Assigned | None = None,
    canary: Canary | None = None,
    segment: Matched | None = None,
) -> Route:
    """Return where ``user`` goes: what the request itself names goes before all, production is what is left."""
    if explicit is not None:
        return Route(explicit, Reason.EXPLICIT)
    if experiment is not None:
        return Route(experiment.place, Reason.EXPERIMENT, experiment=experiment)
    number = None if canary is None else bucket(canary.place.env_uuid, user)
    if canary is not None and number is not None and number < canary.weight * 100:
        return Route(canary.place, Reason.CANARY, number)
    if segment is not None:
        return Route(segment.place, Reason.SEGMENT, number, segment=segment)
    return Route(production, Reason.PRODUCTION, number)


def matched(reserved: Sequence[Reserved], user_document: State) -> Matched | None:
    """Return the first environment that is there for a segment which the user is in, by its stored document."""
    for environment in reserved:
        for segment in environment.segments:
            if segment.matches(user_document):
                return Matched(environment.place, segment.segment_id)
    return None


def usable(segments: Mapping[UUID, Segment], places: Places) -> dict[UUID, Segment]:
    """Return the segments without those that ask for protected fields, which route nobody."""
    return {uuid: segment for uuid, segment in segments.items() if _asks_openly(segment, places)}


def _asks_openly(segment: Segment, places: Places) -> bool:
    try:
        check_unprotected(segment.rules, places)
    except FieldProtected:
        return False
    return True


def check_user(user: str) -> str:
    """Return ``user`` if that can be one: 1 to 256 characters, taken as they are (§11.24). Raises ValidationFailed."""
    if not 1 <= len(user) <= MAX_USER:
        raise ValidationFailed(f"user_uuid has 1 to {MAX_USER} characters.", field="user_uuid")
    if reason := unstorable_text(user):
        raise ValidationFailed(f"user_uuid cannot be used: {reason}.", field="user_uuid")
    return user
