"""Importing a list of documents: all of them or none."""

from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.services import transfer
from app.services.transfer import Imported
from app.storage.codec import encode
from schema.context import Info
from schema.describe import mutation
from schema.errors import Forbidden, InvalidTransition, NotFound, ValidationFailed
from schema.inputs import ContextInput
from schema.scalars import JSON


@strawberry.input(description="A document to import.")
class ImportedDocumentInput:
    kind: str = strawberry.field(description="Kind of the document.")
    key: str = strawberry.field(description="Key of the document.")
    data: JSON = strawberry.field(description="The whole document.")


@strawberry.input(description="Documents to replace or to make, each named once.")
class ImportDocumentsInput(ContextInput):
    env_uuid: UUID | None = strawberry.field(
        default=None, description="Environment to write to; left out: the one that the request names, else production."
    )
    documents: list[ImportedDocumentInput] = strawberry.field(
        description="The documents, at most 250; REST takes any number of them."
    )


@strawberry.type(description="The documents are there; counts are of documents.")
class ImportDocumentsPayload:
    created: int = strawberry.field(description="Those that were made.")
    changed: int = strawberry.field(description="Those that were there and are another now.")
    unchanged: int = strawberry.field(description="Those that were there as they are.")

    @classmethod
    def of(cls, done: Imported) -> "ImportDocumentsPayload":
        return cls(created=done.created, changed=done.changed, unchanged=done.unchanged)


ImportDocumentsResult: TypeAlias = Annotated[
    ImportDocumentsPayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("ImportDocumentsResult", description="What was imported, or why nothing was."),
]


@strawberry.type
class TransferMutation:
    @mutation
    async def import_documents(
        self,
        info: Info,
        input: ImportDocumentsInput,  # noqa: A002
    ) -> ImportDocumentsResult:
        """Replace or make documents in an environment: all of them, or none."""
        project_id = await info.context.project_id(input.project_id, input.env_uuid)
        env = info.context.reference(input.env_uuid)
        lines = [encode({"kind": item.kind, "key": item.key, "data": item.data}) + b"\n" for item in input.documents]
        digest = sha256(b"".join(lines)).hexdigest()
        return ImportDocumentsPayload.of(
            await transfer.import_documents(info.context.actor, project_id, env, _streamed(lines), digest)
        )


async def _streamed(lines: Sequence[bytes]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line
