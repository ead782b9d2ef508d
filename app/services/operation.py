"""What every operation that changes something has in common: it is recorded, and done once under one key."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from inspect import signature
from typing import Any, Concatenate, ParamSpec, TypeVar, get_type_hints

from app.domain.audit import Action
from app.domain.errors import Forbidden, TokenKindForbidden
from app.domain.model import Actor
from app.services import calls, idempotency, recording

P = ParamSpec("P")
R = TypeVar("R")


def operation(
    action: Action, *, changes: bool = True, stream: str | None = None
) -> Callable[[Callable[Concatenate[Actor, P], Awaitable[R]]], Callable[Concatenate[Actor, P], Coroutine[Any, Any, R]]]:
    """Make a service's function the operation ``action``: it has to call ``recording.record`` once.

    It is refused in the trail where its caller may not do it, and done once for the request's idempotency key,
    if there is one; its result must be of a type that ``app.storage.typed`` can keep. With ``changes=False`` it
    only reads, and neither records itself nor takes a key. ``stream`` names an argument that is read once: it
    is no part of what a key stands for.
    """

    def decorate(
        function: Callable[Concatenate[Actor, P], Awaitable[R]],
    ) -> Callable[Concatenate[Actor, P], Coroutine[Any, Any, R]]:
        parameters = signature(function)
        first = next(iter(parameters.parameters))

        def asked(call: calls.Call, key: calls.IdempotencyKey, /, *args: Any, **kwargs: Any) -> idempotency.Request[R]:
            given = parameters.bind(*args, **kwargs)
            given.apply_defaults()
            question = {name: value for name, value in given.arguments.items() if name not in (first, stream)}
            return idempotency.Request(
                key=key,
                call=call,
                question=[function.__qualname__, question],
                answer=get_type_hints(function)["return"],
                work=lambda: function(*args, **kwargs),
            )

        @wraps(function)
        async def run(actor: Actor, /, *args: P.args, **kwargs: P.kwargs) -> R:
            call = calls.Call(action, actor, actor.project_id)
            key = calls.key() if changes else None
            with calls.begun(call):
                try:
                    if key is None or key.taken:
                        return await function(actor, *args, **kwargs)
                    key.taken = True
                    request = asked(call, key, actor, *args, **kwargs)
                    return await idempotency.once(request, repeatable=stream is None)
                except (Forbidden, TokenKindForbidden) as refusal:
                    await recording.refused(call, refusal.code)
                    raise

        return run

    return decorate
