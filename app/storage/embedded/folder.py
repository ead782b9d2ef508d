import os
import stat
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import platformdirs

from app.storage.embedded.account import Account, account_for, blocking_folder, system_account
from app.storage.embedded.errors import EmbeddedError

ROOT_DATA_DIR = Path("/var/lib/strata")
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 100
"""Bytes; the kernel's own limit for the path of a unix socket is 107."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The folder that holds a cluster and what belongs to it; ``account`` is None for the caller's own."""

    path: Path
    account: Account | None

    @property
    def cluster(self) -> Path:
        return self.path / "cluster"

    @property
    def log(self) -> Path:
        return self.path / "postgres.log"

    def open_file(self, name: str, flags: int = 0) -> int:
        """Open or create a private file of this folder, never through a link, and return its descriptor."""
        path, flags = self.path / name, flags | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return os.open(path, flags)
        if self.account:
            os.fchown(descriptor, self.account.uid, self.account.gid)
        return descriptor

    def make_private(self, path: Path) -> None:
        """Make a folder that PostgreSQL's user alone can enter, or raise EmbeddedError if it is not so."""
        uid = self.account.uid if self.account else os.geteuid()
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == uid and not status.st_mode & 0o077:
                return
            raise EmbeddedError(
                f"{path} exists, but it is not a private folder of user number {uid}. Remove it and start again."
            ) from None
        if self.account:
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)


def default_data_dir() -> Path:
    """Return where data goes when nobody says: the user's data folder.

    For root that folder is often closed to the user that PostgreSQL runs as; then /var/lib/strata.
    """
    folder = platformdirs.user_data_path("strata")
    if os.geteuid() == 0 and blocking_folder(folder.resolve(), system_account()):
        return ROOT_DATA_DIR
    return folder


def prepare_data_folder(data_dir: Path) -> DataFolder:
    """Make ``data_dir`` if it is missing and see to it that PostgreSQL's user gets through to it.

    Folders that were there before are never changed, but for an empty ``data_dir``. Raises EmbeddedError.
    """
    path = data_dir.expanduser().resolve()
    try:
        account = account_for(path, path / "cluster")
        if account:
            _require_reach(path, account)
        _make_folder(path, account)
        if account:
            _require_reach(path / "cluster", account)
    except OSError as error:
        raise EmbeddedError(f"Cannot use the data folder {path}: {error.strerror}. {_ELSEWHERE}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise EmbeddedError(
            f"The data folder {path} belongs to user number {path.stat().st_uid}. Start Strata as that user. "
            f"{_ELSEWHERE}"
        )
    return DataFolder(path, account)


_ELSEWHERE = "Or choose another data folder with STRATA_DATA_DIR."


def _make_folder(path: Path, account: Account | None) -> None:
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir(exist_ok=True)
            if account:
                parent.chmod(0o755)
    path.mkdir(mode=0o700, exist_ok=True)
    if account and path.stat().st_uid == 0 and not any(path.iterdir()):
        os.chown(path, 0, account.gid)
        path.chmod(0o710)


def _require_reach(path: Path, account: Account) -> None:
    blocker = blocking_folder(path, account)
    if blocker:
        mode = stat.S_IMODE(blocker.stat().st_mode)
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root, so it runs as the user {account.name}; and that user cannot "
            f"enter {blocker} (mode {mode:04o}). Choose another data folder, for example "
            f"STRATA_DATA_DIR={ROOT_DATA_DIR}, or, if others may pass through, run: chmod o+x {blocker}"
        )


def prepare_socket_folder(folder: DataFolder) -> Path:
    """Return an empty private folder for the server's socket: in the data folder if the path is short enough.

    To be called only when no server of this cluster is alive: it removes what a killed one left behind.
    """
    socket_folder = _short_enough(folder)
    folder.make_private(socket_folder)
    # The lock file names a process; if its number has been given to another one, PostgreSQL would not start.
    for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        (socket_folder / name).unlink(missing_ok=True)
    return socket_folder


def _short_enough(folder: DataFolder) -> Path:
    uid = folder.account.uid if folder.account else os.geteuid()
    name = f"strata-{uid}-{sha256(os.fsencode(folder.path)).hexdigest()[:16]}"
    bases = (Path(base).resolve() for base in (tempfile.gettempdir(), "/tmp"))  # noqa: S108 - owner is checked
    for candidate in (folder.path / "socket", *(base / name for base in bases)):
        fits = len(os.fsencode(candidate / SOCKET_NAME)) < SOCKET_PATH_LIMIT
        if fits and not (folder.account and blocking_folder(candidate, folder.account)):
            return candidate
    raise EmbeddedError(
        f"The path of {folder.path} is too long for a unix socket, and so is the temporary folder's. "
        "Choose a data folder with a shorter path with STRATA_DATA_DIR."
    )
