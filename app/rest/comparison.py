"""``/api/sandbox``: the tree of generations, and differences."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get
from litestar.openapi import ResponseSpec
from litestar.params import FromQuery, QueryParameter

from app.domain.document_patch import as_json_patch
from app.rest.comparison_answers import Diff, EnvironmentDiffAnswer
from app.rest.context import project_of_root
from app.rest.generation_answers import FlatTree, NestedNode, Node, nested
from app.rest.parameters import Caller, Cursor, ImpliedProjectId, Limit, Table, kind_of_table
from app.rest.request import JSON, JSON_PATCH
from app.rest.response import JsonResponse
from app.services import comparison, tree
from app.storage.codec import encode


class TreeFormat(StrEnum):
    NESTED = "nested"
    FLAT = "flat"


class DiffFormat(StrEnum):
    GUIDE = "guide"
    JSON_PATCH = "json-patch"


@get("/tree", responses={200: ResponseSpec(NestedNode | FlatTree, False, "The tree.")})
async def get_tree(
    actor: Caller,
    project_id: ImpliedProjectId = None,
    root_uuid: Annotated[
        UUID | None, QueryParameter(description="A generation or an anchor; production without it.")
    ] = None,
    table: Table = None,
    format_: Annotated[TreeFormat, QueryParameter(name="format")] = TreeFormat.NESTED,
) -> Response[Any]:
    """Show the tree of generations, for visualisation."""
    kind_of_table(table)
    nodes = await tree.tree(actor, await project_of_root(actor, project_id, root_uuid), root_uuid)
    content = encode(FlatTree(nodes=[Node.of(node) for node in nodes])) if format_ is TreeFormat.FLAT else nested(nodes)
    return JsonResponse(content, media_type=JSON)


@get("/diff", responses={200: ResponseSpec(Diff, False, "The difference; with `format=json-patch`, a JSON patch.")})
async def get_diff(
    uuid_a: FromQuery[UUID],
    uuid_b: FromQuery[UUID],
    actor: Caller,
    project_id: ImpliedProjectId = None,
    table: Table = None,
    key: Annotated[
        str | None, QueryParameter(description="The document to compare, where a UUID names a whole generation.")
    ] = None,
    format_: Annotated[DiffFormat, QueryParameter(name="format")] = DiffFormat.GUIDE,
) -> Response[Any]:
    """Compare a document in two states; each UUID is a layer, entity, generation, checkpoint, pin or anchor."""
    compared = await comparison.diff(actor, uuid_a, uuid_b, kind=kind_of_table(table), key=key, project_id=project_id)
    if format_ is DiffFormat.JSON_PATCH:
        return JsonResponse(encode(as_json_patch(compared.old, compared.difference.patch)), media_type=JSON_PATCH)
    return JsonResponse(encode(Diff.of(compared.difference)), media_type=JSON)


@get("/environment/diff")
async def get_environment_diff(
    env_uuid: FromQuery[UUID],
    actor: Caller,
    project_id: ImpliedProjectId = None,
    against: Annotated[
        UUID | None, QueryParameter(description="A generation, checkpoint, pin or anchor; production without it.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> EnvironmentDiffAnswer:
    """List all documents in which an environment differs, counts first."""
    diff = await comparison.environment_diff(
        actor, env_uuid, against=against, limit=limit, cursor=cursor, project_id=project_id
    )
    return EnvironmentDiffAnswer.of(diff)


def comparison_routes() -> Router:
    """Return the routes of tree and differences."""
    return Router(
        "/api/sandbox", route_handlers=[get_tree, get_diff, get_environment_diff], tags=["Tree and differences"]
    )
