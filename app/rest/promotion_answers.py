"""Answers about promotions, checks and releases."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain.model import EnvStatus, Strategy
from app.domain.promotion import CarriedChange, Check, Checks, DocumentConflict, Promotion, PromotionStatus
from app.domain.protected import shown
from app.domain.values import MISSING, State
from app.rest.answers import Answer
from app.rest.comparison_answers import Diff
from app.services.deciding import Decision
from app.services.promoting import Validated
from app.services.rebasing import Rebased
from app.services.releasing import ReleaseDocument
from app.storage.releases import Release


class CheckAnswers(Answer):
    """The guide's four checks, and whether all conflicts are resolved."""

    schema_valid: bool
    depth_ok: bool
    conflict_free: bool
    health_ok: bool
    conflicts_resolved: bool

    @classmethod
    def of(cls, checks: Checks) -> "CheckAnswers":
        """Return which checks passed."""
        return cls(**{check.value: checks.passed.get(check.value, False) for check in Check})


class ConflictAnswer(Answer):
    """A path that both sides changed; a side that is not there is null and named in `absent`."""

    kind: str
    key: str
    path: str
    base: Any
    ours: Any
    theirs: Any
    absent: list[str]

    @classmethod
    def of(cls, conflict: DocumentConflict) -> "ConflictAnswer":
        """Return the answer for a conflict."""
        shown: dict[str, Any] = conflict.shown()
        return cls(**shown)


class ChangeAnswer(Answer):
    """A carried path: what production has there and what it will have; a side that is not there is null and named."""

    kind: str
    key: str
    path: str
    ours: Any
    result: Any
    absent: list[str]

    @classmethod
    def of(cls, change: CarriedChange) -> "ChangeAnswer":
        """Return the answer for a carried change."""
        sides: dict[str, State] = {"ours": shown(change.ours), "result": shown(change.result)}
        return cls(
            kind=change.kind,
            key=change.key,
            path=change.path,
            absent=[name for name, state in sides.items() if state is MISSING],
            **{name: None if state is MISSING else state for name, state in sides.items()},
        )


class ApproverAnswer(Answer):
    account_uuid: UUID
    name: str
    approved_at: datetime


class PromotionAnswer(Answer):
    """A promotion request. `reasons` says why a check failed, or who has to be asked."""

    promotion_id: UUID
    project_id: int
    env_uuid: UUID
    strategy: Strategy
    status: PromotionStatus
    checks: CheckAnswers
    reasons: dict[str, str]
    conflicts: list[ConflictAnswer]
    changes: list[ChangeAnswer]
    required_approvals: int
    approvers: list[ApproverAnswer]
    approved_at: datetime | None
    requested_by: str
    message: str | None
    reason: str | None
    rollout_steps: list[Any]
    created_at: datetime
    ended_at: datetime | None
    expires_at: datetime | None
    release_id: UUID | None

    @classmethod
    def of(cls, promotion: Promotion) -> "PromotionAnswer":
        """Return the answer for a request."""
        return cls(**promotion_members(promotion))


def promotion_members(promotion: Promotion) -> dict[str, Any]:
    """Return the members of a request's answer."""
    return {
        "promotion_id": promotion.uuid,
        "project_id": promotion.project_id,
        "env_uuid": promotion.env_uuid,
        "strategy": promotion.plan.strategy,
        "status": promotion.status,
        "checks": CheckAnswers.of(promotion.checks),
        "reasons": dict(promotion.checks.reasons),
        "conflicts": [ConflictAnswer.of(item) for item in promotion.conflicts],
        "changes": [ChangeAnswer.of(item) for item in promotion.carried],
        "required_approvals": promotion.required_approvals,
        "approvers": [
            ApproverAnswer(account_uuid=item.account_uuid, name=item.name, approved_at=item.approved_at)
            for item in promotion.approvers
        ],
        "approved_at": promotion.approved_at,
        "requested_by": promotion.actor,
        "message": promotion.message,
        "reason": promotion.reason,
        "rollout_steps": promotion.plan.rollout_steps,
        "created_at": promotion.created_at,
        "ended_at": promotion.ended_at,
        "expires_at": promotion.expires_at,
        "release_id": promotion.release_uuid,
    }


