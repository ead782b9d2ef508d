"""Canary rollouts: which step a rollout stands at, what it waits for, and which users it has (semantics §4, §11.19).

Everything is a function of the plan, of what was committed, and of a moment: whoever asks late gets what a punctual
one would have made of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import UUID

from app.domain.freezes import Freeze
from app.domain.guards import Outcome
from app.domain.values import Value

if TYPE_CHECKING:
    from hashlib import _Hash

FULL: Final = 100
BUCKETS: Final = 10_000


class Wait(StrEnum):
    """What has to come before the server takes the next step by itself."""

    TIME = "time"
    SAMPLE = "sample"
    APPROVAL = "approval"
    GUARD = "guard"
    FREEZE = "freeze"
    HAND = "hand"


@dataclass(frozen=True, slots=True)
class Step:
    """A share of traffic in percent, and what has to come before the step after it.

    ``min_sample`` is in requests. Without ``auto_advance`` only a person goes on.
    """

    weight: int
    pause: timedelta = timedelta()
    auto_advance: bool = False
    min_sample: int = 0
    approval: bool = False

    @classmethod
    def of(cls, step: Value) -> "Step":
        """Return a step that ``rollout.check_steps`` has found good."""
        assert isinstance(step, dict)
        weight, pause, sample = step["weight"], step.get("pause_minutes", 0), step.get("min_sample", 0)
        assert isinstance(weight, int)
        assert isinstance(pause, int | Decimal)
        assert isinstance(sample, int)
        return cls(
            weight=weight,
            pause=timedelta(microseconds=int(pause * 60_000_000)),
            auto_advance=step.get("auto_advance") is True,
            min_sample=sample,
            approval=step.get("approval") is True,
        )


Plan = tuple[Step, ...]


def plan_of(steps: Sequence[Value]) -> Plan:
    """Return the plan that rollout steps are."""
    return tuple(Step.of(step) for step in steps)


@dataclass(frozen=True, slots=True)
class Span:
    """A freeze as far as it is known: from ``start`` to before ``end``, or for ever."""

    start: datetime
    end: datetime | None

    def covers(self, moment: datetime) -> bool:
        return self.start <= moment and (self.end is None or moment < self.end)


def span_of(freeze: Freeze) -> Span:
    """Return the time in which a freeze holds: from when it was declared at the earliest, to when it was lifted."""
    ends = [moment for moment in (freeze.ends_at, freeze.lifted_at) if moment is not None]
    return Span(max(freeze.starts_at, freeze.created_at), min(ends, default=None))


@dataclass(frozen=True, slots=True)
class Progress:
    """What is committed of a rollout: the step it stands at, from 0, since when, and what came in since then.

    ``sample`` is the number of requests reported of the environment, ``guard`` what the guards make of the reports,
    None where there are no guards. ``held`` is why the completing step was refused, if it was.
    """

    step: int
    since: datetime
    sample: int = 0
    approved: bool = False
    guard: Outcome | None = None
    held: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a rollout stands at a moment.

    ``step`` and ``weight`` are what holds, ``since`` from when on. ``next_step_at`` is when the pause of the step is
    over; None where that is not all that is waited for any more, or where nobody knows. ``waits_for`` is empty where
    the next step is due. ``due`` is the step that the server has to commit now, ``due_since`` from when on it counts;
    the plan's last step, where that is 100 percent, is the completing one.
    """

    step: int
    weight: int
    since: datetime
    next_step_at: datetime | None
    waits_for: tuple[Wait, ...]
    due: int | None
    due_since: datetime


@dataclass(frozen=True, slots=True)
class _Leaving:
    """When a step is left, and what it waits for until then; ``by_clock``: for nothing but time."""

    at: datetime | None
    waits_for: tuple[Wait, ...]
    by_clock: bool


