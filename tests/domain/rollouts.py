"""Rollouts for Hypothesis: plans, moments, freezes."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from app.domain.canary import Plan, Span, Step

START = datetime(2026, 3, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

minutes = st.integers(0, 90)
moments = st.integers(0, 600).map(lambda after: START + after * MINUTE)
conditions = st.booleans()


@st.composite
def plans(draw: st.DrawFn, *, by_clock: bool = False) -> Plan:
    """Return a plan that ends in 100 or before; ``by_clock``: whose steps wait for nothing but time."""
    weights = sorted(draw(st.sets(st.integers(1, 99), min_size=1, max_size=6)))
    if draw(st.booleans()) or by_clock:
        weights.append(100)
    return tuple(draw(_steps(weight, by_clock)) for weight in weights)


def _steps(weight: int, by_clock: bool) -> st.SearchStrategy[Step]:
    return st.builds(
        Step,
        weight=st.just(weight),
        pause=minutes.map(lambda number: number * MINUTE),
        auto_advance=st.just(True) if by_clock else st.booleans(),
        min_sample=st.just(0) if by_clock else st.sampled_from([0, 0, 100]),
        approval=st.just(False) if by_clock else st.booleans(),
    )


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    """Return a few freezes, that may overlap, and of which one may have no end."""
    starts = draw(st.lists(moments, max_size=3))
    found = [Span(start, start + draw(st.integers(1, 120)) * MINUTE) for start in starts]
    return found + ([Span(draw(moments), None)] if draw(st.integers(0, 3)) == 0 else [])
