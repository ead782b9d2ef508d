"""``/metrics``: for Prometheus."""

import hmac
from collections.abc import Awaitable, Callable

from litestar import Request, Response, Router, get
from litestar.datastructures import State

from app.domain.errors import Unauthenticated


def metrics_routes(read: Callable[[], Awaitable[bytes]], media_type: str, token: str | None) -> Router:
    """Return the route of the figures that ``read`` gives; with a token, only for those who bear it."""
    expected = None if token is None else f"Bearer {token}".encode()

    @get("/metrics", include_in_schema=False)
    async def metrics(request: Request[object, object, State]) -> Response[bytes]:
        """Say how this installation does."""
        given = request.headers.get("authorization", "").encode()
        if expected is not None and not hmac.compare_digest(given, expected):
            raise Unauthenticated("The metrics take the token of STRATA_METRICS_TOKEN.")
        return Response(await read(), media_type=media_type, headers={"Cache-Control": "no-store"})

    return Router("/", route_handlers=[metrics])
