"""The key pairs that sign access tokens; their private halves are sealed with the master key."""

from dataclasses import dataclass
from typing import Final

from app.storage import db

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('signing_key'))"
_IN_USE: Final = "(retires_at IS NULL OR retires_at > clock_timestamp())"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key; ``kid`` stands in the header of the tokens it signed.

    ``signs`` is False while it is so new that some process may not know it yet.
    """

    kid: str
    sealed_private: bytes
    signs: bool


async def in_use() -> list[SigningKey]:
    """Return the keys whose tokens are taken, newest first."""
    rows = await db.fetch(
        "SELECT kid, sealed_private, signs_from <= clock_timestamp() AS signs FROM signing_key"
        f" WHERE {_IN_USE} ORDER BY signs_from DESC, kid"
    )
    return [SigningKey(row["kid"], row["sealed_private"], row["signs"]) for row in rows]


async def add_first(kid: str, sealed_private: bytes) -> None:
    """Insert the key unless there is one already, also when several processes start at once."""
    await db.execute(
        f"WITH lock AS MATERIALIZED ({_LOCK}) INSERT INTO signing_key (kid, sealed_private, signs_from)"
        f" SELECT $1, $2, clock_timestamp() FROM lock WHERE NOT EXISTS (SELECT FROM signing_key WHERE {_IN_USE})",
        kid,
        sealed_private,
    )


async def replace(kid: str, sealed_private: bytes, *, announced: float, overlap: float) -> None:
    """Insert a key that signs in ``announced`` seconds; the others' tokens are taken for ``overlap`` seconds more.

    With an overlap of 0 they are dropped.
    """
    await db.execute(_LOCK)
    await db.execute(
        "UPDATE signing_key SET retires_at = clock_timestamp() + make_interval(secs => $1) WHERE retires_at IS NULL",
        overlap,
    )
    await db.execute("DELETE FROM signing_key WHERE retires_at <= clock_timestamp() OR $1 = 0.0", overlap)
    await db.execute(
        "INSERT INTO signing_key (kid, sealed_private, signs_from)"
        " VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))",
        kid,
        sealed_private,
        announced,
    )
