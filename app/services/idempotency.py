"""Doing once what is asked several times under one idempotency key.

The key is taken first, then the operation is done and its result kept, all in one transaction: a crash before the
commit leaves nothing, one after it leaves the answer to the next attempt. What is refused is not kept.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Generic, TypeVar

from app.domain.errors import IdempotencyAnswerUnreadable, IdempotencyInProgress, IdempotencyKeyReused
from app.services import access
from app.services.calls import Call, IdempotencyKey
from app.storage import db, idempotency, master_key, typed
from app.storage.idempotency import Kept, Scope

R = TypeVar("R")

WAIT_SECONDS: Final = 5
_SWEEP: Final = 1_000


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock
    waiting: int = 0


_turns: dict[Scope, _Turn] = {}


@dataclass(frozen=True, slots=True)
class Request(Generic[R]):
    """An operation to be done once. ``question`` is all that was asked, ``answer`` the type of the result."""

    key: IdempotencyKey
    call: Call
    question: object
    answer: Any
    work: Callable[[], Awaitable[R]]

    @property
    def scope(self) -> Scope:
        """Whose key it is and for what; a key is not known to the database."""
        actor = self.call.caller
        return Scope(actor.key_uuid or actor.account_uuid, self.call.action, sha256(self.key.text.encode()).digest())

    @property
    def fingerprint(self) -> bytes:
        """A digest of the question that nobody can guess it from: it may hold secrets, and the key be short."""
        secret = master_key.current().derive("questions under idempotency keys")
        asked = self.key.text.encode() + b"\0" + typed.canonical(self.question)
        return hmac.digest(secret, asked, "sha256")


async def once(request: Request[R], *, repeatable: bool) -> R:
    """Do what is asked, or return the answer of the first time; the key then says ``replayed``.

    What is not ``repeatable`` reads a stream: it cannot be run again when it loses a race. Raises
    IdempotencyKeyReused, IdempotencyInProgress, and what the operation raises.
    """
    async with _turn(request.scope):
        return await (_answer if repeatable else _answer_from_a_stream)(request)


@asynccontextmanager
async def _turn(scope: Scope) -> AsyncIterator[None]:
    # Those that come meanwhile wait here, without a connection each; another process's wait in the database.
    turn = _turns.setdefault(scope, _Turn(asyncio.Lock()))
    turn.waiting += 1
    try:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await turn.lock.acquire()
        except TimeoutError:
            raise IdempotencyInProgress from None
        try:
            yield
        finally:
            turn.lock.release()
    finally:
        turn.waiting -= 1
        if not turn.waiting:
            _turns.pop(scope, None)


async def _work(request: Request[R]) -> R:
    kept = await idempotency.reserve(request.scope, request.fingerprint)
    if kept is not None:
        return await _replayed(request, kept)
    result = await request.work()
    await idempotency.keep(request.scope, request.call.project_id, typed.dump(result, request.answer))
    return result


_answer = db.atomic(encloses=True)(_work)
_answer_from_a_stream = db.atomic(encloses=True, attempts=1)(_work)


async def _replayed(request: Request[R], kept: Kept) -> R:
    if not hmac.compare_digest(kept.fingerprint, request.fingerprint):
        raise IdempotencyKeyReused
    if kept.project_id is not None:
        await access.membership_in(request.call.caller, kept.project_id)
    try:
        result: R = typed.load(kept.answer, request.answer)
    except (KeyError, TypeError, ValueError):
        raise IdempotencyAnswerUnreadable from None
    request.key.replayed = True
    return result


async def sweep() -> int:
    """Remove all answers that are older than 24 hours; return how many there were."""
    removed = 0
    while count := await idempotency.sweep(_SWEEP):
        removed += count
    return removed
