"""What every operation that changes something has in common: it is recorded, and done once under one key."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from inspect import signature
from typing import Any, Concatenate, ParamSpec, TypeVar, get_type_hints

from app.domain.audit import Action
from app.domain.errors import Forbidden, SandboxSecretAccessDenied, TokenKindForbidden, TooManyChecks
from app.domain.model import Actor
from app.services import calls, idempotency, recording
from app.services.foreground import FOREGROUND

P = ParamSpec("P")
R = TypeVar("R")


Operation = Callable[Concatenate[Actor, P], Awaitable[R]]
Decorated = Callable[Concatenate[Actor, P], Coroutine[Any, Any, R]]


def operation(action: Action, *, once: bool = True) -> Callable[[Operation[P, R]], Decorated[P, R]]:
    """Make a service's function the operation ``action``: it has to call ``recording.record`` once.

    It is refused in the trail where its caller may not do it, and done once for the request's idempotency key.
    Without ``once`` it takes no key: it only reads, or a part of it is what is done once (``done_once``).
    """

    def decorate(function: Operation[P, R]) -> Decorated[P, R]:
        work = done_once()(function) if once else function

        @wraps(function)
        async def run(actor: Actor, /, *args: P.args, **kwargs: P.kwargs) -> R:
            call = calls.Call(action, actor, actor.project_id)
            with calls.begun(call), FOREGROUND.change():
                try:
                    return await work(actor, *args, **kwargs)
                except (Forbidden, TokenKindForbidden, SandboxSecretAccessDenied, TooManyChecks) as refusal:
                    await recording.refused(call, refusal.code)
                    raise

        return run

    return decorate


def done_once(*, stream: str | None = None) -> Callable[[Operation[P, R]], Decorated[P, R]]:
    """Make a function be done once for the request's idempotency key, if there is one, within an operation.

    Its result must be of a type that ``app.storage.typed`` can keep. ``stream`` names an argument that is read
    once: it is no part of what a key stands for.
    """

    def decorate(function: Operation[P, R]) -> Decorated[P, R]:
        parameters = signature(function)
        first = next(iter(parameters.parameters))

        def asked(key: calls.IdempotencyKey, /, *args: Any, **kwargs: Any) -> idempotency.Request[R]:
            given = parameters.bind(*args, **kwargs)
            given.apply_defaults()
            question = {name: value for name, value in given.arguments.items() if name not in (first, stream)}
            return idempotency.Request(
                key=key,
                call=calls.current(),
                question=[function.__qualname__, question],
                answer=get_type_hints(function)["return"],
                work=lambda: function(*args, **kwargs),
            )

        @wraps(function)
        async def run(actor: Actor, /, *args: P.args, **kwargs: P.kwargs) -> R:
            key = calls.key()
            if key is None or key.taken:
                return await function(actor, *args, **kwargs)
            key.taken = True
            return await idempotency.once(asked(key, actor, *args, **kwargs), repeatable=stream is None)

        return run

    return decorate
