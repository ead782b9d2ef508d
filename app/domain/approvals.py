"""How many have to approve what goes to production, and who may (semantics §3, §11.16; ``rest.md``, settings)."""

from math import ceil
from uuid import UUID

from app.domain.model import Plan
from app.domain.project_settings import ApprovalMode, ProjectSettings
from app.domain.promotion_errors import SelfApprovalForbidden

NOBODY = (
    "No member may approve this: owners and admins can, but not who asked for it or made its changes."
    " Invite another owner or admin."
)


def needed(plan: Plan, settings: ProjectSettings, eligible: int) -> tuple[int, str | None]:
    """Return how many approvals a request needs, and why it cannot get them, if so.

    ``eligible`` is the number of members who may approve it. On Enterprise at least one always has to.
    """
    count = _by_mode(settings, eligible)
    if plan is Plan.ENTERPRISE:
        count = max(count, 1)
    if count > eligible:
        return count, NOBODY if eligible == 0 else f"{count} approvals are needed and {eligible} members may approve."
    return count, None


def _by_mode(settings: ProjectSettings, eligible: int) -> int:
    match settings.auto_generation_approval_mode:
        case ApprovalMode.OFF:
            return 0
        case ApprovalMode.MIN_COUNT:
            return settings.auto_generation_approval_min_count
        case ApprovalMode.MIN_PERCENT:
            return max(1, ceil(eligible * settings.auto_generation_approval_min_percent / 100))
        case ApprovalMode.AT_LEAST_ONE | ApprovalMode.MANUAL_ONLY:
            return 1


def check_approver(account_uuid: UUID, requester: UUID, editors: set[UUID]) -> None:
    """Raise SelfApprovalForbidden for who asked for a promotion or made its changes, whichever key they use."""
    if account_uuid == requester:
        raise SelfApprovalForbidden("you asked for it")
    if account_uuid in editors:
        raise SelfApprovalForbidden("some of its changes are yours")
