"""What must not grow with a project: the time and rows of a fork; and how fast 100,000 documents come and go.

Run by hand: ``python -m tests.bench.scale``. Small and large projects are measured in turns, in one process.
"""

import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

from app import serving
from app.domain.model import Actor, Plan, Project
from app.services import backups, checkpoints, comparison, environments, projects, transfer
from app.services.branching import ForkOptions
from app.storage import db
from tests.bench.document_read import new_actor, temporary_cluster

SMALL, LARGE = 100, 100_000
FORKS = 30
TABLES = ("environment", "generation", "layer", "change", "manifest", "entity")


async def _lines(count: int) -> AsyncIterator[bytes]:
    for start in range(0, count, 500):
        yield b"".join(
            b'{"kind":"user","key":"u%06d","data":{"name":"User %d","tier":"premium","country":"DE","score":%d.50,'
            b'"tags":["a","b"],"address":{"city":"Berlin","zip":"10115"}}}\n' % (number, number, number % 1000)
            for number in range(start, min(start + 500, count))
        )


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


async def _rows(project: Project) -> int:
    counts = [await db.fetchval(f"SELECT count(*) FROM {table} WHERE project_id = $1", project.id) for table in TABLES]
    return sum(counts)


async def _import(actor: Actor, project: Project, count: int) -> None:
    started = time.perf_counter()
    await transfer.import_documents(actor, project.id, None, _lines(count))
    seconds = time.perf_counter() - started
    print(f"import of {count:,} documents        {count / seconds:9,.0f} documents/s")


async def _export(actor: Actor, project: Project) -> None:
    before, peak, size, started = _resident_mb(), 0.0, 0, time.perf_counter()
    async for chunk in await transfer.export_documents(actor, project.id, None):
        size += len(chunk)
        peak = max(peak, _resident_mb())
    seconds = time.perf_counter() - started
    print(
        f"export of {LARGE:,} documents        {LARGE / seconds:9,.0f} documents/s, {size / 1e6:.1f} MB;"
        f" memory grew by {peak - before:.1f} MB"
    )


async def _forks(actor: Actor, small: Project, large: Project) -> None:
    seconds: dict[int, list[float]] = {small.id: [], large.id: []}
    rows: dict[int, int] = {}
    for number in range(FORKS):
        for project in (small, large):
            before = await _rows(project) if number == 0 else 0
            started = time.perf_counter()
            await environments.fork(actor, project.id, ForkOptions(f"fork-{number}"))
            seconds[project.id].append(time.perf_counter() - started)
            if number == 0:
                rows[project.id] = await _rows(project) - before
    low, high = (statistics.median(seconds[project.id]) * 1000 for project in (small, large))
    print(
        f"fork of {SMALL} / {LARGE:,} entities      {low:.2f} ms / {high:.2f} ms, ratio {high / low:.2f} (at most 1.5)"
    )
    print(f"rows written by a fork              {rows[small.id]} / {rows[large.id]}")


async def _snapshots(actor: Actor, project: Project) -> None:
    started = time.perf_counter()
    await backups.backup(actor, project.id)
    print(f"backup of {LARGE:,} documents        {time.perf_counter() - started:9.2f} s")
    fork = await environments.fork(actor, project.id, ForkOptions("frozen"))
    started = time.perf_counter()
    await checkpoints.checkpoint(actor, fork.environment.uuid, None)
    print(f"checkpoint of {LARGE:,} documents    {time.perf_counter() - started:9.2f} s")
    started = time.perf_counter()
    await comparison.environment_diff(actor, fork.environment.uuid)
    print(f"comparing it with production        {time.perf_counter() - started:9.2f} s")


async def _measure() -> None:
    actor = await new_actor()
    small = await projects.create(actor, "Small", Plan.ENTERPRISE)
    large = await projects.create(actor, "Large", Plan.ENTERPRISE)
    await _import(actor, small, SMALL)
    await _import(actor, large, LARGE)
    await _export(actor, large)
    await _forks(actor, small, large)
    await _snapshots(actor, large)


def main() -> None:
    with temporary_cluster() as cluster:
        serving.run_at(serving.Database(cluster.owner_dsn, cluster.app_dsn), _measure)


if __name__ == "__main__":
    main()
