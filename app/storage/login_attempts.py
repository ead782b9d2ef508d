"""Failed logins, as all processes count them. Only keyed hashes of e-mail and client addresses are stored."""

from dataclasses import dataclass
from typing import Final

from app.domain.login_limits import Failures, LoginHistory
from app.storage import db

# Longer than any password check takes: what is still undecided then was given up, and counts as failed.
_DECIDED: Final = "30 seconds"
_FAMILIAR: Final = "30 days"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who tries from where, as 16-byte hashes."""

    email_hash: bytes
    address_hash: bytes


async def lock(attempt: Attempt) -> None:
    """Let attempts with the same e-mail or client address wait until this transaction ends."""
    numbers = {int.from_bytes(digest[:8], signed=True) for digest in (attempt.email_hash, attempt.address_hash)}
    await db.execute("SELECT pg_advisory_xact_lock(number) FROM unnest($1::bigint[]) number", sorted(numbers))


async def history(attempt: Attempt) -> LoginHistory:
    """Return the failures of the last hour that bear on ``attempt``."""
    rows = await db.fetch(
        "SELECT email_hash = $1 AS same_email, address_hash = $2 AS same_address,"
        "  extract(epoch FROM clock_timestamp() - started_at)::float8 AS age,"
        f" failed OR started_at < clock_timestamp() - interval '{_DECIDED}' AS failed"
        " FROM login_attempt WHERE (email_hash = $1 OR address_hash = $2)"
        " AND started_at > clock_timestamp() - interval '1 hour' ORDER BY started_at DESC, id DESC",
        attempt.email_hash,
        attempt.address_hash,
    )
    familiar = await db.fetchval(
        "SELECT EXISTS (SELECT FROM familiar_address WHERE email_hash = $1 AND address_hash = $2"
        f" AND seen_at > now() - interval '{_FAMILIAR}')",
        attempt.email_hash,
        attempt.address_hash,
    )
    return LoginHistory(
        pair=_failures([row for row in rows if row["same_email"] and row["same_address"]]),
        email=_failures([row for row in rows if row["same_email"]]),
        address=_failures([row for row in rows if row["same_address"]]),
        familiar=familiar,
    )


def _failures(rows: list[db.Record]) -> Failures:
    ages = tuple(row["age"] for row in rows if row["failed"])
    return Failures(ages, pending=len(rows) - len(ages))


async def add(attempt: Attempt) -> int:
    """Note that an attempt begins, and return its number. What no limit looks at any more is dropped."""
    await db.execute(
        "DELETE FROM login_attempt WHERE id IN (SELECT id FROM login_attempt"
        " WHERE started_at < clock_timestamp() - interval '1 hour' LIMIT 100 FOR UPDATE SKIP LOCKED)"
    )
    number: int = await db.fetchval(
        "INSERT INTO login_attempt (email_hash, address_hash) VALUES ($1, $2) RETURNING id",
        attempt.email_hash,
        attempt.address_hash,
    )
    return number


async def fail(number: int) -> None:
    """Note that the attempt failed."""
    await db.execute("UPDATE login_attempt SET failed = true WHERE id = $1", number)


async def succeed(attempt: Attempt) -> None:
    """Note that the attempt succeeded: the pair's failures are forgotten, and the address is familiar."""
    await db.execute(
        "DELETE FROM login_attempt WHERE email_hash = $1 AND address_hash = $2",
        attempt.email_hash,
        attempt.address_hash,
    )
    await db.execute(
        "INSERT INTO familiar_address (email_hash, address_hash) VALUES ($1, $2)"
        " ON CONFLICT (email_hash, address_hash) DO UPDATE SET seen_at = now()",
        attempt.email_hash,
        attempt.address_hash,
    )
    await db.execute(
        f"DELETE FROM familiar_address WHERE email_hash = $1 AND seen_at < now() - interval '{_FAMILIAR}'",
        attempt.email_hash,
    )
