"""Webhooks of a project, and what was sent to them."""

from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.dashboard.parameters import Cursor, EnvUuid, Here, ProjectId
from app.dashboard.visit import Problem, Visit
from app.domain.errors import DomainError, WebhookNotFound
from app.domain.webhooks import LIFECYCLE, Webhook
from app.services import webhooks
from app.services.webhooks import WebhookChange

PAGE = 25
HOOKS = "/projects/{project_id:int}/webhooks"
HOOK = f"{HOOKS}/{{webhook_uuid:uuid}}"


@get(HOOKS)
async def webhooks_page(visit: Here, project_id: ProjectId) -> Response[bytes]:
    """List the webhooks of a project."""
    return await _list(visit, project_id)


async def _list(
    visit: Visit, project_id: int, problem: Problem | None = None, secret: str | None = None
) -> Response[bytes]:
    return visit.page(
        "webhooks.html",
        shell=await visit.shell(project_id),
        section="webhooks",
        webhooks=await webhooks.list_webhooks(visit.actor, project_id),
        usual=", ".join(LIFECYCLE),
        secret=secret,
        problem=problem,
    )


@post(HOOKS)
async def create(visit: Here, project_id: ProjectId) -> Response[bytes]:
    """Make a webhook; its secret is shown now and never again."""
    form = visit.form
    try:
        made = await webhooks.create(
            visit.actor, project_id, form.text("url").strip(), _events(form.given("events")), form.text("description")
        )
    except DomainError as error:
        return await _list(visit, project_id, Problem("webhook", error, form))
    return await _list(visit, project_id, secret=made.secret)


def _events(text: str | None) -> list[str] | None:
    return None if text is None else text.replace(",", " ").split()


@get(HOOK)
async def webhook_page(
    visit: Here, project_id: ProjectId, webhook_uuid: EnvUuid, cursor: Cursor = None
) -> Response[bytes]:
    """Show a webhook and what was sent to it."""
    return await _show(visit, project_id, webhook_uuid, cursor)


async def _show(
    visit: Visit,
    project_id: int,
    webhook_uuid: UUID,
    cursor: str | None = None,
    problem: Problem | None = None,
    secret: str | None = None,
) -> Response[bytes]:
    shell = await visit.shell(project_id)
    found = [item for item in await webhooks.list_webhooks(visit.actor, project_id) if item.uuid == webhook_uuid]
    if not found:
        raise WebhookNotFound
    return visit.page(
        "webhook.html",
        shell=shell,
        section="webhooks",
        webhook=found[0],
        page=await webhooks.list_deliveries(visit.actor, project_id, webhook_uuid, limit=PAGE, cursor=cursor),
        secret=secret,
        problem=problem,
    )


@post(f"{HOOK}/change")
async def change(visit: Here, project_id: ProjectId, webhook_uuid: EnvUuid) -> Response[bytes]:
    """Change a webhook."""
    form = visit.form
    wanted = WebhookChange(
        url=form.text("url").strip(),
        description=form.text("description"),
        events=_events(form.given("events")) or list(LIFECYCLE),
        enabled=form.text("enabled") == "on",
    )
    try:
        saved: Webhook = await webhooks.update(visit.actor, project_id, webhook_uuid, wanted)
    except DomainError as error:
        return await _show(visit, project_id, webhook_uuid, problem=Problem("webhook", error, form))
    return visit.to(f"/projects/{project_id}/webhooks/{saved.uuid}", "Saved.")


@post(f"{HOOK}/act")
async def act(visit: Here, project_id: ProjectId, webhook_uuid: EnvUuid) -> Response[bytes]:
    """Try a webhook, give it a new secret, delete it, or send a message once more."""
    form, actor = visit.form, visit.actor
    here = f"/projects/{project_id}/webhooks/{webhook_uuid}"
    delivery = form.uuid("delivery")
    try:
        if delivery is not None:
            await webhooks.redeliver(actor, project_id, webhook_uuid, delivery)
            return visit.to(here, "It will be sent once more.")
        if form.text("do") == "rotate":
            made = await webhooks.rotate_secret(actor, project_id, webhook_uuid)
            return await _show(visit, project_id, webhook_uuid, secret=made.secret)
        if form.text("do") == "delete":
            await webhooks.delete(actor, project_id, webhook_uuid)
            return visit.to(f"/projects/{project_id}/webhooks", "The webhook is deleted.")
        await webhooks.test(actor, project_id, webhook_uuid)
    except DomainError as error:
        return await _show(visit, project_id, webhook_uuid, problem=Problem("act", error, form))
    return visit.to(here, "A message is on its way.")


def webhook_pages() -> list[HTTPRouteHandler]:
    """Return the pages of webhooks."""
    return [webhooks_page, create, webhook_page, change, act]
