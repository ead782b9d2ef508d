"""What every process has to know of tokens within a second: revoked ones, and the keys in use."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from app.storage import db

# A revocation commits later than it says; none is as late as this, since its statement has a timeout.
_OVERLAP: Final = timedelta(seconds=30)
ALWAYS: Final = datetime(1970, 1, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class News:
    """``revoked``: tokens and sessions with the time (epoch seconds) after which nobody need remember them.

    ``keys``: the signing keys in use, with whether they sign. ``read_at``: to ask from next time.
    """

    revoked: dict[UUID, float]
    keys: frozenset[tuple[str, bool]]
    read_at: datetime


async def news(since: datetime) -> News:
    """Return what was revoked since ``since``, a ``read_at``, and may still be presented."""
    row = await db.fetchrow(
        "SELECT clock_timestamp() AS read_at, coalesce(array_agg(uuid), '{}') AS uuids,"
        " coalesce(array_agg(extract(epoch FROM expires_at)::float8), '{}') AS ends,"
        " ARRAY(SELECT kid FROM signing_key WHERE retires_at IS NULL OR retires_at > clock_timestamp()) AS kids,"
        " ARRAY(SELECT kid FROM signing_key WHERE signs_from <= clock_timestamp()) AS signing"
        " FROM revoked_token WHERE revoked_at > $1 AND expires_at > clock_timestamp()",
        since - _OVERLAP,
    )
    if row is None:
        raise LookupError("an aggregate returned nothing")
    signing = set(row["signing"])
    keys = frozenset((kid, kid in signing) for kid in row["kids"])
    return News(dict(zip(row["uuids"], row["ends"], strict=True)), keys, row["read_at"])


async def revoke(uuids: list[UUID], seconds: float) -> None:
    """Revoke tokens or sessions, none of whose tokens lives longer than ``seconds``."""
    await db.execute(
        "WITH gone AS (DELETE FROM revoked_token WHERE uuid IN (SELECT uuid FROM revoked_token"
        "   WHERE expires_at < clock_timestamp() LIMIT 100 FOR UPDATE SKIP LOCKED))"
        " INSERT INTO revoked_token (uuid, expires_at)"
        " SELECT uuid, clock_timestamp() + make_interval(secs => $2) FROM unnest($1::uuid[]) uuid"
        " ON CONFLICT (uuid) DO NOTHING",
        uuids,
        seconds,
    )
