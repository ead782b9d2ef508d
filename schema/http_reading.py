"""Reading GraphQL requests from HTTP, strictly."""

from collections.abc import Mapping
from typing import Any

from litestar import Request

from app.domain.errors import BadRequest, UnsupportedMediaType
from app.domain.json_text import parse_json
from app.domain.values import Value
from schema.asked import Asked, asked_of
from schema.negotiation import JSON

AnyRequest = Request[Any, Any, Any]


async def read(request: AnyRequest) -> Asked:
    """Return what is asked. Raises MalformedJson, BadRequest, UnsupportedMediaType."""
    return asked_of(_read_address(request) if request.method == "GET" else await _read_body(request))


def _read_address(request: AnyRequest) -> Mapping[str, Any]:
    asked: dict[str, Value] = dict(request.query_params)
    for member in ("variables", "extensions"):
        text = asked.get(member)
        if isinstance(text, str):
            asked[member] = parse_json(text) if text else None
    return asked


async def _read_body(request: AnyRequest) -> Mapping[str, Any]:
    if request.content_type[0] != JSON:
        raise UnsupportedMediaType(f"A GraphQL request has the Content-Type {JSON}.")
    asked = parse_json(await request.body())
    if not isinstance(asked, dict):
        raise BadRequest("A GraphQL request is an object with 'query', and 'variables' if it has any.")
    return asked
