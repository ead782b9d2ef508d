import os
import secrets
import shutil
from pathlib import Path

from app.storage.embedded.binaries import major_version
from app.storage.embedded.errors import EmbeddedError
from app.storage.embedded.folder import DataFolder
from app.storage.embedded.process import run

_BUILDING = "cluster.new-"
_FIRST_BUILTIN_LOCALE = 17
"""PostgreSQL's own collation, which no update of the system's C library can change, came with version 17."""

_SETUP = """\
CREATE ROLE strata_owner LOGIN;
CREATE ROLE strata_app LOGIN;
CREATE DATABASE strata OWNER strata_owner;
REVOKE ALL ON DATABASE strata FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE strata TO strata_app;
"""


def ensure_cluster(folder: DataFolder, binaries: Path, server_lock: int, *, sync: bool) -> None:
    """Make the cluster if there is none: whole or not at all, whenever the process dies.

    Raises EmbeddedError, also for a cluster of another major version.
    """
    for leftover in folder.path.glob(f"{_BUILDING}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    major = major_version(binaries, folder)
    if folder.cluster.exists():
        _require_version(folder.cluster, major)
        return
    building = folder.path / f"{_BUILDING}{secrets.token_hex(4)}"
    folder.make_private(building)
    try:
        _initdb(building, folder, binaries, major, server_lock, sync=sync)
        single: list[str | Path] = [
            binaries / "postgres",
            "--single",
            "-D",
            building,
            "-c",
            "exit_on_error=on",
            "template1",
        ]
        run(single, folder.account, script=_SETUP, keep_open=[server_lock])
        building.rename(folder.cluster)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    _sync_folder(folder.path)


def _require_version(cluster: Path, major: int) -> None:
    try:
        found = (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise EmbeddedError(
            f"{cluster} is not a PostgreSQL cluster: it has no PG_VERSION. Move it away, or choose another "
            "data folder with STRATA_DATA_DIR."
        ) from None
    if found != str(major):
        raise EmbeddedError(
            f"The data in {cluster} was written by PostgreSQL {found}, but the programs here are version "
            f"{major}, and these cannot read it. Set STRATA_PG_BIN to the programs of PostgreSQL {found}; "
            "to move on, dump the database with those and load it into a new data folder with the new ones."
        )


def _initdb(building: Path, folder: DataFolder, binaries: Path, major: int, server_lock: int, *, sync: bool) -> None:
    command: list[str | Path] = [binaries / "initdb", "-D", building, "-U", "postgres"]
    command += ["-A", "trust", "-E", "UTF8", "--data-checksums"]
    if not sync:
        command.append("--no-sync")
    if major >= _FIRST_BUILTIN_LOCALE:
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        run([*command, *builtin], folder.account, keep_open=[server_lock])
        return
    try:
        run([*command, "--locale=C.UTF-8"], folder.account, keep_open=[server_lock])
    except EmbeddedError:
        run([*command, "--locale=C"], folder.account, keep_open=[server_lock])


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
