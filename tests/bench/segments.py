"""Previews of a segment over 100,000 users, and forks that show half of them, beside counting the users alone.

Run by hand: ``python -m tests.bench.segments``. The baseline of a preview is a bare count of the same rows; that of a
fork is a fork without a filter. All are measured in turns, in one process.
"""

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID, uuid4

import asyncpg

from app import serving
from app.domain.model import USER_KIND, Actor, Plan, Project
from app.domain.values import Value
from app.services import documents, environments, projects, segments, transfer
from app.services.branching import ForkOptions
from app.storage import db
from tests.bench.document_read import new_actor, temporary_cluster

USERS = 100_000
OVERRIDDEN = 200
ROUNDS = 9
FORKS = 3
RULES: Value = [
    {"field": "tier", "op": "eq", "value": "premium"},
    {"any": [{"field": "score", "op": "gt", "value": -1}, {"field": "tags", "op": "contains", "value": "a"}]},
    {"field": "address.city", "op": "in", "value": ["Berlin", "Paris"]},
]


async def _lines() -> AsyncIterator[bytes]:
    for start in range(0, USERS, 500):
        yield b"".join(
            b'{"kind":"user","key":"u%06d","data":{"name":"User %d","tier":"%s","country":"DE","score":%d.50,'
            b'"tags":["a","b"],"address":{"city":"Berlin","zip":"10115"}}}\n'
            % (number, number, b"premium" if number % 2 else b"free", number % 1000)
            for number in range(start, start + 500)
        )


async def _median(work: Callable[[], Awaitable[object]], rounds: int) -> float:
    """Return the median time of ``work`` in milliseconds."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


async def _previews(actor: Actor, project: Project, segment_id: UUID, env: str | None, name: str) -> None:
    async def bare() -> None:
        await db.fetchval(
            "SELECT count(*) FROM layer JOIN entity ON entity.project_id = layer.project_id"
            " AND entity.uuid = layer.entity_uuid WHERE layer.project_id = $1 AND entity.kind = $2",
            project.id,
            USER_KIND,
        )

    async def preview() -> None:
        found = await segments.preview(actor, project.id, env, segment_id=segment_id)
        if not 0 < found.matching < found.total:
            raise RuntimeError(f"{found}")

    await preview()
    low, high = await _median(bare, ROUNDS), await _median(preview, ROUNDS)
    print(f"preview in {name:36} {high:7.1f} ms (at most 300); a bare count {low:7.1f} ms, ratio {high / low:.2f}")


async def _forks(actor: Actor, project: Project, segment_id: UUID) -> None:

    async def plain() -> None:
        await environments.fork(actor, project.id, ForkOptions(f"plain-{uuid4()}"))

    async def filtered() -> None:
        options = ForkOptions(f"filtered-{uuid4()}", segment_id=segment_id)
        fork = await environments.fork(actor, project.id, options)
        if fork.forked_count != USERS // 2 + 1:
            raise RuntimeError(f"{fork.forked_count}")

    low, high = await _median(plain, FORKS), await _median(filtered, FORKS)
    print(f"fork of {USERS:,} users, half of them     {high:7.0f} ms (at most 3,000); of all {low:7.1f} ms")


async def _measure(owner_dsn: str) -> None:
    actor = await new_actor()
    project = await projects.create(actor, "Bench", Plan.ENTERPRISE)
    await transfer.import_documents(actor, project.id, None, _lines())
    made = await segments.create(actor, project.id, None, "Premium", RULES)
    segment_id = made.segment.segment_id
    await environments.fork(actor, project.id, ForkOptions("child"))
    for number in range(OVERRIDDEN):
        key = f"u{number:06d}"
        await documents.merge(actor, project.id, "child", USER_KIND, key, {"tier": "premium"})
    for statistics_ in ("before statistics", "with statistics"):
        await _previews(actor, project, segment_id, None, f"production, {statistics_}")
        await _previews(actor, project, segment_id, "child", f"an environment, {statistics_}")
        await _forks(actor, project, segment_id)
        await _analyze(owner_dsn)


async def _analyze(owner_dsn: str) -> None:
    connection = await asyncpg.connect(owner_dsn)
    await connection.execute("ANALYZE entity, layer, generation")
    await connection.close()


def main() -> None:
    with temporary_cluster() as cluster:
        serving.run_at(serving.Database(cluster.owner_dsn, cluster.app_dsn), lambda: _measure(cluster.owner_dsn))


if __name__ == "__main__":
    main()
