"""Which environment serves a user: the first reason that holds, and no other."""

from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.canary import serves
from app.domain.errors import ValidationFailed
from app.domain.routing import Assigned, Canary, Matched, Place, Reason, check_user, route

PRODUCTION, EXPLICIT, VARIANT, ROLLING, PREMIUM = (Place(UUID(int=n), f"env-{n}") for n in range(5))
TEST = Assigned(VARIANT, UUID(int=9), "B")
SEGMENT = Matched(PREMIUM, UUID(int=8))


@pytest.mark.parametrize(("explicit", "experiment", "weight", "segment"), [*product((0, 1), (0, 1), (0, 100), (0, 1))])
def test_the_first_reason_that_holds(explicit: int, experiment: int, weight: int, segment: int) -> None:
    way = route(
        "ada",
        PRODUCTION,
        explicit=EXPLICIT if explicit else None,
        experiment=TEST if experiment else None,
        canary=Canary(ROLLING, weight),
        segment=SEGMENT if segment else None,
    )
    holds = [
        (explicit, EXPLICIT, Reason.EXPLICIT),
        (experiment, VARIANT, Reason.EXPERIMENT),
        (weight, ROLLING, Reason.CANARY),
        (segment, PREMIUM, Reason.SEGMENT),
        (1, PRODUCTION, Reason.PRODUCTION),
    ]
    _, place, reason = next(item for item in holds if item[0])
    assert (way.place, way.reason) == (place, reason)


@given(st.text(min_size=1, max_size=30), st.integers(0, 100))
def test_a_rollout_has_those_whom_its_weight_gives_it(user: str, weight: int) -> None:
    way = route(user, PRODUCTION, canary=Canary(ROLLING, weight))
    assert (way.reason is Reason.CANARY) is serves(ROLLING.env_uuid, user, weight)
    assert way.bucket is not None
    assert route(user, PRODUCTION).bucket is None


@pytest.mark.parametrize("user", ["", "x" * 257, "a\x00", "\ud800"])
def test_users_that_are_none(user: str) -> None:
    with pytest.raises(ValidationFailed):
        check_user(user)


@pytest.mark.parametrize("user", ["x", " ", "x" * 256, "Ünïcödé ☃", "a/b?c=d"])
def test_users_are_taken_as_they_are(user: str) -> None:
    assert check_user(user) == user
