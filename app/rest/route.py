"""``/api/sandbox/route``: which environment serves a user; polled by gateways, so mostly answered with 304."""

import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import Request, Router, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIHeader, OpenAPIResponse, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import QueryParameter
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Receive, Scope, Send

from app.domain.rates import RateClass
from app.domain.routing import Reason, Route, check_user
from app.domain.values import Value
from app.rest.answers import Answer
from app.rest.context import admit, implied_project
from app.rest.document_answer import CACHING, DocumentResponse
from app.rest.metering import RATE
from app.rest.operations import ApiOperation
from app.rest.parameter_shapes import CONTEXT
from app.rest.parameters import ImpliedProjectId
from app.rest.preconditions import IfNoneMatch, etag
from app.rest.request import StrictRequest, environment_reference
from app.services import routing
from app.services.routing import Snapshot
from app.storage.codec import encode

TAG: Final = OpenAPIHeader(
    schema=Schema(type=OpenAPIType.STRING),
    description="Changes with the environment, the reason and the weight; `If-None-Match` takes it as it stands.",
)
User = Annotated[str, QueryParameter(name="user_uuid", description="The user, 1 to 256 characters, taken as they are.")]


# What the weight is made of does not depend on the user, so one tag serves all who go the same way.
_MAX_TAGS: Final = 100


_TAG_HEADER: Final = b"if-none-match"
_TELLING: Final = frozenset({_TAG_HEADER, b"x-agentstack-env"})


class RolloutUnderWay(Answer):
    """`next_step_at` is when the pause of its step is over, null where time is not what it waits for."""

    env_uuid: UUID
    env_name: str
    traffic_weight: int
    next_step_at: datetime | None


class RouteAnswer(Answer):
    """`reason` is the first that holds. `traffic_weight` is that of the rollout under way, in percent, else 0.

    `bucket` is the user's in that rollout, 0 to 9,999: it serves those below `traffic_weight` times 100.
    """

    user_uuid: str
    env_uuid: UUID
    env_name: str
    reason: Reason
    traffic_weight: int
    rollout: RolloutUnderWay | None
    bucket: int | None
    test_id: UUID | None
    variant: str | None
    segment_id: UUID | None


class Unchanged(ASGIResponse):
    """304: the busiest answer of all. A gateway asks at every request of its own."""

    def __init__(self, tag: bytes) -> None:
        self.headers_sent = [(b"etag", tag), *CACHING]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the tag and nothing else."""
        await send({"type": "http.response.start", "status": 304, "headers": self.headers_sent})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _shown(found: Snapshot, way: Route, user: str) -> dict[str, Value]:
    canary = found.canary
    rollout: Value = None
    if canary is not None:
        next_step_at = found.next_step_at
        rollout = {
            "env_uuid": str(canary.place.env_uuid),
            "env_name": canary.place.env_name,
            "traffic_weight": canary.weight,
            "next_step_at": next_step_at.isoformat().replace("+00:00", "Z") if next_step_at else None,
        }
    return {
        "user_uuid": user,
        "env_uuid": str(way.place.env_uuid),
        "env_name": way.place.env_name,
        "reason": way.reason.value,
        "traffic_weight": canary.weight if canary else 0,
        "rollout": rollout,
        "bucket": way.bucket,
        "test_id": str(way.experiment.test_uuid) if way.experiment else None,
        "variant": way.experiment.variant if way.experiment else None,
        "segment_id": str(way.segment.segment_id) if way.segment else None,
    }


def _tag(found: Snapshot, way: Route) -> bytes:
    test, segment = way.experiment, way.segment
    key = (way.reason, way.place.env_uuid, test.variant if test else segment.segment_id if segment else None)
    tag = found.tags.get(key)
    if tag is None:
        # All that an answer says, but for the user, which the address says.
        said = {**_shown(found, way, ""), "bucket": None}
        tag = etag(sha256(encode(said)).hexdigest()[:24]).encode()
        if len(found.tags) < _MAX_TAGS:
            found.tags[key] = tag
    return tag


@dataclass
class RouteRead(ApiOperation):
    """Asking where a user goes."""

    def describe(self) -> None:
        """Add 304, and the context that the handler reads by itself."""
        self.parameters = [*(self.parameters or ()), *CONTEXT]
        assert self.responses is not None
        answer = self.responses["200"]
        assert isinstance(answer, OpenAPIResponse)
        answer.headers = {"ETag": TAG}
        self.responses["304"] = OpenAPIResponse(description="`If-None-Match` names this answer.", headers={"ETag": TAG})


def answering_known(app: ASGIApp) -> ASGIApp:
    """Let in who has a token; answer at once where nothing has changed, as nearly always. A middleware of the route.

    What is not as simple as most requests are, is left to the handler. Raises as ``admit`` does, and ProjectNotFound,
    Forbidden.
    """

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        request = StrictRequest(scope, receive, send)
        await admit(request)
        answer = await _unchanged(request)
        await (app if answer is None else answer)(scope, receive, send)

    return run


async def _unchanged(request: StrictRequest) -> Unchanged | None:
    asked = _plain(request)
    if asked is None:
        return None
    project_id, user, known = asked
    found = await routing.known(request.actor, project_id)
    tag = _tag(found, await routing.way(found, project_id, user))
    return Unchanged(tag) if tag == known else None


async def admitted(_: Request[Any, Any, Any]) -> None:
    """Nothing is left to do before the handler; a ``before_request`` hook in place of the door's."""


def _plain(request: StrictRequest) -> tuple[int, str, bytes] | None:
    """Return project, user and ``If-None-Match``, if a request says that and nothing else that matters."""
    query: bytes = request.scope["query_string"]
    if b"%" in query or b"+" in query or not query.isascii():
        return None
    telling = [header for header in request.scope["headers"] if header[0] in _TELLING]
    if len(telling) != 1 or telling[0][0] != _TAG_HEADER:
        return None
    found = _plain_query(query)
    if found is None:
        return None
    before, user, after = found.groups()
    project = before or after
    if (before and after) or not (project or request.actor.is_key):
        return None
    return int(project) if project else request.actor.project_id or 0, user.decode(), telling[0][1]


_plain_query = re.compile(
    rb"(?:project_id=([1-9][0-9]{0,8})&)?user_uuid=([^&=]{1,256})(?:&project_id=([1-9][0-9]{0,8}))?"
).fullmatch


@get(
    "/route",
    operation_class=RouteRead,
    middleware=[answering_known],
    before_request=admitted,
    opt={RATE: RateClass.OFTEN},
    responses={200: ResponseSpec(RouteAnswer, generate_examples=False)},
)
async def get_route(
    request: StrictRequest,
    user_uuid: User,
    project_id: ImpliedProjectId = None,
    if_none_match: IfNoneMatch = None,
) -> DocumentResponse:
    """Say which environment serves a user: the one the request names, else by experiment, rollout, segment.

    The `ETag` changes when the answer does, so that a gateway polls with `If-None-Match` and is answered 304. It is
    never more than a second behind.
    """
    actor = request.actor
    project = implied_project(actor, project_id)
    user, named = check_user(user_uuid), environment_reference(request)
    found = await routing.known(actor, project)
    place = await routing.explicit(actor, project, named) if named is not None else None
    way = await routing.way(found, project, user, place)
    version = _tag(found, way).decode().strip('"')
    return DocumentResponse(encode(_shown(found, way, user)), version, if_none_match)


def route_routes() -> Router:
    """Return the route of routes."""
    return Router("/api/sandbox", route_handlers=[get_route], tags=["Promotion"])
