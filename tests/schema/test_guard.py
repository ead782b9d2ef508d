"""Operations that are too large are refused at once, whatever they are made of; all others cost what they may do."""

import gc
import resource
import time
from collections.abc import Mapping
from typing import Any, Final

import pytest
from graphql import get_introspection_query
from strawberry.types import ExecutionResult

from app.domain.errors import DomainError
from app.domain.model import Actor, Plan, Project
from app.domain.query_limits import Introspection, QueryLimits
from schema.context import Context
from schema.guard import check_text, count_values
from schema.loaders import Loaders
from schema.root import build_schema
from tests.schema.conftest import GraphQL
from tests.schema.hostile_documents import (
    FAMILIES,
    INTROSPECTION,
    INVALID,
    LIMITED,
    PAGES,
    UNPARSABLE,
    doubling,
    named_like_introspection,
)

SCHEMA: Final = build_schema()
MANY: Final = (1, 5, 13, 34, 89, 144, 233, 610)
SECONDS: Final = 0.5


class Purse:
    """What an operation was charged, and what it cost in the end."""

    def __init__(self) -> None:
        self.charged = 1
        self.corrected: int | None = None

    async def charge(self, points: int) -> None:
        """Pay in all."""
        self.charged = points

    def correct(self, points: int) -> None:
        """Have paid so much."""
        self.corrected = points


def _context(caller: Actor | None = None, purse: Purse | None = None) -> Context:
    purse = purse or Purse()
    return Context(caller, None, "id", Plan.PRO, Loaders(caller), charge=purse.charge, correct=purse.correct)


async def run(query: str, variables: dict[str, Any] | None = None, **options: Any) -> ExecutionResult:
    """Return what an operation answers."""
    return await SCHEMA.execute(query, variable_values=variables, context_value=_context(**options))


async def timed(query: str, enough: float = 0.0) -> tuple[float, ExecutionResult]:
    """Return the seconds of this processor that an operation takes, and its answer.

    It is run up to five times, until it takes less than ``enough``; the collector is none of its time.
    """
    times: list[float] = []
    gc.disable()
    try:
        while len(times) < 5 and (not times or min(times) >= enough):
            began = time.thread_time()
            result = await run(query)
            times.append(time.thread_time() - began)
    finally:
        gc.enable()
    return min(times), result


def codes(result: ExecutionResult) -> set[str]:
    return {(error.extensions or {})["code"] for error in result.errors or ()}


def limit(result: ExecutionResult) -> object:
    assert result.errors
    assert codes(result) == {LIMITED}, result.errors
    return (result.errors[0].extensions or {})["limit"]


@pytest.mark.parametrize("name", FAMILIES)
async def test_no_document_of_a_family_takes_long(name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for count in MANY:
        query = FAMILIES[name](count)
        seconds, result = await timed(query, SECONDS)
        assert seconds < (SECONDS if result.errors else 20 * SECONDS), (count, len(query), seconds)
        assert codes(result) <= {LIMITED, INVALID, UNPARSABLE, "unauthenticated", "validation_failed"}, (
            count,
            result.errors,
        )
        assert len(str(result.errors)) < 100_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize(
    "name", ["doubling", "doubling_with_fields", "doubling_through_fields", "named_like_introspection"]
)
async def test_fragment_bombs_are_refused_before_they_cost_anything(name: str) -> None:
    for count in (20, 30, 40):
        seconds, result = await timed(FAMILIES[name](count), SECONDS)
        assert codes(result) == {LIMITED}
        assert seconds < SECONDS, count


async def test_twice_the_bomb_takes_at_most_about_twice_the_time() -> None:
    times = [(await timed(doubling(count)))[0] for count in (10, 20, 40)]
    assert times[2] < 3 * times[1] + 0.05
    assert times[1] < 3 * times[0] + 0.05


@pytest.mark.parametrize("query", PAGES)
async def test_products_of_pages_are_refused(query: str) -> None:
    assert limit(await run(query, {"n": 200})) in ("cost", "nodes")


@pytest.mark.parametrize("query", INTROSPECTION)
async def test_introspection_has_a_rule_of_its_own(query: str) -> None:
    assert limit(await run(query)) == "introspection"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("{ " + "a: __typename " * 16 + "}", "aliases"),
        ("{ ...a ...a ...a ...a ...a ...a ...a ...a } fragment a on Query { a: __typename b: __typename }", "aliases"),
        ("{ __typename " + "@include(if: true) " * 51 + "}", "directives"),
        ("query " + "@a " * 51 + "{ __typename }", "directives"),
        ("query ($a: Int " + "@a " * 51 + ") { __typename }", "directives"),
        ("{ __typename ...f " + "} fragment f on Query " + "@a " * 51 + "{ __typename }", "directives"),
        ("{ ... " + "@a " * 51 + "{ __typename } }", "directives"),
        ("{ ...f " + "@a " * 51 + "} fragment f on Query { __typename }", "directives"),
        ("{ " + "__typename " * 21 + "}", "root_fields"),
        ("{ ...a ...a ...a } fragment a on Query { " + "__typename " * 7 + "}", "root_fields"),
        ('{ node(id: "x") { ' + "... on Project { production { " * 7 + "name" + "} } " * 7 + "} }", ""),
        (
            '{ generation(uuid: "x") { environment { ' + "head { environment { " * 6 + "name " + "} }" * 6 + "} } }",
            "depth",
        ),
        ('{ generation(uuid: "x") { ' + "children { " * 21 + "uuid " + "} " * 21 + "} }", "tree_depth"),
        ('{ generation(uuid: "x") { ' + "parent { " * 21 + "uuid " + "} " * 21 + "} }", "tree_depth"),
        ('{ nodes(ids: ["' + '", "'.join("x" * 251) + '"]) { id } }', "input_items"),
        ("{ __typename " + "# comment\n" * 1_001 + "}", "tokens"),
        ("{ __typename " + ", " * 8_000 + "}", "max_bytes"),
        ("{ __typename # " + "é" * 7_500 + "\n}", "max_bytes"),
        ("query a { __typename } query b { " + "a: __typename " * 16 + "}", "aliases"),
    ],
)
async def test_each_limit(query: str, name: str) -> None:
    result = await run(query)
    if name:
        assert limit(result) == name
    else:
        assert LIMITED not in codes(result)


