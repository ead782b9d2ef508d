"""Writing documents."""

from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain import errors
from app.domain.model import PROJECT_KIND
from app.domain.names import document_name
from app.services import documents as service
from app.services.documents import ANY, Expected, Written
from schema.context import Context, Info
from schema.describe import mutation, present
from schema.documents import ResolvedDocument
from schema.errors import Forbidden, InvalidTransition, NotFound, PatchTestFailed, ValidationFailed, VersionConflict
from schema.history import ChangeNode
from schema.inputs import ContextInput
from schema.scalars import JSON, JSONPointer, given


@strawberry.input(one_of=True, description="How to change the document: exactly one of these.")
class PatchInput:
    put: JSON | None = strawberry.field(default=strawberry.UNSET, description="The value that replaces what is there.")
    put_null: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="True: JSON's `null` replaces what is there, which `put` cannot say in an input of this kind.",
    )
    merge: JSON | None = strawberry.field(
        default=strawberry.UNSET, description="A JSON Merge Patch (RFC 7396): objects merge, `null` removes."
    )
    json_patch: JSON | None = strawberry.field(
        default=strawberry.UNSET, description="A JSON Patch (RFC 6902): an array of operations, all done or none."
    )


@strawberry.input(description="What to write, and where.")
class WriteDocumentInput(ContextInput):
    env_uuid: UUID | None = strawberry.field(
        default=None,
        description="Environment to write to; left out: the one that the request names, else production.",
    )
    kind: str = strawberry.field(default=PROJECT_KIND, description="Kind of the document.")
    key: str | None = strawberry.field(
        default=None, description="Key of the document; only `project` may leave it out."
    )
    path: JSONPointer = strawberry.field(
        default=JSONPointer(()), description="Where in the document to write; left out: the whole document."
    )
    patch: PatchInput = strawberry.field(description="What to write.")
    expected_version: str | None = strawberry.field(
        default=None, description="Write only if this is the document's version; left out: whatever it is."
    )
    expected_exists: bool | None = strawberry.field(
        default=None, description="Write only if the document is there (true) or is not (false)."
    )


@strawberry.input(description="Which document to delete.")
class DeleteDocumentInput(ContextInput):
    env_uuid: UUID | None = strawberry.field(
        default=None,
        description="Environment to hide it in; left out: the one that the request names, else production.",
    )
    kind: str = strawberry.field(description="Kind of the document.")
    key: str = strawberry.field(description="Key of the document.")
    expected_version: str | None = strawberry.field(
        default=None, description="Delete only if this is the document's version; left out: whatever it is."
    )


@strawberry.type(description="The document is as it was to be.")
class WriteDocumentPayload:
    document: ResolvedDocument = strawberry.field(description="The document as the environment shows it now.")
    change: ChangeNode | None = strawberry.field(description="What was recorded; null if it was so already.")
    created: bool = strawberry.field(description="Whether the environment showed no such document before.")


@strawberry.type(description="The environment shows the document no more.")
class DeleteDocumentPayload:
    change: ChangeNode | None = strawberry.field(description="What was recorded.")


WriteDocumentResult: TypeAlias = Annotated[
    WriteDocumentPayload
    | VersionConflict
    | PatchTestFailed
    | InvalidTransition
    | NotFound
    | Forbidden
    | ValidationFailed,
    strawberry.union("WriteDocumentResult", description="The document, or why it was not written."),
]
DeleteDocumentResult: TypeAlias = Annotated[
    DeleteDocumentPayload | VersionConflict | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("DeleteDocumentResult", description="What was deleted, or why nothing was."),
]


@strawberry.type
class DocumentMutation:
    @mutation
    async def write_document(self, info: Info, input: WriteDocumentInput) -> WriteDocumentResult:  # noqa: A002
        """Replace, merge or patch a document, or a part of it, in an environment or in production."""
        done = await _write(info.context, input)
        return WriteDocumentPayload(
            document=ResolvedDocument.of(done.document),
            change=ChangeNode.of(done.change) if done.change else None,
            created=done.created,
        )

    @mutation
    async def delete_document(self, info: Info, input: DeleteDocumentInput) -> DeleteDocumentResult:  # noqa: A002
        """Hide a document in an environment; in production, delete it. The project document stays."""
        context = info.context
        done = await service.delete(
            context.actor,
            await context.project_id(input.project_id, input.env_uuid),
            context.reference(input.env_uuid),
            *document_name(input.kind, input.key),
            expected=Expected(version=input.expected_version) if input.expected_version is not None else ANY,
        )
        return DeleteDocumentPayload(change=ChangeNode.of(done.change) if done.change else None)


async def _write(context: Context, wanted: WriteDocumentInput) -> Written:
    project_id = await context.project_id(wanted.project_id, wanted.env_uuid)
    env = context.reference(wanted.env_uuid)
    kind, key = document_name(wanted.kind, wanted.key)
    expected = Expected(version=wanted.expected_version, exists=wanted.expected_exists)
    actor, path, patch = context.actor, wanted.path, wanted.patch
    if (merge := present(patch.merge)) is not None:
        return await service.merge(actor, project_id, env, kind, key, given(merge), path=path, expected=expected)
    if (operations := present(patch.json_patch)) is not None:
        return await service.patch(actor, project_id, env, kind, key, given(operations), path=path, expected=expected)
    put = present(patch.put)
    if put is None and present(patch.put_null) is not True:
        raise errors.ValidationFailed("'putNull' says true or is left out.", field="patch")
    value = given(put) if put is not None else None
    return await service.put(actor, project_id, env, kind, key, value, path=path, expected=expected)