def position(plan: Plan, progress: Progress, now: datetime, freezes: Sequence[Span] = ()) -> Position:
    """Return where a rollout stands ``now``.

    Several steps that are overdue are one, but never across a step with a condition: what a step later than the
    committed one asks for cannot have come in yet. Only steps that wait for nothing but time change the weight
    before they are committed, and none of 100 percent does.
    """
    at, shown, by_clock = progress, progress, True
    while True:
        leaving = _leaving(plan, at, now, freezes)
        if leaving.waits_for or leaving.at is None:
            break
        at = _entered(at, at.step + 1, leaving.at)
        by_clock = by_clock and leaving.by_clock
        if _completes(plan, at.step):
            break
        if by_clock:
            shown = at
    due = at.step if at.step != progress.step else None
    leaving = _leaving(plan, shown, now, freezes)
    return Position(
        step=shown.step,
        weight=plan[shown.step].weight,
        since=shown.since,
        next_step_at=_next_step_at(leaving),
        waits_for=leaving.waits_for,
        due=due,
        due_since=at.since,
    )


def committed(progress: Progress, step: int, since: datetime) -> Progress:
    """Return what is committed of a rollout once it has entered ``step``; nothing has come in for it yet."""
    return replace(_entered(progress, step, since), held=None)


def _entered(progress: Progress, step: int, since: datetime) -> Progress:
    # Whatever has guards has no report of a step that it has just entered.
    guard = None if progress.guard is None else Outcome.NOT_MEASURED
    return replace(progress, step=step, since=since, sample=0, approved=False, guard=guard)


def next_step(plan: Plan, step: int) -> int | None:
    """Return the step after ``step``; None if the rollout is completed by going on from there."""
    following = step + 1
    return None if following == len(plan) or _completes(plan, following) else following


def _completes(plan: Plan, step: int) -> bool:
    return plan[step].weight == FULL


def is_early(found: Position) -> bool:
    """Return whether going on now is before what the step asks for has come; that a person does it is no more."""
    return not set(found.waits_for) <= {Wait.HAND, Wait.FREEZE}


def _leaving(plan: Plan, at: Progress, now: datetime, freezes: Sequence[Span]) -> _Leaving:
    step = plan[at.step]
    by_clock = not (step.min_sample or step.approval or at.guard is not None)
    paused_until = at.since + step.pause
    earliest = _after_freezes(paused_until if by_clock else max(paused_until, now), freezes)
    last = at.step + 1 == len(plan)
    waits = {
        Wait.HAND: last or not step.auto_advance,
        Wait.TIME: now < paused_until,
        Wait.SAMPLE: at.sample < step.min_sample,
        Wait.APPROVAL: step.approval and not at.approved,
        Wait.GUARD: at.guard not in (None, Outcome.PASSED),
        Wait.FREEZE: paused_until <= now and (earliest is None or now < earliest),
    }
    return _Leaving(earliest, tuple(wait for wait, holds in waits.items() if holds), by_clock)


def _next_step_at(leaving: _Leaving) -> datetime | None:
    knowable = {Wait.TIME, Wait.FREEZE} & set(leaving.waits_for)
    return leaving.at if knowable or not leaving.waits_for else None


def _after_freezes(moment: datetime, freezes: Sequence[Span]) -> datetime | None:
    """Return the first moment from ``moment`` on that lies in no freeze; None if one has no end."""
    for span in sorted(freezes, key=lambda span: span.start):
        if span.covers(moment):
            if span.end is None:
                return None
            moment = span.end
    return moment


def bucket(env_uuid: UUID, user: str) -> int:
    """Return the user's bucket in an environment's rollout, 0 to 9,999: the same everywhere and for ever.

    Another environment has other buckets, and so have experiments. Source: semantics §4.
    """
    digest = _begun(env_uuid).copy()
    digest.update(user.encode())
    return int.from_bytes(digest.digest()[:8], "big") % BUCKETS


@lru_cache(1_000)
def _begun(env_uuid: UUID) -> "_Hash":
    # Each user of an environment begins alike, and a gateway asks for one after the other.
    return sha256(f"canary:{env_uuid}:".encode())


def serves(env_uuid: UUID, user: str, weight: int) -> bool:
    """Return whether the environment serves the user at ``weight`` percent: who is in at 5 is in at 20."""
    return bucket(env_uuid, user) < weight * 100
