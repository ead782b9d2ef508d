"""What surrounds a call of a service, and is not its argument: the way it came, its idempotency key, its action.

The doors say the first two before they call; ``operation`` says the third.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from app.domain.audit import Action, Door, Via
from app.domain.errors import InvalidIdempotencyKey
from app.domain.model import Actor

MAX_KEY: Final = 255


@dataclass(slots=True)
class IdempotencyKey:
    """The key under which a caller repeats a request. ``replayed``: the answer is that of an earlier one."""

    text: str
    taken: bool = False
    replayed: bool = False

    @classmethod
    def of(cls, text: str) -> "IdempotencyKey":
        """Return the key. Raises InvalidIdempotencyKey."""
        if not 1 <= len(text) <= MAX_KEY or not all("!" <= character <= "~" for character in text):
            raise InvalidIdempotencyKey
        return cls(text)


@dataclass(slots=True)
class Call:
    """An operation under way; ``project_id`` is known once the actor was let into the project.

    ``actor`` is None for what a worker does by itself.
    """

    action: Action
    actor: Actor | None
    project_id: int | None

    @property
    def caller(self) -> Actor:
        """Return the actor of an operation that somebody asked for."""
        if self.actor is None:
            raise RuntimeError("nobody asked for this operation")
        return self.actor


def _from_the_command_line() -> Via:
    return Via(Door.COMMAND_LINE)


_via: ContextVar[Callable[[], Via]] = ContextVar("via", default=_from_the_command_line)
_key: ContextVar[IdempotencyKey | None] = ContextVar("idempotency_key", default=None)
_call: ContextVar[Call | None] = ContextVar("call", default=None)


def enter(via: Callable[[], Via], key: IdempotencyKey | None = None) -> None:
    """Say how the calls of this task come in; for a door, once for each request."""
    _via.set(via)
    _key.set(key)


@contextmanager
def keyed(key: IdempotencyKey | None) -> Iterator[None]:
    """Give the block's call an idempotency key; for a door with several calls in one request."""
    token = _key.set(key)
    try:
        yield
    finally:
        _key.reset(token)


@contextmanager
def begun(call: Call) -> Iterator[None]:
    """Make ``call`` the operation under way."""
    token = _call.set(call)
    try:
        yield
    finally:
        _call.reset(token)


def via() -> Via:
    """Return the way the present call came."""
    return _via.get()()


def key() -> IdempotencyKey | None:
    """Return the key of the present request."""
    return _key.get()


def current() -> Call:
    """Return the operation under way."""
    call = _call.get()
    if call is None:
        raise RuntimeError("nothing can be recorded outside of an operation")
    return call


def actor_name() -> str | None:
    """Return the name of who does the operation under way, None outside of one and where nobody does it."""
    call = _call.get()
    return call.actor.name if call is not None and call.actor is not None else None


def let_into(project_id: int) -> None:
    """Note the project that the operation under way is about, if one is."""
    call = _call.get()
    if call is not None:
        call.project_id = project_id
