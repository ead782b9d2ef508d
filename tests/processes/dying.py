"""The server, but for its dying at one moment of an operation that has an idempotency key: ``DIE`` says which.

That is ``before commit``, ``after commit``, or before or after a function: ``after app.services.swap:Swap.run``.
"""

import importlib
import os
import signal
from typing import Any

from app.cli import main as strata
from app.services import idempotency as service
from app.storage import idempotency as storage


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run ``strata`` with a death built in."""
    once, keep = service.once, storage.keep

    async def die_after_commit(*args: Any, **kwargs: Any) -> Any:
        await once(*args, **kwargs)
        _die()

    async def die_before_commit(*args: Any) -> None:
        await keep(*args)
        _die()

    moment = os.environ.get("DIE")
    if moment == "after commit":
        service.once = die_after_commit
    elif moment == "before commit":
        storage.keep = die_before_commit  # type: ignore[assignment]
    elif moment is not None:
        _die_at(moment)
    strata()


def _die_at(moment: str) -> None:
    when, _, place = moment.partition(" ")
    module, _, path = place.partition(":")
    *parents, name = path.split(".")
    owner = importlib.import_module(module)
    for parent in parents:
        owner = getattr(owner, parent)
    original = getattr(owner, name)

    async def dying(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            _die()
        await original(*args, **kwargs)
        _die()

    setattr(owner, name, dying)
