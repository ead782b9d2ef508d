"""Promotion: requests, their checks, and what an approval is bound to (semantics §3, reference guide "Promotion")."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.domain.carrying import Carried
from app.domain.digest import digest
from app.domain.guards import Guard
from app.domain.model import Entity, Environment, EnvStatus, Strategy
from app.domain.patch import leaves
from app.domain.pointer import format_pointer
from app.domain.protected import shown
from app.domain.three_way import Conflict, Merged, Side
from app.domain.values import MISSING, State, Value, lookup

MAX_MERGED_DEPTH: Final = 10
"""Generations of changes above the nearest whole document (reference guide, ``depth_ok``; semantics §11.22)."""


class PromotionStatus(StrEnum):
    COMPLETED = "completed"
    ROLLING_OUT = "rolling_out"
    PENDING_APPROVAL = "pending_approval"
    BLOCKED = "blocked"
    REJECTED = "rejected"
    EXPIRED = "expired"
    ABORTED = "aborted"


class Check(StrEnum):
    SCHEMA_VALID = "schema_valid"
    DEPTH_OK = "depth_ok"
    CONFLICT_FREE = "conflict_free"
    HEALTH_OK = "health_ok"
    CONFLICTS_RESOLVED = "conflicts_resolved"


@dataclass(frozen=True, slots=True)
class DocumentConflict:
    """A conflict at ``path`` (RFC 6901) of a document; MISSING is what is not there."""

    kind: str
    key: str
    path: str
    base: State
    ours: State
    theirs: State
    triple: str

    def shown(self) -> dict[str, Value]:
        """Return the conflict as JSON; a side that is not there is null and named in ``absent``."""
        sides = {"base": shown(self.base), "ours": shown(self.ours), "theirs": shown(self.theirs)}
        absent: list[Value] = [name for name, state in sides.items() if state is MISSING]
        found: dict[str, Value] = {name: None if state is MISSING else state for name, state in sides.items()}
        return {"kind": self.kind, "key": self.key, "path": self.path, **found, "absent": absent}

    @classmethod
    def of(cls, entity: Entity, found: Conflict) -> "DocumentConflict":
        """Return a conflict with the document it is in."""
        pointer = format_pointer(found.path)
        return cls(entity.kind, entity.key, pointer, found.base, found.ours, found.theirs, found.triple)


@dataclass(frozen=True, slots=True)
class DocumentResolution:
    """How the conflict at ``path`` of a document is settled: by a side, or by ``state`` (MISSING deletes).

    ``triple`` is that of the conflict it was given for, None before it met one.
    """

    kind: str
    key: str
    path: str
    take: Side | None
    state: State
    triple: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentPaths:
    """The part of a document's changes that is to be promoted: those at or below ``paths`` (RFC 6901)."""

    kind: str
    key: str
    paths: list[str]


@dataclass(frozen=True, slots=True)
class CarriedChange:
    """One carried path: what production has there, and what it will have."""

    kind: str
    key: str
    path: str
    ours: State
    result: State


@dataclass(frozen=True, slots=True)
class Checks:
    """The outcome of each check, and why those that failed did."""

    passed: Mapping[str, bool]
    reasons: Mapping[str, str]

    @property
    def all_passed(self) -> bool:
        return all(self.passed.values())


@dataclass(frozen=True, slots=True)
class Plan:
    """How a request is carried out: all of it that is not content. ``paths`` None: all changes.

    ``guards`` None are those that the project's settings have when they are looked at.
    """

    strategy: Strategy
    rollout_steps: list[Value]
    paths: list[DocumentPaths] | None = None
    resolutions: list[DocumentResolution] = field(default_factory=list)
    guards: list[Guard] | None = None


