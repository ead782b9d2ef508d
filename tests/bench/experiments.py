"""Taking in exposures and results of an A/B test, and its metrics at a million users.

Run by hand: ``python -m tests.bench.experiments``. Everything is in one process, through the services: batches of
1,000 users, one after another and by 16 writers at once; then metrics. Beside each, in the same run and by turns, what
it is compared with: the same rows inserted without counting, checking or locking anything, and the counts of the
metrics by ``count(*)`` over the tables. Single users, one request each, are there for comparison.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from itertools import count
from uuid import uuid4

from app import serving
from app.domain.experiments import Experiment
from app.domain.ingestion import Told
from app.domain.model import Actor, Plan, Project
from app.services import environments, experiments, ingesting, projects
from app.services.branching import ForkOptions
from app.services.experiments import Design
from app.storage import db
from tests.bench.document_read import new_actor, temporary_cluster

BATCH = 1_000
ROUNDS = 5
BATCHES = 20
WRITERS = 16
MILLION = 1_000_000
SINGLES = 500

Work = Callable[[Sequence[str]], Awaitable[object]]


class Bench:
    """A test, and users that nobody has told of."""

    def __init__(self, actor: Actor, project: Project, test: Experiment) -> None:
        self.actor, self.project, self.test = actor, project, test
        self._numbers = count()

    def users(self, number: int) -> list[str]:
        return [f"{uuid4().hex[:8]}-user-{next(self._numbers)}" for _ in range(number)]

    async def expose(self, users: Sequence[str]) -> None:
        await ingesting.record_exposures(self.actor, self.test.uuid, [Told(user) for user in users])

    async def convert(self, users: Sequence[str]) -> None:
        done = await ingesting.record_results(self.actor, self.test.uuid, [Told(user, 2) for user in users])
        if done.accepted != len(users):
            raise RuntimeError(done)

    async def insert(self, users: Sequence[str]) -> None:
        """Insert rows of the same table for a test beside, and do nothing else."""
        await db.execute(
            "INSERT INTO experiment_exposure (project_id, test_uuid, user_uuid, variant)"
            " SELECT $1, $2, user_uuid, 'A' FROM unnest($3::text[]) AS given (user_uuid)",
            self.project.id,
            self.test.uuid,
            list(users),
        )


async def _rate(batches: list[list[str]], work: Work) -> float:
    """Return users per second, batch after batch."""
    started = time.perf_counter()
    for batch in batches:
        await work(batch)
    return sum(map(len, batches)) / (time.perf_counter() - started)


async def _rate_at_once(batches: list[list[str]], work: Work) -> float:
    """Return users per second of 16 writers that share the batches."""

    async def write(own: list[list[str]]) -> None:
        for batch in own:
            await work(batch)

    started = time.perf_counter()
    loop = asyncio.get_running_loop()
    shares = [batches[at::WRITERS] for at in range(WRITERS)]
    await asyncio.gather(*(loop.create_task(write(share), context=Context()) for share in shares))
    return sum(map(len, batches)) / (time.perf_counter() - started)


def _said(what: str, rates: list[float], baseline: list[float] | None = None) -> None:
    middle = statistics.median(rates)
    share = "" if baseline is None else f", {middle / statistics.median(baseline):.0%} of the baseline"
    print(f"{what}: {middle:,.0f} users/s (median of {len(rates)}; {min(rates):,.0f} at least){share}")


async def _ingest(bench: Bench) -> None:
    rates: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        batches = [bench.users(BATCH) for _ in range(BATCHES)]
        for name, measured in (
            ("rows inserted and nothing else", _rate([bench.users(BATCH) for _ in range(BATCHES)], bench.insert)),
            ("exposures", _rate(batches, bench.expose)),
            ("results", _rate(batches, bench.convert)),
        ):
            rates.setdefault(name, []).append(await measured)
        shared = [bench.users(BATCH) for _ in range(2 * WRITERS)]
        beside = [bench.users(BATCH) for _ in range(2 * WRITERS)]
        for name, measured in (
            (f"rows inserted and nothing else, {WRITERS} writers", _rate_at_once(beside, bench.insert)),
            (f"exposures, {WRITERS} writers", _rate_at_once(shared, bench.expose)),
            (f"results, {WRITERS} writers", _rate_at_once(shared, bench.convert)),
        ):
            rates.setdefault(name, []).append(await measured)
        for name, work in (("rows", bench.insert), ("exposures", bench.expose)):
            singles = [[user] for user in bench.users(SINGLES)]
            rates.setdefault(f"{name} one by one, {WRITERS} writers", []).append(await _rate_at_once(singles, work))
    alone = rates["rows inserted and nothing else"]
    many = rates[f"rows inserted and nothing else, {WRITERS} writers"]
    singly = rates[f"rows one by one, {WRITERS} writers"]
    for name, found in rates.items():
        baseline = singly if "one by one" in name else many if "writers" in name else alone
        _said(name, found, None if name.startswith("rows") else baseline)


async def _fill(bench: Bench) -> None:
    """Make the test one of a million exposed users, a tenth of whom converted; with counts as they would be."""
    for table, columns, share in (
        ("experiment_exposure", "variant", 1),
        ("experiment_result", "value", 10),
    ):
        value = "CASE WHEN n % 2 = 0 THEN 'A' ELSE 'B' END" if columns == "variant" else "n % 100"
        await db.execute(
            f"INSERT INTO {table} (project_id, test_uuid, user_uuid, {columns})"
            f" SELECT $1, $2, 'million-' || n, {value} FROM generate_series(1, $3::int) n WHERE n % {share} = 0",
            bench.project.id,
            bench.test.uuid,
            MILLION,
        )
    await db.execute(
        "INSERT INTO experiment_tally (project_id, test_uuid, shard, variant, exposed, converted, valued, value_sum,"
        " value_squares) SELECT $1, $2, shard, variant, 15625, 1562, 1562, 77319, 5128046"
        " FROM generate_series(100, 131) shard, unnest(ARRAY['A', 'B']) variant",
        bench.project.id,
        bench.test.uuid,
    )


async def _milliseconds(work: Callable[[], Awaitable[object]], rounds: int) -> list[float]:
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        await work()
        found.append((time.perf_counter() - started) * 1_000)
    return sorted(found)


async def _metrics(bench: Bench) -> None:
    async def counted() -> None:
        await db.fetch(
            "SELECT exposure.variant, count(*), count(result.user_uuid), sum(result.value) FROM experiment_exposure"
            " exposure LEFT JOIN experiment_result result USING (project_id, test_uuid, user_uuid)"
            " WHERE project_id = $1 AND test_uuid = $2 GROUP BY exposure.variant",
            bench.project.id,
            bench.test.uuid,
        )

    async def metrics() -> None:
        await experiments.metrics(bench.actor, bench.test.uuid)

    first = await _milliseconds(metrics, 1)
    print(f"metrics of {MILLION:,} exposures, the first time: {first[0]:.1f} ms")
    async with db.transaction(statement_timeout="2min"):
        slow = await _milliseconds(counted, 3)
    found = await _milliseconds(metrics, 200)
    print(f"metrics: {found[100]:.2f} ms (median of 200; 99 % within {found[198]:.2f} ms)")
    print(f"the same counts by count(*): {slow[1]:,.0f} ms (median of 3)")


async def _bench() -> None:
    actor = await new_actor()
    project = await projects.create(actor, "Bench", Plan.ENTERPRISE)
    made = []
    for name in ("tried", "large"):
        fork = await environments.fork(actor, project.id, ForkOptions(name))
        made.append(await experiments.create(actor, Design(project.production_uuid, fork.environment.uuid)))
    await _ingest(Bench(actor, project, made[0]))
    large = Bench(actor, project, made[1])
    async with db.transaction(statement_timeout="5min"):
        await _fill(large)
    await _metrics(large)


def main() -> None:
    """Measure, and print."""
    with temporary_cluster() as cluster:
        serving.run_at(serving.Database(cluster.owner_dsn, cluster.app_dsn), _bench)


if __name__ == "__main__":
    main()
