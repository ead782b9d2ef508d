"""All routes of the REST door."""

from collections.abc import Iterator
from typing import Any

from litestar import Router
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Operation
from litestar.routes import HTTPRoute

from app.rest.accounts import account_routes, public_routes
from app.rest.active_environment import active_environment_routes
from app.rest.audit import audit_routes
from app.rest.body import BodyReader
from app.rest.canaries import canary_routes
from app.rest.checkpoints import checkpoint_routes
from app.rest.comparison import comparison_routes
from app.rest.context import admit, arrive
from app.rest.documents import document_routes
from app.rest.environments import environment_routes
from app.rest.events import event_routes
from app.rest.experiments import experiment_routes
from app.rest.explain import explain_routes
from app.rest.freezes import freeze_routes
from app.rest.generations import generation_routes
from app.rest.history import history_routes
from app.rest.limits import limit_routes
from app.rest.members import member_routes
from app.rest.metering import releasing
from app.rest.ofrep import admit_evaluation, ofrep_routes
from app.rest.operations import ApiOperation, with_key, with_tag
from app.rest.parameters import actor_of, address_of, environment_of, moment, place, settings_of
from app.rest.preconditions import expected_version
from app.rest.projects import project_routes
from app.rest.promotions import promotion_routes
from app.rest.protected import protected_routes
from app.rest.releases import release_routes
from app.rest.request import SAFE_METHODS, StrictRequest
from app.rest.response import JsonResponse
from app.rest.route import route_routes
from app.rest.segments import segment_routes
from app.rest.settings import settings_routes
from app.rest.surroundings import say_replayed
from app.rest.transfer import transfer_routes
from app.rest.webhooks import webhook_routes


def rest_routes() -> list[Router]:
    """Return the REST door: what anyone may call, what is about the token itself, and what needs one."""
    public = _door([public_routes()], before_request=arrive)
    own = _door([account_routes()], before_request=admit, security=[{"bearer": []}])
    guarded = _door(
        [
            project_routes(),
            *member_routes(),
            document_routes(),
            transfer_routes(),
            environment_routes(),
            active_environment_routes(),
            *checkpoint_routes(),
            comparison_routes(),
            history_routes(),
            event_routes(),
            audit_routes(),
            limit_routes(),
            protected_routes(),
            settings_routes(),
            generation_routes(),
            promotion_routes(),
            release_routes(),
            webhook_routes(),
            freeze_routes(),
            canary_routes(),
            experiment_routes(),
            *segment_routes(),
            route_routes(),
            explain_routes(),
        ],
        before_request=admit,
        security=[{"bearer": []}],
    )
    for handler in _handlers(guarded):
        if not handler.http_methods <= SAFE_METHODS:
            handler.after_request = say_replayed
            handler.operation_class = with_key(handler.operation_class)
    flags = _door([ofrep_routes()], before_request=admit_evaluation, security=[{"bearer": []}])
    return [public, own, flags, guarded]


def _door(routers: list[Router], **options: Any) -> Router:
    router = Router(
        "/",
        route_handlers=routers,
        request_class=StrictRequest,
        response_class=JsonResponse,
        dto=BodyReader,
        return_dto=None,
        middleware=[releasing],
        dependencies={
            "settings": Provide(settings_of, sync_to_thread=False),
            "actor": Provide(actor_of, sync_to_thread=False),
            "env": Provide(environment_of, sync_to_thread=False),
            "address": Provide(address_of, sync_to_thread=False),
            "at": Provide(moment, sync_to_thread=False),
            "below": Provide(place, sync_to_thread=False),
            "expected": Provide(expected_version, sync_to_thread=False),
        },
        **options,
    )
    for handler in _handlers(router):
        if handler.operation_class is Operation:
            handler.operation_class = ApiOperation
        if "GET" in handler.http_methods:
            handler.operation_class = with_tag(handler.operation_class)
    _forget_options(router)
    return router


def _forget_options(router: Router) -> None:
    # Litestar makes a handler of OPTIONS with the first handler of a path and keeps it when others join, so that it
    # would name the first one's methods only. Without it, the application makes one that knows all.
    for route in router.routes:
        if isinstance(route, HTTPRoute):
            route.route_handlers = [
                handler for handler in route.route_handlers if handler.handler_name != "options_handler"
            ]


def _handlers(router: Router) -> Iterator[HTTPRouteHandler]:
    for route in router.routes:
        if isinstance(route, HTTPRoute):
            yield from route.route_handlers
