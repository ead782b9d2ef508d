"""The application: routes, errors, pool, and nothing that decides."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial

from litestar import Litestar, Response
from litestar.datastructures import State

from app.application import Application, sampled
from app.dashboard.door import Door as DashboardDoor
from app.dashboard.router import dashboard_routes
from app.domain.errors import DomainError
from app.metrics import CONTENT_TYPE, Metrics
from app.rest import metering
from app.rest.body import ClosedBodies
from app.rest.client_address import client_address
from app.rest.errors import STATUS, exception_handlers
from app.rest.health import health_routes
from app.rest.metrics import metrics_routes
from app.rest.openapi import openapi_config
from app.rest.request import environment_reference
from app.rest.request_id import request_id
from app.rest.router import rest_routes
from app.rest.static import PAGE_HEADERS, graphiql_page, static_asset
from app.rest.surroundings import enter_dashboard, enter_graphql
from app.services import background, document_bodies, egress, identity, live, rates
from app.services.cache import MergeCache
from app.services.external_issuer import ExternalIssuer
from app.services.health import Watch
from app.services.login import Lifetimes
from app.settings import Settings
from app.storage import backlog, db, deadline, replica, tracing, wakes
from app.worker import running
from schema.context import Visitor
from schema.door import AnyConnection, Door
from schema.http import graphql_controller


def create_app(settings: Settings) -> Litestar:
    """Return the application on the database of ``settings``, which is migrated already, with the master key in use."""

    dsn = settings.database_url or ""
    metrics = Metrics()
    direct = settings.direct_url
    parts = {"listener": live.listens} | ({"jobs": running.works} if settings.worker else {})
    watch = Watch(dsn, parts)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        pooled = settings.direct_database_url is not None
        await db.open_pool(dsn, settings.pool_size, settings.pool_queue, pooled=pooled)
        if settings.read_database_url:
            await replica.open_pool(settings.read_database_url, settings.pool_size)
        try:
            identity.keyring.issuer = ExternalIssuer(settings.trusted_issuer) if settings.trusted_issuer else None
            await identity.prepare()
            egress.allowed = settings.webhook_allow
            deadline.seconds = settings.request_seconds
            document_bodies.merge_cache = MergeCache(settings.cache_bytes)
            rates.meter = rates.Meter(settings.rate_limits) if settings.rate_limits else None
            # What exists now lives as long as the process: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            at_work = running.at_work(direct) if settings.worker else nullcontext()
            if settings.tracing:
                tracing.start()
            async with live.bus_open(direct), at_work, sampled(metrics):
                yield
        finally:
            tracing.stop()
            watch.close()
            await background.finish()
            await wakes.sent()
            await replica.close_pool()
            await db.close_pool()

    operating = [health_routes()]
    if settings.metrics:
        operating.append(metrics_routes(partial(_figures, metrics), CONTENT_TYPE, settings.metrics_token))
    return Application(
        route_handlers=[
            *operating,
            *rest_routes(),
            *dashboard_routes(_dashboard_door(settings)),
            static_asset,
            graphql_controller(_graphql_door(settings, metrics)),
        ],
        lifespan=[lifespan],
        state=State({"settings": settings, "watch": watch}),
        exception_handlers=exception_handlers,
        before_send=[metering.finish],
        openapi_config=openapi_config(),
        plugins=[ClosedBodies()],
        request_max_body_size=settings.max_body_bytes,
        logging_config=None,
        metrics=metrics,
        access_log=settings.access_log,
    )


async def _figures(metrics: Metrics) -> bytes:
    metrics.sample()
    try:
        found = await backlog.read()
    except (DomainError, TimeoutError):
        found = None
    return metrics.written(found)


def _graphiql() -> Response[bytes]:
    return Response(graphiql_page(), media_type="text/html", headers=dict(PAGE_HEADERS))


def _dashboard_door(settings: Settings) -> DashboardDoor:
    return DashboardDoor(
        settings=settings,
        request_id=request_id,
        client_address=client_address,
        enter=enter_dashboard,
        till=metering,
        statuses=STATUS,
    )


def _visitor(settings: Settings, connection: AnyConnection) -> Visitor:
    authorization = connection.headers.get("authorization")
    lifetimes = Lifetimes(settings.token_seconds, settings.session_seconds)
    return Visitor(client_address(connection.scope), authorization, lifetimes, settings.login_limits)


def _observe(metrics: Metrics, name: str | None, kind: str, seconds: float, *, failed: bool) -> None:
    metrics.executed(name, kind, seconds, failed=failed)
    if name and tracing.active():
        tracing.current.say(graphql_operation_name=name[:64], graphql_operation_type=kind)


def _graphql_door(settings: Settings, metrics: Metrics) -> Door:
    return Door(
        # It writes queries of its own, of which none is on a list.
        graphiql=_graphiql if settings.graphiql and settings.trusted_documents is None else None,
        request_id=request_id,
        environment=environment_reference,
        enter=enter_graphql,
        visitor=partial(_visitor, settings),
        till=metering,
        default_plan=settings.default_plan,
        limits=settings.query_limits,
        introspection=settings.introspection,
        suggestions=settings.suggestions,
        get_queries=settings.get_queries,
        trusted_documents=settings.trusted_documents,
        observe=partial(_observe, metrics),
    )
