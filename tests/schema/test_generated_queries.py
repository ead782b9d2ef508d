"""2,000 operations that hypothesis-graphql makes from the schema, right ones and wrong ones: never a 5xx."""

from typing import Any, Final

import pytest
from graphql import GraphQLSchema, ValueNode, build_schema
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import Mode, from_schema, nodes

from schema.root import schema_text
from tests.schema.conftest import GraphQL

# Those that are right are large, and take longer to make than to answer.
RIGHT: Final = 400
WRONG: Final = 1_600


def _scalars(known: list[str]) -> dict[str, st.SearchStrategy[ValueNode]]:
    names = st.sampled_from([*known, "", "a/b", "\u202e", "x" * 300])
    uuids = st.sampled_from(known) | st.uuids().map(str)
    pointers = st.sampled_from(["", "/", "/a", "/a~0b", "/config/flags", "a", "/" * 70])
    values = st.sampled_from([nodes.Int(1), nodes.Boolean(True), nodes.String("x"), nodes.Null, nodes.Float(1.5)])
    times = st.sampled_from(["2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "now"])
    return {
        "UUID": (uuids | names).map(nodes.String),
        "JSON": values,
        "JSONPointer": pointers.map(nodes.String),
        "Decimal": st.sampled_from([nodes.Int(5), nodes.Float(0.05)]),
        "DateTime": times.map(nodes.String),
    }


def _fields(schema: GraphQLSchema) -> list[str]:
    """Return the fields of the roots; after 'logOut' nobody would be asking any more."""
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    return [name for name in (*schema.query_type.fields, *schema.mutation_type.fields) if name != "logOut"]


def _generated(schema: GraphQLSchema, known: list[str], mode: Mode, count: int) -> list[str]:
    """Return ``count`` operations, the same in every run but for what is ``known``."""
    made: list[str] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(from_schema(schema, fields=_fields(schema), custom_scalars=_scalars(known), mode=mode))
    def gather(operation: Any) -> None:
        made.append(str(operation))

    gather()
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "count"), [(Mode.POSITIVE, RIGHT), (Mode.NEGATIVE, WRONG)])
async def test_g1_generated_operations_are_answered(graphql: GraphQL, mode: Mode, count: int) -> None:
    known = [str(graphql.project.production_uuid), (await graphql.fork("e"))["uuid"]]
    operations = _generated(build_schema(schema_text()), known, mode, count)
    ran = 0
    for operation in operations:
        answer = await graphql.post(operation)
        assert answer.status_code in (200, 400), operation
        assert "internal_error" not in answer.text, operation
        ran += answer.status_code == 200
    assert len(operations) >= count
    assert ran > count / 2 if mode is Mode.POSITIVE else ran == 0
