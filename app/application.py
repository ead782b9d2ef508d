"""What is around every request, whatever door it comes to: it is counted, traced, and logged where that is wanted."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, Final, cast

import structlog
from litestar import Litestar
from litestar.types import HTTPScope, LifeSpanReceive, LifeSpanScope, LifeSpanSend, Receive, Scope, Send

from app.disconnects import GONE, ClientGone, Watched
from app.metrics import Metrics
from app.rest.request import SAFE_METHODS
from app.rest.request_id import request_id
from app.storage import tracing

UNMATCHED: Final = "(none)"
TICK_SECONDS: Final = 1.0
LATE_SECONDS: Final = 1.0
_log = structlog.get_logger("strata")


class Application(Litestar):
    """Litestar with an eye on what it answers."""

    def __init__(self, *args: Any, metrics: Metrics, access_log: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self.metrics = metrics
        self._access_log = access_log

    async def __call__(
        self, scope: Scope | LifeSpanScope, receive: Receive | LifeSpanReceive, send: Send | LifeSpanSend
    ) -> None:
        """Answer a request, as ASGI says."""
        kind: str = scope["type"]
        if kind == "http":
            await self._observed(cast("HTTPScope", scope), receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _observed(self, scope: HTTPScope, receive: Receive | LifeSpanReceive, send: Send | LifeSpanSend) -> None:
        began, status = time.perf_counter(), 0

        async def sending(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with tracing.request(scope["headers"], scope["method"]) as traced:
            try:
                await self._answer(scope, cast("Receive", receive), sending)
            except ClientGone:
                status = GONE
            finally:
                route = scope.get("path_template") or UNMATCHED
                seconds = time.perf_counter() - began
                self.metrics.answered(scope["method"], route, status, seconds)
                if tracing.active():
                    traced.rename(f"{scope['method']} {route}")
                    traced.say(
                        http_route=route, http_response_status__code=status, strata_request__id=request_id(scope)
                    )
                if self._access_log:
                    self._write(scope, route, status, seconds)

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        if scope["method"] not in SAFE_METHODS:
            await super().__call__(scope, receive, send)
            return
        async with Watched(receive) as watched:
            await super().__call__(scope, watched.receive, send)

    @staticmethod
    def _write(scope: HTTPScope, route: str, status: int, seconds: float) -> None:
        # Neither the query nor the path as it was given: both can hold what nobody else may read.
        _log.info(
            "request",
            request_id=request_id(scope),
            method=scope["method"],
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
        )


@asynccontextmanager
async def sampled(metrics: Metrics) -> AsyncIterator[None]:
    """Measure this process once a second while the block runs, and log what keeps its loop from turning."""
    metrics.sample()
    sampling = asyncio.create_task(_sample(metrics), context=Context())
    try:
        yield
    finally:
        sampling.cancel()


async def _sample(metrics: Metrics) -> None:
    while True:
        due = time.monotonic() + TICK_SECONDS
        await asyncio.sleep(TICK_SECONDS)
        late = max(0.0, time.monotonic() - due)
        metrics.loop_lag = late
        metrics.sample()
        if late > LATE_SECONDS:
            _log.warning("event loop was blocked", seconds=round(late, 1))
