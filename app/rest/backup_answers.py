"""Answers about backups of production."""

from datetime import datetime
from uuid import UUID

from app.domain.model import Generation
from app.rest.answers import Answer
from app.services.backups import Restored


class Backup(Answer):
    backup_uuid: UUID
    project_id: int
    label: str | None
    entities: int
    created_at: datetime

    @classmethod
    def of(cls, generation: Generation) -> "Backup":
        """Return the answer for a backup."""
        return cls(
            backup_uuid=generation.uuid,
            project_id=generation.project_id,
            label=generation.label,
            entities=generation.entity_count,
            created_at=generation.created_at,
        )


class Backups(Answer):
    backups: list[Backup]
    next_cursor: str | None


class RestoredAnswer(Answer):
    """How many production documents the restore made, changed and deleted."""

    backup_uuid: UUID
    created: int
    changed: int
    deleted: int

    @classmethod
    def of(cls, restored: Restored) -> "RestoredAnswer":
        """Return the answer to a restore."""
        return cls(
            backup_uuid=restored.generation.uuid,
            created=restored.created,
            changed=restored.changed,
            deleted=restored.deleted,
        )
