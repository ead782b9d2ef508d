"""Describing the schema where it is written: a resolver's docstring is what clients read about the field.

Strawberry's own decorators are untyped once they take a description; these keep the resolver's type.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from functools import wraps
from inspect import cleandoc
from typing import Any, TypeVar, cast

import strawberry

from app.services import calls
from app.services.calls import IdempotencyKey
from schema.inputs import MutationInput

Resolver = TypeVar("Resolver", bound=Callable[..., Any])
T = TypeVar("T")


def field(resolver: Resolver) -> Resolver:
    """Make a resolver a field. Its docstring is the description."""
    return cast(Resolver, strawberry.field(resolver, description=_docstring(resolver)))


def mutation(resolver: Resolver) -> Resolver:
    """Make a resolver a mutation, with loaders that know nothing from before it. Its docstring is the description.

    It is done once for the ``idempotency_key`` of its input.
    """

    @wraps(resolver)
    async def run(self: object, info: strawberry.Info[Any, None], input: MutationInput) -> object:  # noqa: A002
        info.context.loaders.reset()
        key = None if input.idempotency_key is None else IdempotencyKey.of(input.idempotency_key)
        with calls.keyed(key):
            result = await resolver(self, info, input)
        if key is not None and key.replayed:
            info.context.replayed.append(info.path.key)
        return result

    return cast(Resolver, _mutation(run, _docstring(resolver)))


def unkeyed_mutation(resolver: Resolver) -> Resolver:
    """Make a resolver a mutation that takes no idempotency key. Its docstring is the description."""
    return cast(Resolver, _mutation(resolver, _docstring(resolver)))


def _mutation(run: Callable[..., Any], description: str) -> object:
    made = strawberry.mutation(run, description=description)
    for argument in made.arguments:
        argument.description = "What is asked for."
    return made


def subscription(resolver: Resolver) -> Resolver:
    """Make an asynchronous generator a subscription. Its docstring is the description."""
    return cast(Resolver, strawberry.subscription(resolver, description=_docstring(resolver)))


def present(value: T | None) -> T | None:
    """Return the value of an optional input member; None if it was left out."""
    return None if value is strawberry.UNSET else value


def describe_enum(enum: type[Enum], name: str, description: str, members: Mapping[Enum, str]) -> None:
    """Show a closed set of the domain as a GraphQL enum; raises KeyError if a member has no description."""
    strawberry.enum(enum, name=name, description=description)
    definition = enum.__dict__["__strawberry_definition__"]
    for value, member in zip(definition.values, enum, strict=True):
        value.description = members[member]


def _docstring(resolver: Callable[..., object]) -> str:
    if not resolver.__doc__:
        raise TypeError(f"{resolver.__qualname__} needs a docstring: clients read it")
    return cleandoc(resolver.__doc__)
