"""Backups of production, and restoring it."""

from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.services import backups as service
from schema.context import Info
from schema.describe import mutation
from schema.errors import Forbidden, InvalidTransition, NotFound, ValidationFailed
from schema.generations import GenerationNode
from schema.inputs import MutationInput


@strawberry.input(description="The backup to take.")
class BackupProductionInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    label: str | None = strawberry.field(default=None, description="What to call it, 1 to 200 characters.")


@strawberry.input(description="Names a document.")
class DocumentNameInput:
    kind: str = strawberry.field(description="Kind of the document.")
    key: str = strawberry.field(description="Key of the document within its kind.")


@strawberry.input(description="What to restore.")
class RestoreProductionInput(MutationInput):
    project_id: int = strawberry.field(description="Number of the project.")
    backup_uuid: UUID = strawberry.field(description="The backup.")
    entities: list[DocumentNameInput] | None = strawberry.field(
        default=None,
        description="Only these documents; left out: all of production, and what the backup does not have is deleted.",
    )


@strawberry.type(description="The backup was taken.")
class BackupProductionPayload:
    backup: GenerationNode = strawberry.field(description="The backup.")
    entities: int = strawberry.field(description="Number of documents in it.")


@strawberry.type(description="Production was restored; each document is one change, so this can be undone.")
class RestoreProductionPayload:
    backup: GenerationNode = strawberry.field(description="The backup that was restored.")
    created: int = strawberry.field(description="Number of documents that are there again.")
    changed: int = strawberry.field(description="Number of documents that have their old content again.")
    deleted: int = strawberry.field(description="Number of documents that the backup does not have.")


BackupProductionResult: TypeAlias = Annotated[
    BackupProductionPayload | NotFound | Forbidden | ValidationFailed,
    strawberry.union("BackupProductionResult", description="The backup, or why there is none."),
]
RestoreProductionResult: TypeAlias = Annotated[
    RestoreProductionPayload | InvalidTransition | NotFound | Forbidden | ValidationFailed,
    strawberry.union("RestoreProductionResult", description="What was restored, or why nothing was."),
]


@strawberry.type
class BackupMutation:
    @mutation
    async def backup_production(
        self,
        info: Info,
        input: BackupProductionInput,  # noqa: A002
    ) -> BackupProductionResult:
        """Take a snapshot of production that can be restored."""
        made = await service.backup(info.context.actor, input.project_id, input.label)
        return BackupProductionPayload(backup=GenerationNode.of(made), entities=made.entity_count)

    @mutation
    async def restore_production(
        self,
        info: Info,
        input: RestoreProductionInput,  # noqa: A002
    ) -> RestoreProductionResult:
        """Make production what it was at a backup, all of it or some documents. For owners and admins."""
        wanted = None if input.entities is None else [(entity.kind, entity.key) for entity in input.entities]
        done = await service.restore(info.context.actor, input.project_id, input.backup_uuid, wanted)
        return RestoreProductionPayload(
            backup=GenerationNode.of(done.generation),
            created=done.created,
            changed=done.changed,
            deleted=done.deleted,
        )
