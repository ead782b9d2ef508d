"""The description of the REST door, generated from its code: ``/docs/openapi.json``, shown at ``/docs``."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Schema,
    SecurityScheme,
    Tag,
)
from litestar.openapi.spec.enums import OpenAPIType
from litestar.types import Method

from app.rest.request_id import HEADER
from app.rest.static import DocsPage, docs_router

_DESCRIPTION: Final = """Fork a project's JSON data into environments; edit, compare, checkpoint and roll back.

Send `Authorization: Bearer …` with a token of `/api/auth/login` or an API key of the project. The environment of a
request is `X-AgentStack-Env` (name or UUID), else `?env=`, else the one you chose with `/api/sandbox/active-env`, else
production. Refusals have one shape: `error` (a stable code), `message`, fields of their own, and `request_id`."""

_TAGS: Final = {
    "Accounts": "Accounts and tokens.",
    "Projects": "Projects and their API keys.",
    "Members": "Who may do what in a project, and invitations.",
    "Documents": "JSON documents, one by one and in bulk, in the environment of the request.",
    "Environments": "Forking a project, listing, changing and archiving environments.",
    "Protected fields": "Comparing with values that are encrypted and not shown.",
    "Checkpoints": "Whole snapshots of an environment, rollbacks to them, and pins for review links.",
    "Backups": "Whole snapshots of production.",
    "Tree and differences": "The tree of generations, and what differs between two states.",
    "Plans": "What the project's plan allows, and what of it is in use.",
    "Flags": "What a user gets, for every OpenFeature SDK (Remote Evaluation Protocol 0.3), and why.",
    "Promotion": "Bringing an environment's changes to production, step by step or at once.",
    "Releases": "What went to production, compared and undone.",
    "A/B tests": "Two environments compared by what their users do.",
    "Segments": "Users that match rules.",
    "Generations": "Promotion as existing client libraries call it.",
    "Settings": "What the project's owners decide about how it works.",
    "Events": "Following a project as it changes.",
    "History": "What changed, who set a value, and dropping overrides.",
    "Webhooks": "Telling other programs what happens in a project.",
    "Audit": "Who did what, when and from where; append-only.",
}
_REFUSALS: Final = {
    "400": "The request cannot be read: not JSON, a bad parameter, parts that contradict each other.",
    "401": "No token, or one that is not valid.",
    "403": "The caller may not do this, or the project's plan does not allow it.",
    "404": "There is no such thing, or not for this caller.",
    "409": "The present state does not allow it.",
    "412": "The document has changed since it was read.",
    "413": "The body is too large.",
    "415": "The body has a media type that is not taken here.",
    "422": "The request can be read, but its content cannot be used.",
    "429": "Too many of them lately; `Retry-After` says how many seconds to wait.",
    "500": "Our mistake; the request id finds it.",
    "503": "The database cannot be reached at the moment.",
}


def openapi_config() -> OpenAPIConfig:
    """Return the configuration of ``/docs`` and ``/docs/openapi.json``."""
    return OpenAPIConfig(
        title="Strata",
        version=_version(),
        description=_DESCRIPTION,
        tags=[Tag(name=name, description=text) for name, text in _TAGS.items()],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http", scheme="bearer", description="A user's token, or a project API key."
                )
            },
            responses={status: _refusal(text) for status, text in _REFUSALS.items()},
        ),
        use_handler_docstrings=True,
        operation_id_creator=_operation_id,
        openapi_router=docs_router(),
        render_plugins=[DocsPage(), JsonRenderPlugin(path="/openapi.json")],
    )


def _version() -> str:
    try:
        return version("strata")
    except PackageNotFoundError:
        return "0"


def _operation_id(handler: HTTPRouteHandler, _method: Method, _path: list[Any]) -> str:
    first, *more = handler.handler_name.strip("_").split("_")
    return first + "".join(word.title() for word in more)


def _refusal(description: str) -> OpenAPIResponse:
    text = Schema(type=OpenAPIType.STRING)
    body = Schema(
        type=OpenAPIType.OBJECT,
        required=["error", "message", "request_id"],
        properties={"error": text, "message": text, "request_id": text},
    )
    return OpenAPIResponse(
        description=description,
        content={"application/json": OpenAPIMediaType(schema=body)},
        headers={HEADER: OpenAPIHeader(schema=text, description="Also in the body and in the log.")},
    )
