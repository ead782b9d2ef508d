"""All routes of the dashboard."""

from collections.abc import Sequence
from typing import Any

from litestar import Request, Router
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler

from app.dashboard.arrival import arriving, exception_handlers, furnished
from app.dashboard.checkpoints import checkpoint_pages
from app.dashboard.documents import document_pages
from app.dashboard.door import Door
from app.dashboard.entry import entry_pages, own_pages
from app.dashboard.environment import environment_pages
from app.dashboard.events import event_pages
from app.dashboard.experiments import experiment_pages
from app.dashboard.governing import governing_pages
from app.dashboard.members import member_pages
from app.dashboard.projects import project_pages
from app.dashboard.promotions import promotion_pages
from app.dashboard.releases import release_pages
from app.dashboard.rollouts import rollout_pages
from app.dashboard.segments import segment_pages
from app.dashboard.tree import tree_pages
from app.dashboard.visit import Visit, visit_of
from app.dashboard.webhooks import webhook_pages


def dashboard_routes(door: Door) -> list[Router]:
    """Return the pages: those that anybody sees, and those of who is logged in."""
    own: list[HTTPRouteHandler] = [
        *own_pages(),
        *project_pages(),
        *environment_pages(),
        *document_pages(),
        *checkpoint_pages(),
        *promotion_pages(),
        *rollout_pages(),
        *release_pages(),
        *experiment_pages(),
        *segment_pages(),
        *tree_pages(),
        *member_pages(),
        *webhook_pages(),
        *governing_pages(),
        *event_pages(),
    ]
    return [_door(door, entry_pages(), guests=True), _door(door, own, guests=False)]


def _door(door: Door, handlers: Sequence[HTTPRouteHandler], *, guests: bool) -> Router:
    return Router(
        "/",
        route_handlers=handlers,
        before_request=arriving(door, guests=guests),
        exception_handlers=exception_handlers,
        middleware=[furnished(door)],
        dependencies={"visit": Provide(_visit, sync_to_thread=False)},
        include_in_schema=False,
        opt={"door": "dashboard"},
    )


def _visit(request: Request[Any, Any, Any]) -> Visit:
    return visit_of(request.scope)
