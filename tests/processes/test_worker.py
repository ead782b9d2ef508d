"""Background work by several processes, one of them killed: each step once, nothing forgotten."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from signal import SIGTERM

import pytest

from app.domain.jobs import JobKind
from app.domain.model import Actor, Plan, Project
from app.services import environments, jobs, operator
from app.services.branching import ForkOptions
from app.storage import db
from tests.conftest import Database
from tests.processes.served import environment, served, strata

pytestmark = pytest.mark.slow

COUNT = 40


@contextmanager
def working(database: Database) -> Iterator[subprocess.Popen[str]]:
    """Run a worker that pauses within its steps; afterwards it is stopped by SIGTERM."""
    command = [sys.executable, "-m", "tests.processes.halting_worker", "worker"]
    settings = environment({"STRATA_DATABASE_URL": database.app_dsn})
    with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "Strata works\n"
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(SIGTERM)
            process.communicate(timeout=30)


async def _archived(project: Project) -> int:
    count: int = await db.fetchval(
        "SELECT count(*) FROM environment WHERE project_id = $1 AND status = 'archived'", project.id
    )
    return count


async def test_three_workers_and_one_killed_archive_each_environment_once(
    database: Database, actor: Actor, project: Project
) -> None:
    await operator.set_plan(project.id, Plan.ENTERPRISE)
    for number in range(COUNT):
        await environments.fork(actor, project.id, ForkOptions(f"env-{number}"))
    await db.execute("DELETE FROM pgqueuer")
    await db.execute(
        "UPDATE environment SET expires_at = now() WHERE project_id = $1 AND env_type <> 'production'", project.id
    )
    with ExitStack() as stack:
        workers = [stack.enter_context(working(database)) for _ in range(3)]
        await environments.find_expired()
        deadline = time.monotonic() + 60
        while await _archived(project) < COUNT // 4:
            assert time.monotonic() < deadline
        workers[0].kill()
        while await _archived(project) < COUNT or await db.fetchval("SELECT count(*) FROM pgqueuer"):
            assert time.monotonic() < deadline
    assert [worker.returncode for worker in workers[1:]] == [0, 0]
    rows = await db.fetch(
        "SELECT object_id, count(*) AS count, max(door) AS door, max(actor) AS actor FROM audit"
        " WHERE project_id = $1 AND operation = 'archive_environment' GROUP BY object_id",
        project.id,
    )
    assert [(row["count"], row["door"], row["actor"]) for row in rows] == [(1, "worker", None)] * COUNT
    published = await db.fetch(
        "SELECT count(*) FROM event WHERE project_id = $1 AND type = 'environment.archived' GROUP BY env_uuid",
        project.id,
    )
    assert [row["count"] for row in published] == [1] * COUNT


@pytest.mark.parametrize(("where", "status"), [("inside", "archived"), ("apart", "draft")])
async def test_a_server_does_background_work_unless_it_is_told_not_to(
    database: Database, actor: Actor, project: Project, where: str, status: str
) -> None:
    env = (await environments.fork(actor, project.id, ForkOptions("env"))).environment
    await db.execute("UPDATE environment SET expires_at = now() WHERE uuid = $1", env.uuid)
    with served({"STRATA_DATABASE_URL": database.app_dsn, "STRATA_WORKER": where}):
        await jobs.enqueue_missing(JobKind.ARCHIVE_EXPIRED, project_id=project.id, env_uuid=env.uuid)
        deadline = time.monotonic() + (2 if where == "apart" else 10)
        while await _archived(project) == 0 and time.monotonic() < deadline:
            pass
    assert await db.fetchval("SELECT status FROM environment WHERE uuid = $1", env.uuid) == status


def test_the_doctor_and_the_list_of_failed_jobs(database: Database) -> None:
    settings = {"STRATA_DATABASE_URL": database.app_dsn}
    assert strata(settings, "jobs", "failed", "--json").stdout == "[]\n"
    assert strata(settings, "jobs", "retry").stdout == "0 jobs will be tried again.\n"
    said = strata(settings, "doctor").stdout
    # Other tests leave jobs behind that nobody does.
    assert "background work" in said or "jobs wait" in said


@pytest.mark.parametrize("text", ["outside", "0"])
def test_a_wrong_setting_of_the_worker_is_refused(text: str, database: Database) -> None:
    refused = strata({"STRATA_DATABASE_URL": database.app_dsn, "STRATA_WORKER": text}, "worker")
    assert (refused.returncode, "STRATA_WORKER" in refused.stderr) == (1, True)
