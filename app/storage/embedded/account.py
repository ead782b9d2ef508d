import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from app.storage.embedded.errors import EmbeddedError


@dataclass(frozen=True, slots=True)
class Account:
    """The system user that PostgreSQL runs as when Strata itself runs as root."""

    name: str
    uid: int
    gid: int


def account_for(data_dir: Path, cluster: Path) -> Account | None:
    """Return the account to run PostgreSQL as; None means the caller's own.

    PostgreSQL refuses to run as root. What is already owned by an ordinary user stays that user's, so a
    command run once by root does not lock the user out of the folder. Raises EmbeddedError.
    """
    if os.geteuid() != 0:
        return None
    return _owner(cluster, must_be_known=False) or _owner(data_dir, must_be_known=True) or system_account()


def system_account() -> Account:
    """Return the user ``postgres`` if the machine has one, else ``nobody``. Raises EmbeddedError."""
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor nobody. "
        "Start Strata as an ordinary user, or give it a database with STRATA_DATABASE_URL."
    )


def _owner(folder: Path, *, must_be_known: bool) -> Account | None:
    """Return the folder's owner, None for root; initdb needs one that the system knows by name."""
    try:
        status = folder.stat()
    except FileNotFoundError:
        return None
    if status.st_uid == 0:
        return None
    try:
        entry = pwd.getpwuid(status.st_uid)
    except KeyError:
        return None if must_be_known else Account(f"number {status.st_uid}", status.st_uid, status.st_gid)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def blocking_folder(path: Path, account: Account) -> Path | None:
    """Return the topmost folder above ``path`` (absolute, resolved) that ``account`` cannot enter."""
    for folder in reversed(path.parents):
        if folder.exists() and not _may_enter(folder, account):
            return folder
    return None


def _may_enter(folder: Path, account: Account) -> bool:
    status = folder.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
