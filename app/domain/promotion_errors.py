"""The refusals of promotions and releases (semantics §3, §10)."""

from collections.abc import Sequence

from app.domain.errors import DomainError, Kind, NotFound
from app.domain.promotion import Checks, DocumentConflict


class PathNotCarried(DomainError):
    """A path of a partial promotion has to lie at or above a carried change."""

    code, kind = "path_not_carried", Kind.INVALID

    def __init__(self, document_kind: str, key: str, path: str) -> None:
        super().__init__(
            f"Nothing is carried at or below {path[:200]!r} of {document_kind}/{key}. A path lies at or above a change,"
            " never inside an array.",
            kind=document_kind,
            key=key,
            path=path[:200],
        )


class UnknownConflict(DomainError):
    """A resolution has to name a conflict that there is."""

    code, kind = "unknown_conflict", Kind.INVALID

    def __init__(self, document_kind: str, key: str, path: str) -> None:
        super().__init__(
            f"There is no conflict at {path[:200]!r} of {document_kind}/{key} that could be resolved.",
            kind=document_kind,
            key=key,
            path=path[:200],
        )


class PromotionNotFound(NotFound):
    code = "promotion_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such promotion.")


class ReleaseNotFound(NotFound):
    code = "release_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such release.")


class PromotionPending(DomainError):
    """One request of an environment is open at a time."""

    code, kind = "promotion_pending", Kind.CONFLICT

    def __init__(self, promotion_id: str) -> None:
        super().__init__(
            "A promotion of this environment waits for approval already; approve or reject that one.",
            promotion_id=promotion_id,
        )


class PromotionNotPending(DomainError):
    code, kind = "promotion_not_pending", Kind.CONFLICT

    def __init__(self, status: str) -> None:
        super().__init__(f"This promotion is {status}; only one that is pending can be decided.", status=status)


class SelfApprovalForbidden(DomainError):
    """Four eyes: who asked for a promotion or made its changes cannot approve it."""

    code, kind = "self_approval_forbidden", Kind.FORBIDDEN

    def __init__(self, reason: str) -> None:
        super().__init__(f"You cannot approve this promotion: {reason}.")


class ConflictsOpen(DomainError):
    """Changes cannot be brought where they are to go; ``conflicts`` says which and why."""

    code, kind = "conflicts_open", Kind.CONFLICT
    conflicts: Sequence[DocumentConflict] = ()

    def __init__(self, message: str, conflicts: Sequence[DocumentConflict]) -> None:
        super().__init__(message, conflicts=[conflict.shown() for conflict in conflicts])
        self.conflicts = conflicts


class NotRollingOut(DomainError):
    code, kind = "not_rolling_out", Kind.CONFLICT

    def __init__(self, status: str) -> None:
        super().__init__(f"The environment is {status}, not rolling out.", status=status)


class RolloutMoved(DomainError):
    """Somebody else, or the server, has taken a step since the caller looked; none was taken twice."""

    code, kind = "rollout_moved", Kind.CONFLICT

    def __init__(self) -> None:
        super().__init__("The rollout has moved on meanwhile; look at it again.")


class RolloutBlocked(DomainError):
    """The checks that come before production changes have failed; weight and status stay as they are."""

    code, kind = "promotion_blocked", Kind.CONFLICT
    checks: Checks = Checks({}, {})
    conflicts: Sequence[DocumentConflict] = ()

    def __init__(self, checks: Checks, conflicts: Sequence[DocumentConflict]) -> None:
        super().__init__(
            " ".join(checks.reasons.values()),
            checks=dict(checks.passed),
            reasons=dict(checks.reasons),
            conflicts=[conflict.shown() for conflict in conflicts],
        )
        self.checks, self.conflicts = checks, conflicts


class RolloutHeld(DomainError):
    """What was approved is no longer what would reach production: it has to be approved again (semantics §11.17)."""

    code, kind = "rollout_held", Kind.CONFLICT

    def __init__(self, approvals: int, required: int) -> None:
        super().__init__(
            "What goes to production has changed since it was approved:"
            f" {approvals} of {required} approvals are there.",
            approvals=approvals,
            required_approvals=required,
        )


class NothingToApprove(DomainError):
    code, kind = "nothing_to_approve", Kind.CONFLICT

    def __init__(self) -> None:
        super().__init__("The step that the rollout stands at asks for no approval, or has it.")
