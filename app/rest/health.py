"""``/health``: for whoever starts, stops and routes to servers. No token, no secrets, no rate limit."""

from typing import Final

from litestar import Request, Response, Router, get
from litestar.datastructures import State

from app.rest.answers import Answer
from app.services.health import Health, Watch
from app.storage import codec

_HEADERS: Final = {"Cache-Control": "no-store"}


class HealthAnswer(Answer):
    """``status`` is ``ready``, ``degraded`` (requests are answered, something is missing) or ``unready``."""

    status: str
    checks: dict[str, str]
    missing: list[str]

    @classmethod
    def of(cls, health: Health) -> "HealthAnswer":
        """Return the answer for how things stand."""
        status = "unready" if not health.ready else "degraded" if health.missing else "ready"
        checks = {name: "ok" if there else "missing" for name, there in health.parts.items()}
        return cls(status=status, checks=checks, missing=health.missing)


@get("/live", include_in_schema=False)
async def live() -> Response[bytes]:
    """Say that the process runs and answers; whatever else is wrong, a new start would not cure it."""
    return _answer({"status": "ok"}, 200)


@get("/ready", include_in_schema=False)
async def ready(request: Request[object, object, State]) -> Response[bytes]:
    """Say whether requests can be answered, and what is missing."""
    watch: Watch = request.app.state.watch
    found = await watch.look()
    return _answer(HealthAnswer.of(found), 200 if found.ready else 503)


def _answer(body: object, status: int) -> Response[bytes]:
    headers = dict(_HEADERS) if status == 200 else {**_HEADERS, "Retry-After": "1"}
    return Response(codec.encode(body), status_code=status, media_type="application/json", headers=headers)


def health_routes() -> Router:
    """Return the routes of health."""
    return Router("/health", route_handlers=[live, ready])