class DecisionAnswer(PromotionAnswer):
    """A request after somebody approved it; `changed` is what is carried otherwise than approvals were given for."""

    changed: list[ChangeAnswer]

    @classmethod
    def after(cls, decision: Decision) -> "DecisionAnswer":
        """Return the answer to an approval."""
        changed = [ChangeAnswer.of(item) for item in decision.changed]
        return cls(changed=changed, **promotion_members(decision.promotion))


class PromotionsAnswer(Answer):
    promotions: list[PromotionAnswer]
    next_cursor: str | None


class ResultAnswer(Answer):
    """A document that production would have; null and `deleted` where it would have none."""

    kind: str
    key: str
    deleted: bool
    data: Any


class DryRunAnswer(Answer):
    """What promoting now would do; nothing was changed."""

    env_uuid: UUID
    status: str
    checks: CheckAnswers
    reasons: dict[str, str]
    conflicts: list[ConflictAnswer]
    documents: list[ResultAnswer]
    total: int
    next_cursor: str | None


class ValidationAnswer(Answer):
    """The checks and the status that they leave the environment in."""

    env_uuid: UUID
    status: EnvStatus
    checks: CheckAnswers
    reasons: dict[str, str]
    conflicts: list[ConflictAnswer]

    @classmethod
    def of(cls, checked: Validated) -> "ValidationAnswer":
        """Return the answer to a validation."""
        return cls(
            env_uuid=checked.environment.uuid,
            status=checked.environment.status,
            checks=CheckAnswers.of(checked.checks),
            reasons=dict(checked.checks.reasons),
            conflicts=[ConflictAnswer.of(item) for item in checked.conflicts],
        )


class RebasedAnswer(Answer):
    """The environment on its new generation; `resolved` are the conflicts that resolutions settled."""

    env_uuid: UUID
    status: EnvStatus
    generation: int
    head_uuid: UUID
    documents: int
    resolved: list[ConflictAnswer]

    @classmethod
    def of(cls, rebased: Rebased) -> "RebasedAnswer":
        """Return the answer to a rebase."""
        return cls(
            env_uuid=rebased.environment.uuid,
            status=rebased.environment.status,
            generation=rebased.generation.number,
            head_uuid=rebased.environment.head_uuid,
            documents=len(rebased.changes),
            resolved=[ConflictAnswer.of(item) for item in rebased.conflicts],
        )


class ReleaseAnswer(Answer):
    """What went to production; `undoes` is the release that this one undid."""

    release_id: UUID
    number: int
    project_id: int
    env_uuid: UUID
    promotion_id: UUID | None
    undoes: UUID | None
    message: str | None
    entities: int
    version: int
    created_by: str
    created_at: datetime

    @classmethod
    def of(cls, release: Release) -> "ReleaseAnswer":
        """Return the answer for a release."""
        return cls(
            release_id=release.uuid,
            number=release.number,
            project_id=release.project_id,
            env_uuid=release.env_uuid,
            promotion_id=release.promotion_uuid,
            undoes=release.undoes_uuid,
            message=release.message,
            entities=release.entity_count,
            version=release.version,
            created_by=release.actor,
            created_at=release.created_at,
        )


class ReleasesAnswer(Answer):
    releases: list[ReleaseAnswer]
    next_cursor: str | None


class ReleaseDocumentAnswer(Answer):
    """A document before and after; null where there was none, told apart from a document `null` by `status`."""

    kind: str
    key: str
    status: str
    before: Any
    after: Any
    diff: Diff

    @classmethod
    def of(cls, item: ReleaseDocument) -> "ReleaseDocumentAnswer":
        """Return the answer for a document of a release."""
        status = "added" if item.old is MISSING else "removed" if item.new is MISSING else "modified"
        return cls(
            kind=item.entity.kind,
            key=item.entity.key,
            status=status,
            before=None if item.old is MISSING else item.old,
            after=None if item.new is MISSING else item.new,
            diff=Diff.of(item.difference),
        )


class ReleaseDocumentsAnswer(Answer):
    documents: list[ReleaseDocumentAnswer]
    next_cursor: str | None

    @classmethod
    def page(cls, items: Sequence[ReleaseDocument], next_cursor: str | None) -> "ReleaseDocumentsAnswer":
        """Return a page of the documents of a release."""
        return cls(documents=[ReleaseDocumentAnswer.of(item) for item in items], next_cursor=next_cursor)