async def test_what_is_just_within_the_limits_passes() -> None:
    for query in (
        "{ " + " ".join(f"a{n}: __typename" for n in range(15)) + " }",
        "{ " + "__typename " * 20 + "}",
        "{ __typename " + "# comment\n" * 996 + "}",
        '{ generation(uuid: "0b9b0b8e-0000-4000-8000-000000000000") { '
        + "children { " * 20
        + "uuid "
        + "} " * 20
        + "} }",
        get_introspection_query(),
        get_introspection_query(specified_by_url=True, directive_is_repeatable=True, input_value_deprecation=True),
    ):
        assert codes(await run(query)) <= {"unauthenticated"}, query


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("$ids: [ID!]!", ["x"] * 251),
        ("$ids: [ID!]! = [" + '"x" ' * 251 + "]", None),
    ],
)
async def test_long_lists_in_variables(declared: str, value: object) -> None:
    given = {} if value is None else {"ids": value}
    assert limit(await run(f"query ({declared}) {{ nodes(ids: $ids) {{ id }} }}", given)) == "input_items"


async def test_lists_in_input_objects_are_counted_and_those_in_documents_are_not() -> None:
    fork = "mutation ($input: ForkEnvironmentInput!) { forkEnvironment(input: $input) { __typename } }"
    wanted = {"projectId": 1, "envName": "x", "userUuids": ["u"] * 251}
    assert limit(await run(fork, {"input": wanted})) == "input_items"
    write = "mutation ($input: WriteDocumentInput!) { writeDocument(input: $input) { __typename } }"
    document = {"projectId": 1, "patch": {"put": {"list": list(range(1_000))}}}
    assert codes(await run(write, {"input": document})) == {"unauthenticated"}


async def test_cycles_are_refused_before_anything_else() -> None:
    for count in (1, 2, 50):
        result = await run(FAMILIES["cycle"](count))
        assert codes(result) == {INVALID}
        assert result.errors
        assert "spreads itself" in result.errors[0].message


async def test_names_of_introspection_hide_nothing() -> None:
    assert limit(await run(named_like_introspection(30))) in ("cost", "aliases")


async def cost(query: str, variables: dict[str, Any] | None = None) -> int:
    """Return what an operation is charged before it runs."""
    purse = Purse()
    result = await run(query, variables, purse=purse)
    assert codes(result) <= {"unauthenticated"}, result.errors
    return purse.charged


async def test_cost_goes_by_pages() -> None:
    page = "{ projects(first: %s) { nodes { name } } }"
    assert [await cost(page % size) for size in ("0", "1", "10", "100", "200")] == [2, 2, 4, 22, 42]
    assert await cost("{ projects { nodes { name } } }") == await cost(page % 50) == await cost(page % "null")
    by_variable = page % "$n"
    assert await cost(f"query ($n: Int) {by_variable}", {"n": 100}) == 22
    assert await cost(f"query ($n: Int = 100) {by_variable}") == 22
    fragment = "fragment f on ProjectConnection { nodes { name } }"
    assert await cost(f"{{ projects(first: 100) {{ ...f }} }} {fragment}") == 22
    assert await cost(f"{{ projects(first: 10) {{ ...f }} }} {fragment}") == 4


async def test_a_mutation_costs_five_times_a_query() -> None:
    read = await cost("{ viewer { name } }")
    write = await cost('mutation { archiveEnvironment(input: {envUuid: "%s"}) { __typename } }' % ("0" * 32))
    assert (read, write) == (1, 6)


