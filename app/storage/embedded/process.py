import ctypes
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen, SubprocessError, TimeoutExpired

from app.storage.embedded.account import Account
from app.storage.embedded.errors import EmbeddedError, last_lines

_PR_SET_PDEATHSIG = 1
_RUN_SECONDS = 300


def spawn(
    command: Sequence[str | Path],
    account: Account | None,
    *,
    stdin: int = DEVNULL,
    output: int = PIPE,
    keep_open: Sequence[int] = (),
) -> Popen[str]:
    """Start a PostgreSQL program that gets SIGINT (fast shutdown) when the calling thread's process dies.

    It has a session of its own: a Ctrl-C in the terminal reaches Strata alone, which stops the server last.
    ``keep_open`` are descriptors it inherits. Raises EmbeddedError.
    """
    try:
        return Popen(  # noqa: S603 - programs of the PostgreSQL that find_binaries chose
            command,
            stdin=stdin,
            stdout=output,
            stderr=STDOUT,
            cwd="/",
            env=_environment(),
            start_new_session=True,
            pass_fds=keep_open,
            preexec_fn=_child_setup(account),
            text=True,
            errors="replace",
        )
    except (OSError, SubprocessError) as error:
        user = f" as the user {account.name}" if account else ""
        raise EmbeddedError(
            f"Cannot start {command[0]}{user}: {error}. Give Strata a database with STRATA_DATABASE_URL instead."
        ) from error


def run(
    command: Sequence[str | Path], account: Account | None, *, script: str = "", keep_open: Sequence[int] = ()
) -> str:
    """Run a PostgreSQL program to its end and return what it printed. Raises EmbeddedError if it fails."""
    with spawn(command, account, stdin=PIPE, keep_open=keep_open) as process:
        try:
            output, _ = process.communicate(script, timeout=_RUN_SECONDS)
        except BaseException as error:
            process.kill()
            if isinstance(error, TimeoutExpired):
                raise EmbeddedError(f"{command[0]} did not end within {_RUN_SECONDS} seconds.") from error
            raise
    if process.returncode:
        raise EmbeddedError(f"{command[0]} failed (status {process.returncode}):\n{last_lines(output)}")
    return output


def _environment() -> dict[str, str]:
    """Nothing of the caller's: PG* variables would change the server, and secrets do not belong in it."""
    environment = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
    if libraries := os.environ.get("LD_LIBRARY_PATH"):
        environment["LD_LIBRARY_PATH"] = libraries
    return environment


def _child_setup(account: Account | None) -> Callable[[], None]:
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    parent = os.getpid()

    def set_up() -> None:
        if account is not None:
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
        # Only now: a change of user clears the signal.
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return set_up
