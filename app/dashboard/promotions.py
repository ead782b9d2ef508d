"""The way to production: looking first, promoting, approving, and what became of it."""

from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.dashboard import promotion_forms
from app.dashboard.environment import AT, address
from app.dashboard.parameters import Cursor, EnvUuid, Here, ProjectId
from app.dashboard.visit import Problem, Visit
from app.domain.diff import difference, masked
from app.domain.errors import DomainError, ValidationFailed
from app.domain.model import Environment
from app.domain.promotion import Promotion, PromotionStatus
from app.domain.promotion_errors import ConflictsOpen
from app.domain.protected import SEALED
from app.services import deciding, environments, promoting, rebasing
from app.services.carried import changed_documents
from app.services.checking import Checked
from app.services.promoting import PromoteOptions

PAGE = 25
SHOWN_DOCUMENTS = 200
"""Documents of a promotion that are shown and can be chosen; all of them are promoted unless some are left out."""
SHOWN_CONFLICTS = 200


@get(f"{AT}/promote")
async def promote_page(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Show what promoting would do now, and how it can be done."""
    environment = await environments.get(visit.actor, env_uuid, project_id)
    checked = await promoting.dry_run(visit.actor, env_uuid, PromoteOptions(), project_id)
    return await _show(visit, environment, checked)


async def _show(
    visit: Visit, environment: Environment, checked: Checked, problem: Problem | None = None, *, tried: bool = False
) -> Response[bytes]:
    changed = changed_documents(checked.merges)
    shown = [
        (
            promotion_forms.document_field(item.entity.kind, item.entity.key),
            item.entity,
            masked(difference(item.ours, item.merged.state), SEALED),
        )
        for item in changed[:SHOWN_DOCUMENTS]
    ]
    return visit.page(
        "promote.html",
        shell=await visit.shell(environment.project_id),
        section="environments",
        tab="promote",
        environment=environment,
        checks=checked.checks,
        conflicts=promotion_forms.as_fields(checked.conflicts[:SHOWN_CONFLICTS]),
        documents=shown,
        total=len(changed),
        steps=promotion_forms.steps_text(environment.rollout_steps),
        open_request=await deciding.open_of(visit.actor, environment.uuid, environment.project_id),
        tried=tried,
        filled=visit.form,
        problem=problem,
    )


@post(f"{AT}/promote")
async def promote(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Promote as was chosen, or only look what that would do."""
    form = visit.form
    environment = await environments.get(visit.actor, env_uuid, project_id)
    try:
        options = promotion_forms.options(form)
        if form.text("do") == "look":
            checked = await promoting.dry_run(visit.actor, env_uuid, options, project_id)
            return await _show(visit, environment, checked, tried=True)
        made = await promoting.promote(visit.actor, env_uuid, options, project_id)
    except DomainError as error:
        checked = await promoting.dry_run(visit.actor, env_uuid, PromoteOptions(), project_id)
        return await _show(visit, environment, checked, Problem("promote", error, form))
    return visit.to(f"/projects/{project_id}/promotions/{made.uuid}", _said(made))


def _said(made: Promotion) -> str:
    return {
        PromotionStatus.COMPLETED: "It is in production.",
        PromotionStatus.ROLLING_OUT: "The rollout has begun.",
        PromotionStatus.PENDING_APPROVAL: "It waits for approval.",
        PromotionStatus.BLOCKED: "It was not promoted: the checks say why.",
    }.get(made.status, "")


@post(f"{AT}/validate")
async def validate(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Run the checks, and let the environment be ready if all have passed."""
    try:
        done = await promoting.validate(visit.actor, env_uuid, project_id)
    except DomainError as error:
        environment = await environments.get(visit.actor, env_uuid, project_id)
        checked = await promoting.dry_run(visit.actor, env_uuid, PromoteOptions(), project_id)
        return await _show(visit, environment, checked, Problem("validate", error, visit.form))
    said = "All checks have passed." if done.checks.all_passed else "Some checks have failed."
    return visit.to(f"{address(project_id, env_uuid)}/promote", said)


@get(f"{AT}/rebase")
async def rebase_page(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Offer to put an environment's changes onto what its parent shows now."""
    return await _rebase_page(visit, project_id, env_uuid)


async def _rebase_page(
    visit: Visit, project_id: int, env_uuid: UUID, problem: Problem | None = None
) -> Response[bytes]:
    open_conflicts = list(problem.error.conflicts) if problem and isinstance(problem.error, ConflictsOpen) else []
    return visit.page(
        "rebase.html",
        shell=await visit.shell(project_id),
        section="environments",
        tab="rebase",
        environment=await environments.get(visit.actor, env_uuid, project_id),
        conflicts=promotion_forms.as_fields(open_conflicts[:SHOWN_CONFLICTS]),
        filled=visit.form,
        problem=problem,
    )


@post(f"{AT}/rebase")
async def rebase(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Put an environment's changes onto what its parent shows now, conflicts settled as was chosen."""
    try:
        settled = promotion_forms.resolutions(visit.form)
        done = await rebasing.rebase(visit.actor, env_uuid, settled, project_id)
    except DomainError as error:
        return await _rebase_page(visit, project_id, env_uuid, Problem("rebase", error, visit.form))
    return visit.to(address(project_id, env_uuid), f"Rebased; {len(done.changes)} changes were carried on.")


@get("/projects/{project_id:int}/promotions")
async def promotions_page(visit: Here, project_id: ProjectId, cursor: Cursor = None) -> Response[bytes]:
    """List what was to be promoted, the newest first."""
    shell = await visit.shell(project_id)
    page = await deciding.list_promotions(visit.actor, project_id, limit=PAGE, cursor=cursor)
    return visit.page("promotions.html", shell=shell, section="promotions", page=page)


@get("/projects/{project_id:int}/promotions/{promotion_uuid:uuid}")
async def promotion_page(visit: Here, project_id: ProjectId, promotion_uuid: EnvUuid) -> Response[bytes]:
    """Show a promotion: what it carries, its checks, and who has approved it."""
    return await _promotion_page(visit, project_id, promotion_uuid)


async def _promotion_page(
    visit: Visit, project_id: int, promotion_uuid: UUID, problem: Problem | None = None
) -> Response[bytes]:
    shell = await visit.shell(project_id)
    made = await deciding.get(visit.actor, promotion_uuid, project_id)
    return visit.page(
        "promotion.html",
        shell=shell,
        section="promotions",
        made=made,
        subject=await environments.get(visit.actor, made.env_uuid, project_id),
        pending=made.status is PromotionStatus.PENDING_APPROVAL,
        own=made.account_uuid == visit.actor.account_uuid,
        problem=problem,
    )


@post("/projects/{project_id:int}/promotions/{promotion_uuid:uuid}/decide")
async def decide(visit: Here, project_id: ProjectId, promotion_uuid: EnvUuid) -> Response[bytes]:
    """Approve a promotion, or reject it for a reason."""
    form, here = visit.form, f"/projects/{project_id}/promotions/{promotion_uuid}"
    try:
        if form.text("do") == "reject":
            await deciding.reject(visit.actor, promotion_uuid, form.text("reason"), project_id)
            return visit.to(here, "Rejected.")
        if form.text("do") != "approve":
            raise ValidationFailed("Approve it or reject it.", field="do")
        decision = await deciding.approve(
            visit.actor, promotion_uuid, project_id, override_freeze=form.text("override_freeze") == "on"
        )
    except DomainError as error:
        return await _promotion_page(visit, project_id, promotion_uuid, Problem("decide", error, form))
    if decision.changed:
        return visit.to(here, "It carries something else by now: look at it again, then approve.")
    return visit.to(here, f"Approved. {_said(decision.promotion)}")


def promotion_pages() -> list[HTTPRouteHandler]:
    """Return the pages of promotions."""
    return [promote_page, promote, validate, rebase_page, rebase, promotions_page, promotion_page, decide]
