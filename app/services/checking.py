"""The checks of a promotion, and the status that they leave an environment in (semantics §3)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from app.domain import approvals, lifecycle, promotion
from app.domain.errors import DomainError
from app.domain.events import EventType
from app.domain.model import PROJECT_KIND, Environment, EnvStatus
from app.domain.promotion import Checks, DocumentConflict, EntityMerge, Facts, Plan, Promotion
from app.domain.protected import shown
from app.domain.values import MISSING, Value
from app.services import project_settings, writing
from app.services.carried import Prepared, bound, changed_documents
from app.services.publishing import publish
from app.storage import environments, lines, projects, promotions, reviews


@dataclass(frozen=True, slots=True)
class Checked:
    """What promoting would do: the checks, the conflicts, and the documents that production would have."""

    environment: Environment
    checks: Checks
    conflicts: list[DocumentConflict]
    merges: Sequence[EntityMerge]


def as_status(environment: Environment, *, gates_required: bool = False) -> Environment:
    """Return the environment as the checks see it: a draft is taken through ``validating`` (semantics §3).

    Not where the project's settings require that its checks have been run before.
    """
    if environment.status is EnvStatus.DRAFT and not gates_required:
        lifecycle.check_move(environment, EnvStatus.VALIDATING)
        return replace(environment, status=EnvStatus.VALIDATING)
    return environment


async def check(prepared: Prepared, environment: Environment) -> Checked:
    """Run all checks on what was prepared; ``environment`` has the status that they look at."""
    invalid = _invalid(prepared.merges)
    conflicts = prepared.conflicts
    facts = Facts(
        environment=environment,
        merged_depth=prepared.merged_depth,
        rolling_out=await lines.other_rolling_out(environment.project_id, environment.uuid),
        invalid=invalid,
        open_conflicts=len(conflicts),
    )
    return Checked(environment, promotion.run_checks(facts), conflicts, prepared.merges)


def _invalid(merges: Sequence[EntityMerge]) -> dict[str, str]:
    found = {}
    for merge in changed_documents(merges):
        name = f"{merge.entity.kind}/{merge.entity.key}"
        if merge.merged.state is MISSING and merge.entity.kind == PROJECT_KIND:
            found[name] = "the project document cannot be deleted."
            continue
        try:
            writing.check_document(merge.entity.kind, shown(merge.merged.state))
        except DomainError as error:
            found[name] = error.message
    return found


async def settle_status(seen: Environment, checks: Checks) -> Environment:
    """Let the environment be ``ready`` or ``draft``, as the checks say; one that rolls out stays as it is."""
    if seen.status is EnvStatus.ROLLING_OUT:
        return seen
    status = EnvStatus.READY if checks.all_passed else EnvStatus.DRAFT
    saved = seen
    if seen.status is not status:
        checked_before = seen.status in (EnvStatus.READY, EnvStatus.VALIDATING)
        by_way = [] if checked_before else [EnvStatus.VALIDATING]
        saved = await environments.save(lifecycle.through(seen, *by_way, status))
    type_ = EventType.GENERATION_GATES_PASSED if checks.all_passed else EventType.GENERATION_GATES_FAILED
    failed: list[Value] = [name for name, passed in checks.passed.items() if not passed]
    await publish(seen.project_id, type_, env_uuid=seen.uuid, data={"failed": failed, "status": status.value})
    return saved


async def editors(prepared: Prepared) -> set[UUID]:
    """Return the accounts with changes among the carried ones (semantics §11.16)."""
    return await reviews.editors(prepared.environment.project_id, sorted({item.env_uuid for item in prepared.line}))


async def approvers(requester: UUID, prepared: Prepared) -> set[UUID]:
    """Return the accounts that may approve what ``requester`` asked for."""
    eligible = await reviews.eligible_approvers(prepared.environment.project_id)
    return eligible - {requester} - await editors(prepared)


async def needed_approvals(requester: UUID, prepared: Prepared) -> tuple[int, str | None]:
    """Return how many approvals are needed as things are now, and why there cannot be so many, if so."""
    project_id = prepared.environment.project_id
    project = await projects.get(project_id)
    assert project is not None
    settings = await project_settings.of(project_id, fresh=True)
    return approvals.needed(project.plan, settings, len(await approvers(requester, prepared)))


async def as_needed_now(request: Promotion, prepared: Prepared) -> Promotion:
    """Return the request with the approvals that still count; more may be needed than when it was made."""
    allowed = await approvers(request.account_uuid, prepared)
    gone = [given.account_uuid for given in request.approvers if given.account_uuid not in allowed]
    if gone:
        await reviews.void(request, gone)
    needed, _ = await needed_approvals(request.account_uuid, prepared)
    left = [given for given in request.approvers if given.account_uuid in allowed]
    return replace(request, approvers=left, required_approvals=max(request.required_approvals, needed))


async def carry_anew(request: Promotion, prepared: Prepared, plan: Plan) -> Promotion | None:
    """Let a request hold what it carries now and void its approvals, if that is not what they were given for (§11.17).

    Returns None if it is.
    """
    carried, plan = prepared.changes, bound(plan, prepared.merges)
    now = promotion.content_hash(carried, plan)
    if now == request.content_hash:
        return None
    if request.required_approvals:
        await reviews.void(request)
    return await promotions.save(
        replace(request, carried=carried, content_hash=now, plan=plan, conflicts=prepared.conflicts)
    )