async def test_only_the_operation_that_runs_is_paid_for() -> None:
    query = "query a { viewer { name } } query b { projects(first: 100) { nodes { name } } }"
    for name, expected in (("a", 1), ("b", 22)):
        purse = Purse()
        await SCHEMA.execute(query, context_value=_context(purse=purse), operation_name=name)
        assert purse.charged == expected


async def test_what_was_not_there_is_given_back(actor: Actor, project: Project) -> None:
    purse = Purse()
    query = "{ projects(first: 200) { nodes { name environments(first: 10) { nodes { name } } } } }"
    result = await run(query, caller=actor, purse=purse)
    assert result.errors is None
    assert purse.charged > 400
    assert purse.corrected is not None
    assert purse.corrected < 5


async def test_steps_along_the_tree_are_counted_as_they_are_made(
    actor: Actor, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schema.loaders.MAX_WALKED", 2)
    fork = "mutation ($input: ForkEnvironmentInput!) { forkEnvironment(input: $input) { __typename } }"
    for name in ("a", "b", "c"):
        await run(fork, {"input": {"projectId": project.id, "envName": name}}, caller=actor)
    query = f"{{ project(id: {project.id}) {{ tree {{ children {{ parent {{ children {{ uuid }} }} }} }} }} }}"
    assert codes(await run(query, caller=actor)) == {LIMITED}


@pytest.mark.parametrize(
    ("introspection", "anyone", "callers"),
    [(Introspection.ANYONE, True, True), (Introspection.CALLERS, False, True), (Introspection.NOBODY, False, False)],
)
async def test_who_may_introspect(introspection: Introspection, anyone: bool, callers: bool, actor: Actor) -> None:
    schema = build_schema(QueryLimits(), introspection)
    hidden = "{ ...s } fragment s on Query { __schema { queryType { name } } }"
    for query in ("{ __schema { queryType { name } } }", '{ __type(name: "Query") { name } }', hidden):
        for caller, allowed in ((None, anyone), (actor, callers)):
            result = await schema.execute(query, context_value=_context(caller))
            assert codes(result) == (set() if allowed else {"introspection_disabled"})
    assert codes(await schema.execute("{ __typename }", context_value=_context())) == set()


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ viewerr { name } }", None),
        ("{ viewer { nam } }", None),
        ('{ node(di: "x") { id } }', None),
        ('{ node(id: "x") { ... on Projct { id } } }', None),
        ("{ __typename @skp(if: true) }", None),
        ("query ($a: UUD) { __typename }", None),
        ("{ project(id: 1) { environments(status: [RADY]) { nodes { name } } } }", None),
        (
            "query ($s: [EnvironmentStatus!]) { project(id: 1) { environments(status: $s) { nodes { name } } } }",
            {"s": ["RADY"]},
        ),
        ("mutation { writeDocument(input: {projectIdd: 1, patch: {put: 1}}) { __typename } }", None),
        (
            "mutation ($i: WriteDocumentInput!) { writeDocument(input: $i) { __typename } }",
            {"i": {"projectIdd": 1, "patch": {"put": 1}}},
        ),
    ],
)
async def test_nothing_is_suggested(query: str, variables: dict[str, Any] | None) -> None:
    result = await run(query, variables)
    assert codes(result) == {INVALID}
    assert "Did you mean" not in str(result.errors)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("{ a }", 3),
        ('{a(b:"x # y",c:"""# " \\""" """)...f}', 13),
        ("# one\n#two\r\n{a}", 5),
        ('{a(b:"\\"")}', 8),
        ("query($a:[Int!]=[1,-2.5e3]){a@b(c:$a)}", 26),
    ],
)
def test_tokens(text: str, tokens: int) -> None:
    check_text(text, QueryLimits(tokens=tokens))
    with pytest.raises(DomainError):
        check_text(text, QueryLimits(tokens=tokens - 1))


@pytest.mark.parametrize(
    ("data", "count"),
    [({"a": 1}, 2), ({"a": [1, 2, {"b": None}]}, 5), ({}, 1), ({"a": [{"b": 1}] * 1_000}, 100)],
)
def test_values(data: Mapping[str, object], count: int) -> None:
    assert count_values(data, 100) == pytest.approx(count, abs=1 if count == 100 else 0)


async def test_the_door_says_400_with_one_code(graphql: GraphQL) -> None:
    for query in (doubling(30), PAGES[0], "{ " + "a: __typename " * 16 + "}", "{ __typename" + "," * 20_000 + "}"):
        answer = await graphql.post(query, None, Accept="application/graphql-response+json")
        assert answer.status_code == 400
        (error,) = answer.json()["errors"]
        assert error["extensions"]["code"] == LIMITED
        assert "data" not in answer.json()


async def test_batches_are_refused(graphql: GraphQL) -> None:
    answer = await graphql.raw(b'[{"query": "{ __typename }"}, {"query": "{ __typename }"}]')
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "bad_request"
