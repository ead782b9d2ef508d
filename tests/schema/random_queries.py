"""Random queries that the schema allows, with arguments that mean something."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_composite_type,
    is_leaf_type,
    is_required_argument,
)

_TREE = ("children", "parent")


class Generator:
    """Writes queries. ``known`` has values by argument name, else by the name of the scalar."""

    def __init__(self, schema: GraphQLSchema, known: Mapping[str, Sequence[str]], random: Random) -> None:
        self._schema = schema
        self._known = known
        self._random = random

    def query(self, depth: int, width: int) -> str:
        """Return a query of at most so many levels, with so many fields at each."""
        assert self._schema.query_type is not None
        return self._selections(self._schema.query_type, depth, width)

    def _selections(self, of: GraphQLObjectType | GraphQLInterfaceType, depth: int, width: int) -> str:
        names = [
            name
            for name, field in of.fields.items()
            if is_leaf_type(get_named_type(field.type)) or (depth > 1 and self._can_be_asked(field))
        ]
        chosen = self._random.sample(names, min(width, len(names)))
        written = [text for name in chosen if (text := self._field(of.fields[name], name, depth, width))]
        return "{ __typename " + " ".join(written) + " }"

    def _can_be_asked(self, field: GraphQLField) -> bool:
        return all(self._value(name, argument.type) for name, argument in self._needed(field))

    @staticmethod
    def _needed(field: GraphQLField) -> list[tuple[str, Any]]:
        return [(name, argument) for name, argument in field.args.items() if is_required_argument(argument)]

    def _field(self, field: GraphQLField, name: str, depth: int, width: int) -> str:
        given = []
        for argument_name, argument in field.args.items():
            value = self._value(argument_name, argument.type)
            # Without a project most fields refuse, and an answer that is an error holds nothing to be counted.
            needed = is_required_argument(argument) or argument_name == "projectId"
            if value and (needed or self._random.random() < 0.5):
                given.append(f"{argument_name}: {value}")
        arguments = f"({', '.join(given)})" if given else ""
        named = get_named_type(field.type)
        if not is_composite_type(named):
            return f"{name}{arguments}"
        if isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
            return f"{name}{arguments} {self._selections(named, depth - 1, width)}"
        return f"{name}{arguments} {{ __typename }}"

    def _value(self, name: str, wanted: GraphQLInputType) -> str | None:
        if isinstance(wanted, GraphQLNonNull):
            return self._value(name, wanted.of_type)
        if isinstance(wanted, GraphQLList):
            item = self._value(name, wanted.of_type)
            return item and f"[{item}]"
        if isinstance(wanted, GraphQLEnumType):
            names: list[str] = list(wanted.values)
            return self._random.choice(names)
        if isinstance(wanted, GraphQLInputObjectType):
            return None
        if name == "first":
            return str(self._random.choice((0, 1, 2, 50, 200)))
        known = self._known.get(name) or self._known.get(wanted.name)
        return self._random.choice(known) if known else None
