"""Values that were not the protected one, as all processes count them: where, and who asked."""

import hmac
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.domain.pointer import Path, format_pointer
from app.storage import db, master_key

WINDOW_SECONDS: Final = 900
_HASH_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Field:
    """A protected place of one document, in whatever environment: its values are guessed there alike."""

    project_id: int
    digest: bytes

    @classmethod
    def of(cls, project_id: int, kind: str, key: str, place: Path) -> "Field":
        """Return the field at ``place`` of a document, whether or not there is one."""
        text = f"{project_id}\0{kind}\0{key}\0{format_pointer(place)}".encode()
        secret = master_key.current().derive("names of protected fields")
        return cls(project_id, hmac.digest(secret, text, "sha256")[:_HASH_BYTES])


async def lock(field: Field) -> None:
    """Let others who ask for the field wait until this transaction ends."""
    await db.execute("SELECT pg_advisory_xact_lock($1)", int.from_bytes(field.digest[:8], signed=True))


async def recent(field: Field, principal_uuid: UUID) -> tuple[list[float], list[float]]:
    """Return how many seconds ago the misses of the last 15 minutes were, latest first: one's own, and everybody's."""
    rows = await db.fetch(
        "SELECT principal_uuid = $3 AS own, extract(epoch FROM clock_timestamp() - missed_at)::float8 AS age"
        " FROM protected_miss WHERE project_id = $1 AND field_hash = $2"
        f" AND missed_at > clock_timestamp() - interval '{WINDOW_SECONDS} seconds' ORDER BY missed_at DESC",
        field.project_id,
        field.digest,
        principal_uuid,
    )
    return [row["age"] for row in rows if row["own"]], [row["age"] for row in rows]


async def add(field: Field, principal_uuid: UUID) -> None:
    """Count a miss; those that no limit looks at any more are dropped."""
    await db.execute(
        "WITH dropped AS (DELETE FROM protected_miss WHERE project_id = $1 AND field_hash = $2"
        f"  AND missed_at <= clock_timestamp() - interval '{WINDOW_SECONDS} seconds')"
        " INSERT INTO protected_miss (project_id, field_hash, principal_uuid) VALUES ($1, $2, $3)",
        field.project_id,
        field.digest,
        principal_uuid,
    )
