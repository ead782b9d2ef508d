"""What is to be done once a transaction has committed, and not at all if it does not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_calls: ContextVar[list[Callable[[], None]] | None] = ContextVar("after_commit", default=None)


def after_commit(call: Callable[[], None]) -> None:
    """Call ``call`` once the current transaction has committed; outside of one, at once."""
    calls = _calls.get()
    if calls is None:
        call()
    else:
        calls.append(call)


@contextmanager
def followed() -> Iterator[None]:
    """Do what the block, a transaction, has asked for, once it has ended well."""
    calls: list[Callable[[], None]] = []
    token = _calls.set(calls)
    try:
        yield
    finally:
        _calls.reset(token)
    for call in calls:
        call()
