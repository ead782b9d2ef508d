"""Token buckets that all processes share. A bucket that nobody has touched for a while is a full one, and no row."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.domain.model import Plan
from app.domain.rates import BURST_SECONDS, CHUNK_SECONDS, WITHOUT_PLAN
from app.storage import db

_SWEPT_EVERY: Final = 200


def _statement(rate: str) -> str:
    """Return the statement that fills a bucket up to now and takes what is granted out of it.

    Nothing is granted unless all that is needed ($2) is there, or the bucket is full: what needs more than a full
    bucket leaves a debt. A row that is new stands for a full bucket. The clock is the database's.
    """
    grant = f"greatest($2::float8, least(available, per_second * {CHUNK_SECONDS}))"
    return f"""
    WITH plan_rate AS (SELECT * FROM unnest($3::text[], $4::float8[]) AS given (plan, rate)),
    known AS (
        SELECT $5::float8 * coalesce(
            ({rate}), (SELECT rate FROM plan_rate WHERE plan = '{WITHOUT_PLAN.value}')
        ) AS per_second
    )
    INSERT INTO rate_bucket AS bucket (subject, tokens, granted, per_second, filled_at)
    SELECT $1, available - {grant}, {grant}, per_second, clock_timestamp()
    FROM (SELECT per_second, per_second * {BURST_SECONDS} AS available FROM known) AS full_bucket
    ON CONFLICT (subject) DO UPDATE SET (tokens, granted, per_second, filled_at) = (
        SELECT available - granted, granted, per_second, moment FROM (
            SELECT *, CASE WHEN available >= least($2::float8, burst) THEN {grant} ELSE 0 END AS granted FROM (
                SELECT least(burst, bucket.tokens + bucket.per_second * elapsed) AS available, burst, per_second, moment
                FROM (
                    SELECT excluded.per_second AS per_second, excluded.per_second * {BURST_SECONDS} AS burst, moment,
                        greatest(0, extract(epoch FROM moment - bucket.filled_at)::float8) AS elapsed
                    FROM (SELECT clock_timestamp() AS moment) AS clock
                ) AS passed
            ) AS filled
        ) AS taken
    )
    RETURNING granted, tokens, per_second
    """


_OF_PROJECT: Final = _statement("SELECT rate FROM plan_rate JOIN project USING (plan) WHERE project_id = $6")
_OF_ACCOUNT: Final = _statement(
    "SELECT max(rate) FROM plan_rate JOIN project USING (plan) JOIN member USING (project_id) WHERE account_uuid = $6"
)
_WITHOUT_PLAN: Final = _statement("NULL::float8")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket's name, and whose plan sets its rate: a project's, or the best of an account's projects.

    ``factor`` multiplies the rate.
    """

    name: str
    of: int | UUID | None = None
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Lease:
    """Points that a process may spend, what is left in the bucket, and how many points a second fill it."""

    granted: float
    left: float
    per_second: float


async def lease(bucket: Bucket, needed: float, rates: Mapping[Plan, float]) -> Lease:
    """Take at least ``needed`` points out of the bucket, more if it has them, or nothing.

    ``rates`` are the points a second of each plan. Raises DatabaseUnavailable.
    """
    arguments = (bucket.name, needed, [plan.value for plan in rates], list(rates.values()), bucket.factor)
    if bucket.of is None:
        row = await db.fetchrow(_WITHOUT_PLAN, *arguments)
    else:
        row = await db.fetchrow(_OF_PROJECT if isinstance(bucket.of, int) else _OF_ACCOUNT, *arguments, bucket.of)
    if row is None:
        raise LookupError("INSERT returned nothing")
    if random.randrange(_SWEPT_EVERY) == 0:  # noqa: S311
        await sweep()
    return Lease(row["granted"], row["tokens"], row["per_second"])


async def sweep() -> None:
    """Drop buckets that are full again by now; debts are kept."""
    await db.execute(
        "DELETE FROM rate_bucket WHERE subject IN (SELECT subject FROM rate_bucket WHERE"
        f" tokens + per_second * extract(epoch FROM clock_timestamp() - filled_at) >= per_second * {BURST_SECONDS}"
        " LIMIT 1000 FOR UPDATE SKIP LOCKED)"
    )
