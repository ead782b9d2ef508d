"""Documents: the project document at ``…/data``, all others at ``…/entities/{kind}/{key}``."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from litestar import HttpMethod, Response, Router, delete, get, patch, put, route
from litestar.exceptions import MethodNotAllowedException
from litestar.params import FromPath, QueryParameter

from app.domain.errors import BadRequest
from app.domain.rates import RateClass
from app.rest.answers import DocumentAnswer, Documents
from app.rest.context import admit, decrypts
from app.rest.document_answer import DocumentResponse, at_path, write_answer
from app.rest.metering import RATE, settle
from app.rest.operations import DocumentDelete, DocumentPatch, DocumentPut, DocumentRead, EntityList
from app.rest.parameters import (
    AsOf,
    Caller,
    Condition,
    Cursor,
    DocumentAddress,
    InDocument,
    InEnvironment,
    Limit,
    Moment,
    Place,
    ProjectId,
    address_of,
    moment,
    place,
    rules,
)
from app.rest.preconditions import IfNoneMatch, etag
from app.rest.request import JSON, JSON_PATCH, MERGE_PATCH, StrictRequest, environment_reference
from app.services import document_bodies, documents, protected, routing
from app.services.documents import Written

_PATCHES: Final[dict[str, Callable[..., Awaitable[Written]]]] = {
    MERGE_PATCH: documents.merge,
    JSON_PATCH: documents.patch,
    JSON: documents.merge,
}
_DATA: Final = "/{project_id:str}/data"
_ENTITY: Final = "/{project_id:str}/entities/{kind:str}/{key:path}"
_KIND: Final = "/{project_id:str}/entities/{kind:str}"
_OF_KIND: Final = "GET, OPTIONS"
_OF_ENTITY: Final = "DELETE, GET, OPTIONS, PATCH, PUT"
_CONDITIONAL: Final = {RATE: RateClass.CONDITIONAL}

Decrypt = Annotated[
    str | None,
    QueryParameter(
        description="`true`: with protected values. For owners and admins with a user's token, in production; recorded."
    ),
]
ForUser = Annotated[
    str | None,
    QueryParameter(
        name="user_uuid",
        description="The user to read for: with the project's `canary_auto_route`, in the environment that serves it.",
    ),
]
Filter = Annotated[
    str | None,
    QueryParameter(name="filter", description='A JSON array of rules as in a segment: `[{"field", "op", "value"}]`.'),
]


async def _get_document(
    request: StrictRequest,
    project_id: ProjectId,
    as_of: AsOf = None,
    path: InDocument = None,
    user_uuid: ForUser = None,
    if_none_match: IfNoneMatch = None,
    decrypt_protected: Decrypt = None,
) -> DocumentResponse:
    """Show a document, or what stands at `path` of it."""
    # Reads its context without dependencies: providing them would cost more than reading the document.
    env = environment_reference(request)
    if decrypts(request):
        if as_of is not None:
            raise BadRequest("Protected fields are decrypted as they are now.", parameter="as_of")
        shown = await protected.read(*address_of(request, project_id, request.actor, env))
        return DocumentResponse(at_path(shown.state, place(path)), shown.version, None, secret=True)
    if user_uuid is not None:
        env = await routing.env_for_reading(request.actor, project_id, env, user_uuid)
    address = address_of(request, project_id, request.actor, env)
    if path:
        document = await documents.read(*address, at=moment(as_of))
        answer = DocumentResponse(at_path(document.state, place(path)), document.version, if_none_match)
    else:
        body = await document_bodies.read(*address, at=moment(as_of))
        answer = DocumentResponse(body.content, body.version, if_none_match)
    if if_none_match is not None and answer.status_code != 304:
        await settle(request)
    return answer


async def _put_document(
    request: StrictRequest, address: DocumentAddress, below: Place, expected: Condition
) -> Response[Any]:
    """Replace a document, or what stands at `path` of it.

    Answers 201 where there was none. `If-None-Match: *` makes it create only.
    """
    value = await request.value([JSON])
    return write_answer(await documents.put(*address, value, path=below, expected=expected), below)


async def _patch_document(
    request: StrictRequest, address: DocumentAddress, below: Place, expected: Condition
) -> Response[Any]:
    """Change a document by a merge patch (RFC 7396) or a JSON patch (RFC 6902).

    Without `If-Match`, concurrent changes to different fields are all kept.
    """
    value = await request.value(list(_PATCHES))
    apply = _PATCHES[request.expect_media_type(list(_PATCHES))]
    return write_answer(await apply(*address, value, path=below, expected=expected), below)


async def _delete_document(address: DocumentAddress, expected: Condition) -> Response[None]:
    """Hide a document in this environment; delete it, in production."""
    await documents.delete(*address, expected=expected)
    return Response(None)


@get(_KIND, operation_class=EntityList)
async def list_entities(
    request: StrictRequest,
    project_id: ProjectId,
    kind: FromPath[str],
    actor: Caller,
    env: InEnvironment,
    at: Moment,
    filter_: Filter = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Documents | Response[Any]:
    """List the documents of a kind by key, or those that match a filter."""
    # The router takes a key of nothing but slashes for no key.
    kind, key = request.document_name()
    if key:
        body = await document_bodies.read(actor, project_id, env, kind, key, at=at)
        return Response(body.content, media_type=JSON, headers={"ETag": etag(body.version)})
    page = await documents.list_documents(
        actor, project_id, env, kind, limit=limit, cursor=cursor, at=at, rules=rules(filter_)
    )
    return Documents(entities=[DocumentAnswer.of(item) for item in page.items], next_cursor=page.next_cursor)


async def _admit_with_key(request: StrictRequest) -> None:
    """Let in who has a token and names a document, and not only a kind; a ``before_request`` hook."""
    await admit(request)
    _, key = request.document_name()
    if not key:
        raise MethodNotAllowedException(headers={"allow": _OF_KIND})


@route(_KIND, http_method=[HttpMethod.OPTIONS], status_code=204, include_in_schema=False)
async def _show_methods(request: StrictRequest) -> Response[None]:
    """Say what can be done at an address that looks like one of a kind."""
    _, key = request.document_name()
    return Response(None, headers={"Allow": _OF_ENTITY if key else _OF_KIND})


_HIDDEN: Final[Any] = {"include_in_schema": False, "before_request": _admit_with_key}


def document_routes() -> Router:
    """Return the routes of documents.

    The router cannot tell a key of nothing but slashes from none, so writes to such keys end at ``_KIND``.
    """
    return Router(
        "/api/projects",
        route_handlers=[
            _show_methods,
            get(_DATA, operation_id="getData", operation_class=DocumentRead, opt=_CONDITIONAL)(_get_document),
            put(_DATA, operation_id="putData", operation_class=DocumentPut)(_put_document),
            patch(_DATA, operation_id="patchData", operation_class=DocumentPatch)(_patch_document),
            get(_ENTITY, operation_id="getEntity", operation_class=DocumentRead, opt=_CONDITIONAL)(_get_document),
            put(_ENTITY, operation_id="putEntity", operation_class=DocumentPut)(_put_document),
            patch(_ENTITY, operation_id="patchEntity", operation_class=DocumentPatch)(_patch_document),
            delete(_ENTITY, operation_id="deleteEntity", operation_class=DocumentDelete, status_code=204)(
                _delete_document
            ),
            list_entities,
            put(_KIND, **_HIDDEN)(_put_document),
            patch(_KIND, **_HIDDEN)(_patch_document),
            delete(_KIND, status_code=204, **_HIDDEN)(_delete_document),
        ],
        tags=["Documents"],
    )
