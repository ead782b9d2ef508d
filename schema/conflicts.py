"""What stands against a promotion: conflicts and failed checks, and what it carries."""

import strawberry

from app.domain import protected
from app.domain.pointer import parse_pointer
from app.domain.promotion import CarriedChange, Check, Checks, DocumentConflict
from app.domain.values import MISSING, State
from schema.scalars import JSON, JSONPointer, shown


@strawberry.type(description="A value, or that there is none: a document can hold `null`.")
class ConflictValue:
    exists: bool = strawberry.field(description="Whether there is anything.")
    value: JSON | None = strawberry.field(description="What is there; null if nothing is, or if it is `null`.")

    @classmethod
    def of(cls, state: State) -> "ConflictValue":
        seen = protected.shown(state)
        return cls(exists=state is not MISSING, value=None if seen is MISSING else shown(seen))


@strawberry.type(description="A path that both sides changed. Ours is production, theirs the environment.")
class Conflict:
    kind: str = strawberry.field(description="Kind of the document.")
    key: str = strawberry.field(description="Key of the document.")
    path: JSONPointer = strawberry.field(description="Where in the document.")
    base: ConflictValue = strawberry.field(description="What the environment had seen there.")
    ours: ConflictValue = strawberry.field(description="What is there now, in production.")
    theirs: ConflictValue = strawberry.field(description="What the environment makes of it.")

    @classmethod
    def of(cls, conflict: DocumentConflict) -> "Conflict":
        return cls(
            kind=conflict.kind,
            key=conflict.key,
            path=JSONPointer(parse_pointer(conflict.path)),
            base=ConflictValue.of(conflict.base),
            ours=ConflictValue.of(conflict.ours),
            theirs=ConflictValue.of(conflict.theirs),
        )


@strawberry.type(name="CarriedChange", description="A path that a promotion carries.")
class CarriedChangeNode:
    kind: str = strawberry.field(description="Kind of the document.")
    key: str = strawberry.field(description="Key of the document.")
    path: JSONPointer = strawberry.field(description="Where in the document.")
    ours: ConflictValue = strawberry.field(description="What production had there when the request was made.")
    result: ConflictValue = strawberry.field(description="What it has there after the promotion.")

    @classmethod
    def of(cls, change: CarriedChange) -> "CarriedChangeNode":
        return cls(
            kind=change.kind,
            key=change.key,
            path=JSONPointer(parse_pointer(change.path)),
            ours=ConflictValue.of(change.ours),
            result=ConflictValue.of(change.result),
        )


@strawberry.type(description="One check of a promotion.")
class CheckOutcome:
    name: str = strawberry.field(description="Its name, as REST calls it, such as `schema_valid`.")
    passed: bool = strawberry.field(description="Whether it passed.")
    reason: str | None = strawberry.field(description="Why it did not; null if it did.")


@strawberry.type(name="Checks", description="What stands for or against promoting.")
class ChecksNode:
    schema_valid: bool = strawberry.field(description="Whether all documents merge, and can stand as merged.")
    depth_ok: bool = strawberry.field(description="Whether at most 10 generations of changes have to be merged.")
    conflict_free: bool = strawberry.field(description="Whether no other environment is rolling out.")
    health_ok: bool = strawberry.field(description="Whether the environment's status allows it.")
    conflicts_resolved: bool = strawberry.field(description="Whether every conflict has a resolution.")
    passed: bool = strawberry.field(description="Whether all of them passed.")
    outcomes: list[CheckOutcome] = strawberry.field(description="Each check with the reason why it failed.")

    @classmethod
    def of(cls, checks: Checks) -> "ChecksNode":
        said = {check.value: checks.passed.get(check.value, False) for check in Check}
        outcomes = [
            CheckOutcome(name=name, passed=passed, reason=checks.reasons.get(name)) for name, passed in said.items()
        ]
        return cls(**said, passed=checks.all_passed, outcomes=outcomes)
