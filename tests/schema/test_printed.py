"""The schema as clients see it: the file is true, and nothing is without words."""

from collections.abc import Iterator
from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    build_schema,
)

import schema as package
from schema.root import schema, schema_text
from tests.operations.world import SESSIONS

PRINTED = Path(package.__file__).parent / "schema.graphql"


def test_the_printed_schema_is_the_schema() -> None:
    assert PRINTED.read_text() == schema_text(), "strata export-schema > schema/schema.graphql"


def _undescribed() -> Iterator[str]:
    for name, type_ in build_schema(PRINTED.read_text()).type_map.items():
        if not name.startswith("__"):
            yield from (place for place, description in _descriptions(name, type_) if not description)


def _descriptions(name: str, type_: GraphQLNamedType) -> Iterator[tuple[str, str | None]]:
    yield name, type_.description
    if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
        for field_name, field in type_.fields.items():
            yield f"{name}.{field_name}", field.description
            yield from ((f"{name}.{field_name}({arg})", known.description) for arg, known in field.args.items())
    elif isinstance(type_, GraphQLInputObjectType):
        yield from ((f"{name}.{member}", known.description) for member, known in type_.fields.items())
    elif isinstance(type_, GraphQLEnumType):
        yield from ((f"{name}.{value}", known.description) for value, known in type_.values.items())


def test_everything_has_a_description() -> None:
    assert list(_undescribed()) == []


def test_each_mutation_takes_one_input_and_answers_with_a_payload_or_refusals() -> None:
    printed = build_schema(PRINTED.read_text())
    assert printed.mutation_type is not None
    for name, field in printed.mutation_type.fields.items():
        # Who has no token yet, or gives it up, is nobody whom a role could forbid anything, and has no key.
        if name in SESSIONS:
            continue
        assert list(field.args) == ["input"], name
        assert isinstance(field.type, GraphQLNonNull), name
        result = field.type.of_type
        assert isinstance(result, GraphQLUnionType), name
        payload, *refusals = result.types
        assert payload.name.endswith("Payload"), name
        assert all(interface.name == "Refusal" for refusal in refusals for interface in refusal.interfaces), name
        assert {"Forbidden"} <= {refusal.name for refusal in refusals}, name


def test_the_schema_module_and_the_printed_one_have_the_same_types() -> None:
    assert set(schema._schema.type_map) - {"Float"} == set(build_schema(schema_text()).type_map) - {"Float"}