@dataclass(frozen=True, slots=True)
class Approver:
    account_uuid: UUID
    name: str
    approved_at: datetime


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion request. ``step`` and ``step_started_at`` are those of its rollout, None before it began."""

    project_id: int
    uuid: UUID
    env_uuid: UUID
    plan: Plan
    status: PromotionStatus
    checks: Checks
    conflicts: list[DocumentConflict]
    carried: list[CarriedChange]
    content_hash: str
    required_approvals: int
    message: str | None
    reason: str | None
    account_uuid: UUID
    actor: str
    release_uuid: UUID | None
    step: int | None
    step_started_at: datetime | None
    previous_weight: int
    created_at: datetime
    approved_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None
    approvers: list[Approver] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EntityMerge:
    """One document of a promotion: what is carried of it, what stays behind, where it goes, what comes of it."""

    entity: Entity
    carried: Carried
    rest: Carried
    ours: State
    shown: State
    merged: Merged

    def changes(self) -> Iterator[CarriedChange]:
        """Yield each carried path."""
        for path, _ in leaves(self.carried.changes):
            ours, result = lookup(self.ours, path), lookup(self.merged.state, path)
            yield CarriedChange(self.entity.kind, self.entity.key, format_pointer(path), ours, result)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the checks look at. ``invalid`` says, by document, why a merged one cannot stand."""

    environment: Environment
    merged_depth: int
    rolling_out: str | None
    invalid: Mapping[str, str]
    open_conflicts: int


def run_checks(facts: Facts) -> Checks:
    """Return the outcome of all checks, each run even if another fails."""
    reasons: dict[str, str] = {}
    if facts.invalid:
        name, why = next(iter(facts.invalid.items()))
        reasons[Check.SCHEMA_VALID] = f"The merged document {name} cannot stand ({len(facts.invalid)} in all): {why}"
    if facts.merged_depth > MAX_MERGED_DEPTH:
        reasons[Check.DEPTH_OK] = (
            f"{facts.merged_depth} generations of changes would have to be merged, at most {MAX_MERGED_DEPTH} can be;"
            " a checkpoint makes them one."
        )
    if facts.rolling_out is not None:
        reasons[Check.CONFLICT_FREE] = f"The environment {facts.rolling_out!r} is rolling out; one does at a time."
    status = facts.environment.status
    if status not in (EnvStatus.VALIDATING, EnvStatus.READY, EnvStatus.LIVE):
        reasons[Check.HEALTH_OK] = f"The environment is {status.value}; it has to be ready, validating or live."
    if facts.open_conflicts:
        count = facts.open_conflicts
        what = "1 conflict is" if count == 1 else f"{count} conflicts are"
        reasons[Check.CONFLICTS_RESOLVED] = f"{what} open: resolve each, or rebase the environment."
    return Checks({check.value: check not in reasons for check in Check}, reasons)


def content_hash(changes: Sequence[CarriedChange], plan: Plan) -> str:
    """Return what an approval is bound to: pointers, ours and results, the resolutions and the plan (§11.17)."""
    parts: list[State] = [plan.strategy.value, plan.rollout_steps]
    for guard in plan.guards or ():
        parts += [guard.metric.value, guard.threshold, guard.relative]
    for resolution in plan.resolutions:
        parts += [resolution.kind, resolution.key, resolution.path, resolution.take or "", resolution.state]
    for change in changes:
        parts += [change.kind, change.key, change.path, change.ours, change.result]
    return digest(parts)


def changed_since(old: Sequence[CarriedChange], new: Sequence[CarriedChange]) -> list[CarriedChange]:
    """Return the carried changes of ``new`` that ``old`` does not have alike, and those of ``old`` that are gone.

    One that is gone has what production has there as its result.
    """
    before = {(item.kind, item.key, item.path): digest([item.ours, item.result]) for item in old}
    found = []
    for item in new:
        if before.pop((item.kind, item.key, item.path), None) != digest([item.ours, item.result]):
            found.append(item)
    gone = [item for item in old if (item.kind, item.key, item.path) in before]
    return found + [CarriedChange(item.kind, item.key, item.path, item.ours, item.ours) for item in gone]
